"""`aurora-gateway setup`: by conversation, or from a signed file on a stick; once left, it goes on where it was."""

import argparse
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from pwd import getpwnam
from typing import Any, Final

from gateway.config.check import check_site
from gateway.errors import OperatorError, SealError
from gateway.identity import enrolment, key_directory, open_identity
from gateway.seal.cose import PublicKey
from gateway.seal.keys import FileSigner, load_or_create
from gateway.seal.setupfile import SetupFile, read_setup
from gateway.setup.answers import Answers, problems, site_text
from gateway.setup.asking import ask, with_request
from gateway.setup.existing import answers_of, refuse_another_s, rest_of
from gateway.setup.files import CERTIFICATE, Kind, checked, fits, make_request
from gateway.setup.label import fingerprint, label_svg, label_text, owner_code
from gateway.setup.place import USER, Place
from gateway.setup.prompts import agree, converse, fetch_files
from gateway.setup.renew import check_certificate, exchange, renew, site_of
from gateway.site import Identity, Site

__all__ = ["setup_command"]

SITE: Final = "site.toml"
BOX: Final = "aurora-box-{}.json"
SETUPS: Final = "aurora-setup*.cose"
KINDS: Final = {"cluster.pem": Kind.PUBLIC_KEY, "ca.pem": Kind.CERTIFICATE, "broker.pem": Kind.CERTIFICATE}


def setup_command(arguments: argparse.Namespace) -> int:
    """Set the box up; exit status 0 done, 1 left as it was, 2 not possible."""
    place, signer = Place(arguments.dir), _box_key(arguments.data_dir)
    place.give(arguments.data_dir)
    if arguments.identify is not None:
        return _identify(place, signer, arguments.identify)
    if arguments.renew is not None:
        return renew(place, arguments.renew)
    _note_missing_user()
    if arguments.source is not None:
        trusted = _trusted(arguments.cluster_key)
        return _from_file(place, signer, arguments, trusted)
    return _by_conversation(place, arguments)


def _box_key(data_dir: Path) -> FileSigner:
    """The key of this box, made now if it has none: its fingerprint is the box's name before it has another."""
    try:
        data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{data_dir} cannot be made ({error.strerror})", "run setup as root") from error
    probe = Site(
        identity=Identity(member="", site="", gateway=""), data_dir=data_dir, buses=(), devices=(), digest=""
    )
    return load_or_create(key_directory(probe))


def _identify(place: Place, signer: FileSigner, where: Path) -> int:
    """Tell the cluster which box this is, on a stick: public key, and a request for its broker certificate."""
    short = signer.thumbprint.hex()[:8]
    make_request(place, f"aurora-box-{short}")
    request = place.read("broker.csr")
    box = {
        "public_key_pem": signer.public.pem().decode(),
        "thumbprint": signer.thumbprint.hex(),
        "csr_pem": None if request is None else request.decode(),
    }
    asked = ask(place, signer, None)
    path = where / BOX.format(short)
    try:
        path.write_text(with_request(place, box, asked), encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be written ({error.strerror})", "see whether the stick is in"
        ) from error
    print(f"fingerprint  {fingerprint(signer.thumbprint)}")
    if asked is not None:
        print(f"code         {asked.code}: the staff of the cluster have to see the same; compare it by telephone")
    print(f"written      {path}: for the cluster, which answers with aurora-setup-{short}.cose")
    return 0


# from a signed file ---------------------------------------------------------------------------------------------


def _trusted(word: str | None) -> bytes:
    """The thumbprint of the cluster's key: as it stands on the label, or of a PEM file."""
    if word is None:
        raise OperatorError("a signed file needs the cluster's key", "--cluster-key FILE.pem, or its fingerprint")
    digits = "".join(word.split())
    with suppress(ValueError):
        if len(digits) == 64:
            return bytes.fromhex(digits)
    try:
        return PublicKey.from_pem(Path(word).read_bytes()).thumbprint
    except OSError as error:
        words = f"{word} is no fingerprint of 64 digits, and no file ({error.strerror})"
        raise OperatorError(
            words, "give the cluster's public key as a PEM file, or its whole fingerprint"
        ) from error


def _from_file(place: Place, signer: FileSigner, arguments: argparse.Namespace, trusted: bytes) -> int:
    memory = place.memory()
    found = _find(arguments.source, trusted, signer.thumbprint, _serial(memory))
    if not found.answers:
        return _certificates(place, memory, found)
    answers = Answers().with_(found.answers).with_({"data_dir": str(arguments.data_dir)})
    files = {"cluster.pem": found.key.pem(), **found.files}
    for name, content in files.items():
        checked(content, KINDS[name], name)
    wrong = problems(answers, place.folder)
    if wrong:
        raise OperatorError("; ".join(map(str, wrong)), "ask the cluster for a right file")
    site = _checked_site(answers, place)
    if place.read(SITE) not in {None, site[1].encode()} and not arguments.replace:
        raise OperatorError(f"{place.folder / SITE} is there already, and differs", "add --replace to put it aside")
    certificate = files.pop(CERTIFICATE, None)
    if certificate is not None:
        check_certificate(place, certificate, site[0].identity.client)
    for name, content in sorted(files.items()):
        place.write(name, content, replace=True)
    if certificate is not None:
        exchange(place, certificate)
    place.write(SITE, site[1].encode(), replace=True)
    _finish(site[0], answers, place)
    # Last: a set-up that was cut off may be done again with the same file.
    place.remember({**place.memory(), "answers": answers.data(), "serial": found.serial})
    return 0


