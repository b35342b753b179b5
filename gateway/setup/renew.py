"""A new TLS key and certificate for a gateway that runs: asked for, then exchanged with no moment that has neither.

The certificate is replaced first, the key after it; in between the new certificate fits the key's successor, which
`gateway.mqtt.Endpoint` tries. So a power cut at any moment leaves a pair that belongs together. The running gateway
reads both files at its next connection.
"""

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.config.check import check_site
from gateway.errors import OperatorError
from gateway.identity import enrolment, open_identity
from gateway.setup.asking import ask, with_request
from gateway.setup.files import CERTIFICATE, KEY, NEXT_KEY, belong, make_request
from gateway.setup.label import fingerprint
from gateway.setup.place import Place
from gateway.site import Site

__all__ = ["check_certificate", "exchange", "renew", "site_of"]

FILE: Final = "aurora-renewal-{}.json"


def site_of(place: Place) -> Site:
    """The site whose files lie here; raises `OperatorError` when it is not set up yet."""
    text = place.read("site.toml")
    if text is None:
        raise OperatorError(f"there is no site.toml in {place.folder}", "set the gateway up first")
    site, found = check_site(text.decode("utf-8", "replace"), "site.toml", place.folder)
    if site is None:
        raise OperatorError("; ".join(map(str, found[:5])), f"mend {place.folder / 'site.toml'} first")
    return site


def renew(place: Place, where: Path) -> int:
    """Make a new TLS key, and write the request for its certificate on the stick; the old pair goes on."""
    site = site_of(place)
    signer = open_identity(site).signer
    make_request(place, site.identity.client, following=place.read(KEY) is not None)
    request = ask(place, signer, site.identity)
    path = where / FILE.format(signer.thumbprint.hex()[:8])
    try:
        path.write_text(with_request(place, enrolment(site, signer), request), encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be written ({error.strerror})", "see whether the stick is in"
        ) from error
    print(f"fingerprint  {fingerprint(signer.thumbprint)}")
    print(f"code         {request.code if request else ''}")
    print(f"written      {path}: for the cluster (aurora-cluster request); its answer: setup --from STICK")
    return 0


def check_certificate(place: Place, certificate: bytes, client: str) -> None:
    """A certificate is taken for this gateway's name and key, or its key's successor; raises `OperatorError`."""
    names = x509.load_pem_x509_certificates(certificate)[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [name.value for name in names] != [client]:
        raise OperatorError(
            f"the certificate is not for {client}", "ask the cluster for the answer for this gateway"
        )
    keys = [key for name in (KEY, NEXT_KEY) if (key := place.read(name)) is not None]
    if keys and not any(belong(certificate, key) for key in keys):
        raise OperatorError("the certificate is not for this box's key", "send its newest request to the cluster")


def exchange(place: Place, certificate: bytes) -> None:
    """Put a checked certificate in its place, and the key that it is for."""
    place.write(CERTIFICATE, certificate, replace=True)
    following = place.read(NEXT_KEY)
    if following is not None and belong(certificate, following):
        place.promote(NEXT_KEY, KEY)