def _certificates(place: Place, memory: Mapping[str, Any], found: SetupFile) -> int:
    """An answer without answers brings certificates to a gateway that is set up, and changes nothing else."""
    client = site_of(place).identity.client
    files = {"cluster.pem": found.key.pem(), **found.files}
    for name, content in files.items():
        checked(content, KINDS[name], name)
    certificate = files.pop(CERTIFICATE, None)
    if certificate is not None:
        check_certificate(place, certificate, client)
    for name, content in sorted(files.items()):
        place.write(name, content, replace=True)
    if certificate is not None:
        exchange(place, certificate)
    place.remember({**memory, "serial": found.serial})
    print(f"certificates of {client} are in {place.folder}; the gateway uses them at its next connection")
    return 0


def _find(source: Path, trusted: bytes, box: bytes, last_serial: int) -> SetupFile:
    """The setup file, or of those on a stick the one for this box."""
    paths = sorted(source.glob(SETUPS)) if source.is_dir() else [source]
    if not paths:
        raise OperatorError(f"there is no {SETUPS} in {source}", "see whether it is the right stick")
    refusals = []
    for path in paths:
        try:
            return read_setup(path.read_bytes(), trusted=trusted, box=box, last_serial=last_serial)
        except OSError as error:
            refusals.append(f"{path} cannot be read ({error.strerror})")
        except SealError as error:
            refusals.append(f"{path.name}: {error}")
    raise OperatorError("; ".join(refusals), "nothing was changed; ask the cluster for a file for this box")


def _serial(memory: Mapping[str, Any]) -> int:
    serial = memory.get("serial", 0)
    return serial if isinstance(serial, int) else 0


# by conversation ------------------------------------------------------------------------------------------------


def _by_conversation(place: Place, arguments: argparse.Namespace) -> int:
    memory = place.memory()
    before = place.read(SITE)
    kept = memory.get("answers")
    answers = Answers().with_({"time_zone": _zone_of_machine()})
    answers = answers.with_(answers_of((before or b"").decode("utf-8", "replace")))
    answers = answers.with_(kept if isinstance(kept, Mapping) else {}).with_({"data_dir": str(arguments.data_dir)})
    print("Each answer is kept; Enter takes what stands in brackets, Ctrl-C or Ctrl-D leaves.")

    def keep(now: Answers) -> None:
        place.remember({**place.memory(), "answers": now.data()})

    answers = converse(answers, place.folder, keep)
    fetch_files(answers, place)
    site, text = _checked_site(answers, place)
    if before is not None and before != text.encode():
        print(f"{place.folder / SITE} is there already, and differs; its sensors are kept.")
        if not arguments.replace and not agree("Replace it (it is put aside, not deleted)?"):
            print("nothing was changed")
            return 1
    elif before is None and not agree(f"Write {place.folder / SITE}?", default=True):
        print("nothing was written; what was answered is kept")
        return 1
    place.write(SITE, text.encode(), replace=True)
    if answers.tls and make_request(place, site.identity.client):
        print(f"made         {place.folder / 'broker.csr'}: the cluster signs it; its answer becomes broker.pem")
    if answers.tls and fits(place) is False:
        print("CARE         broker.pem and broker.key do not belong together", file=sys.stderr)
    _finish(site, answers, place)
    return 0


def _zone_of_machine() -> str:
    try:
        return Path("/etc/timezone").read_text(encoding="ascii").strip() or "UTC"
    except (OSError, ValueError):
        return "UTC"


# both -----------------------------------------------------------------------------------------------------------


def _checked_site(answers: Answers, place: Place) -> tuple[Site, str]:
    """The site and its text, with the sensors of the file that is there; raises when it would not be right."""
    rest = rest_of((place.read(SITE) or b"").decode("utf-8", "replace"))
    text = site_text(answers, rest)
    site, found = check_site(text, SITE, place.folder)
    if site is None:
        raise OperatorError("; ".join(map(str, found[:5])), f"mend {place.folder / SITE}, then run setup again")
    refuse_another_s(answers, site.identity.urn)
    return replace(site, source=str(place.folder / SITE)), text


def _finish(site: Site, answers: Answers, place: Place) -> None:
    """Keys, enrolment, label: all of it may be done again, and comes out the same."""
    signer = open_identity(site).signer
    asked = ask(place, signer, site.identity) if answers.tls else None
    place.write("enrolment.json", with_request(place, enrolment(site, signer), asked).encode(), replace=True)
    code = owner_code(site.data_dir)
    page = "" if answers.listen == "off" else f"http://{answers.listen}/"
    label = label_svg(site.identity, signer.thumbprint, code, page)
    place.write("label.svg", label.encode(), replace=True, mode=0o600)
    place.give(site.data_dir)
    print(f"\n{label_text(site.identity, signer.thumbprint, code, page)}\n")
    print(f"site file    {place.folder / SITE}")
    print(f"label        {place.folder / 'label.svg'} (print it from a browser)")
    if asked is not None:
        print(f"code         {asked.code}: the staff of the cluster have to see the same; compare it by telephone")
    print(f"enrolment    {place.folder / 'enrolment.json'}: for the cluster (aurora-cluster request)")
    print("next         systemctl start aurora-gateway; then aurora-gateway doctor")


def _note_missing_user() -> None:
    try:
        getpwnam(USER)
    except KeyError:
        if os.geteuid() == 0:
            print(f"CARE         there is no user {USER}: run aurora-gateway install first", file=sys.stderr)
