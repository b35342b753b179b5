"""The whole way with the real programs: a new box, a stick, staff at their commands, a broker; renewal, theft."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cluster_world import ROOT, free_port, until
from cryptography import x509
from identity_world import OurBroker

from gateway.clock import wall_ms
from gateway.cluster.identity.authority import Authority
from gateway.cluster.identity.certificates import pem
from gateway.config import check_file
from gateway.mqtt import Endpoint, LinkError, connect
from gateway.seal.keys import FileSigner

ANSWERS = 'member = "dairy"\nsite = "north"\ngateway = "gw-1"\nbroker = "mqtts://127.0.0.1:8883"\n'


def run(*words: object, ok: bool = True) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'ext'}"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@dataclass
class Place:
    """A cluster with its broker, a box, and the stick that goes between them."""

    folder: Path
    port: int = field(default_factory=free_port)
    broker: "ShippedBroker | None" = None

    def __post_init__(self) -> None:
        self.data, self.stick, self.etc, self.box = (self.folder / name for name in ("data", "stick", "etc", "box"))
        self.stick.mkdir()
        self.crl = self.folder / "revoked.pem"
        self.settings = self.folder / "cluster.toml"
        (self.folder / "answers.toml").write_text(ANSWERS)
        self.write_settings(["true"])

    def write_settings(self, reload: list[str]) -> None:
        lines = [
            f'data_dir = "{self.data}"',
            "[broker]",
            'host = "127.0.0.1"',
            f"port = {self.port}",
            f'ca = "{self.data / "ca.pem"}"',
            "[identity]",
            f'crl = "{self.crl}"',
            f"reload = {json.dumps(reload)}",
            "days = 200",
        ]
        self.settings.write_text("\n".join(lines) + "\n")

    def staff(self, command: str, *words: object, ok: bool = True) -> str:
        return run("gateway.cluster.cli", command, "--config", self.settings, "--by", "eva", *words, ok=ok)

    def setup(self, *words: object, ok: bool = True) -> str:
        return run("gateway.cli", "setup", "--dir", self.etc, "--data-dir", self.box, *words, ok=ok)

    def code(self, said: str) -> str:
        """The code as a person reads it off."""
        return next(line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("code"))

    def endpoint(self) -> Endpoint:
        site, _ = check_file(self.etc / "site.toml")
        assert site is not None
        assert site.cluster is not None
        return Endpoint(
            host="127.0.0.1",
            port=self.port,
            client=site.identity.client,
            ca=site.cluster.ca,
            certificate=site.cluster.certificate,
            key=site.cluster.key,
        )

    def fingerprint(self) -> str:
        return FileSigner.load(self.data / "cluster.key").thumbprint.hex()


class ShippedBroker(OurBroker):
    """Certified by the command."""

    def __init__(self, place: Place) -> None:
        place.staff("ca", "broker", "127.0.0.1", "localhost", "--out", place.folder)
        self.folder = place.folder
        self.crl = place.crl
        self.port = place.port
        self.log = place.folder / "broker.log"
        self.process = None
        self.write_config(
            place.folder, place.data / "ca.pem", place.folder / "broker.pem", place.folder / "broker.key"
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    place.staff("ca", "new", "Test authority")
    place.staff("crl")
    place.broker = ShippedBroker(place)
    place.broker.start()
    place.write_settings(place.broker.reload)
    yield place
    place.broker.kill()


def gets_in(endpoint: Endpoint) -> bool:
    async def try_it() -> bool:
        try:
            async with connect(endpoint) as link:
                await link.subscribe(f"aurora/v1/{endpoint.client}/receipt")
                return True
        except LinkError:
            return False

    return asyncio.run(try_it())


def test_from_a_new_box_to_its_theft(place: Place) -> None:
    told = place.setup("--identify", place.stick)
    code = place.code(told)
    (box,) = place.stick.glob("aurora-box-*.json")
    taken = place.staff("request", box)
    assert code in taken, "the same code on both sides: this is what people compare"
    assert code in place.staff("requests")
    assert json.loads(place.staff("requests", "--json"))[0]["code"] == code
    refused = place.staff("approve", "0000-0000-0000", "--answers", place.folder / "answers.toml", ok=False)
    assert "no request has the code" in refused
    answers = ("--answers", place.folder / "answers.toml", "--out", place.stick)
    assert "dairy.gw-1 is enrolled" in place.staff("approve", code.lower(), *answers)
    assert "approved by eva already" in place.staff("approve", code, *answers, ok=False)
    applied = ("--from", place.stick, "--cluster-key", place.fingerprint())
    place.setup(*applied)
    endpoint = place.endpoint()
    assert gets_in(endpoint)
    assert "applied already" in place.setup(*applied, ok=False)

    # The certificate and its key are exchanged while the old pair goes on.
    before = (place.etc / "broker.key").read_bytes()
    code = place.code(place.setup("--renew", place.stick))
    assert (place.etc / "broker.key").read_bytes() == before
    assert gets_in(endpoint)
    (renewal,) = place.stick.glob("aurora-renewal-*.json")
    assert "renewal" in place.staff("request", renewal)
    place.staff("approve", code, "--out", place.stick)
    site = (place.etc / "site.toml").read_bytes()
    place.setup(*applied)
    assert (place.etc / "broker.key").read_bytes() != before
    assert not (place.etc / "broker.key.next").exists()
    assert (place.etc / "site.toml").read_bytes() == site, "a renewal changes nothing else"
    assert gets_in(endpoint)
    certificate = x509.load_pem_x509_certificate((place.etc / "broker.pem").read_bytes())
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life.days == 200
    assert place.staff("certificates", "dairy.gw-1").count("199 days left") == 2

    # The box is stolen.
    told = place.staff("revoke", "dairy.gw-1", "--why", "stolen")
    assert "the session of dairy.gw-1 is ended" in told
    assert not gets_in(endpoint)
    assert "is ended" in place.staff("close", "dairy.gw-1"), "any number of times"
    told = place.staff("cut-off", "dairy.gw-1", "--from-event", "3", "--why", "stolen")
    assert "no event from 3 on and no scan from 0 on" in told
    assert place.staff("certificates", "dairy.gw-1").count("revoked (stolen)") == 2
    done = [json.loads(line) for line in place.staff("deeds").splitlines()]
    assert {one["person"] for one in done} == {"eva"}
    assert [one["what"] for one in done] == [
        "authority made",
        "certified",
        "request",
        "enrolled",
        "approved",
        "request",
        "approved",
        "revoked",
        "session ended",
        "session ended",
        "cut-off",
    ]


def test_a_box_whose_request_was_exchanged_on_the_stick_is_not_approved(place: Place, tmp_path: Path) -> None:
    code = place.code(place.setup("--identify", place.stick))
    (box,) = place.stick.glob("aurora-box-*.json")
    (tmp_path / "thief").mkdir()
    other = Place(tmp_path / "thief")
    other.setup("--identify", other.stick)
    (theirs,) = other.stick.glob("aurora-box-*.json")
    box.write_bytes(theirs.read_bytes())
    place.staff("request", box)
    words = place.staff("approve", code, "--answers", place.folder / "answers.toml", ok=False)
    assert "somebody exchanged keys on the way" in words
    assert "no request waits" not in place.staff("requests"), "it waits for somebody to find out"


def test_an_answer_for_another_gateway_changes_nothing(place: Place) -> None:
    code = place.code(place.setup("--identify", place.stick))
    (box,) = place.stick.glob("aurora-box-*.json")
    place.staff("request", box)
    place.staff("approve", code, "--answers", place.folder / "answers.toml", "--out", place.stick)
    (answer,) = place.stick.glob("aurora-setup-*.cose")
    answer.write_bytes(answer.read_bytes()[:-1] + b"\x00")
    said = place.setup("--from", place.stick, "--cluster-key", place.fingerprint(), ok=False)
    assert "bad-signature" in said
    assert not (place.etc / "site.toml").exists()
    place.staff("answer", code, "--answers", place.folder / "answers.toml", "--out", place.stick)
    place.setup("--from", place.stick, "--cluster-key", place.fingerprint())
    assert gets_in(place.endpoint())


def test_another_authority_by_csr_and_import(tmp_path: Path) -> None:
    place = Place(tmp_path)
    elsewhere = Authority.create(tmp_path / "elsewhere", "Another authority", wall_ms())
    place.data.mkdir()
    (place.data / "ca.pem").write_bytes(elsewhere.pem)
    assert "elsewhere" in place.staff("ca", "show")
    code = place.code(place.setup("--identify", place.stick))
    (box,) = place.stick.glob("aurora-box-*.json")
    place.staff("request", box)
    place.staff("csr", code, "--out", tmp_path / "gw.csr")
    asked = x509.load_pem_x509_csr((tmp_path / "gw.csr").read_bytes())
    made = elsewhere.client("dairy.gw-1", asked.public_key(), wall_ms(), timedelta(days=9))  # type: ignore[arg-type]
    (tmp_path / "gw.pem").write_bytes(pem(made))
    answers = ("--answers", place.folder / "answers.toml", "--out", place.stick)
    assert "key is not here" in place.staff("approve", code, *answers, ok=False)
    place.staff("approve", code, *answers, "--certificate", tmp_path / "gw.pem")
    place.setup("--from", place.stick, "--cluster-key", place.fingerprint())
    assert (place.etc / "broker.pem").read_bytes() == pem(made)
    assert "RESTART" in place.staff("revoke", "dairy.gw-1", "--why", "x", ok=False).upper()


def test_the_desk_runs_until_it_is_told_to_stop(place: Place) -> None:
    place.staff("ca", "client", "aurora-desk", "--out", place.folder)
    words = ["gateway.cluster.cli", "desk", "--config", place.settings]
    words += ["--certificate", place.folder / "aurora-desk.pem", "--key", place.folder / "aurora-desk.key"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'ext'}"}
    desk = subprocess.Popen([sys.executable, "-m", *map(str, words)], env=environment, stderr=subprocess.DEVNULL)
    try:
        assert place.broker is not None
        log = place.broker.log
        asyncio.run(until(lambda: "as aurora-desk" in log.read_text(), timeout=30))
        desk.terminate()
        assert desk.wait(20) == 0
    finally:
        desk.kill()
        desk.wait()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("days = 0", "identity.days"),
        ("days = true", "identity.days"),
        ('crl = ""', "identity.crl"),
        ('reload = "systemctl reload mosquitto"', "identity.reload"),
        ("reload = []", "identity.reload"),
        ("colour = 1", "identity.colour"),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n[identity]\n{line}\n')
    assert words in run("gateway.cluster.cli", "requests", "--config", path, ok=False)


def test_without_a_place_for_the_list_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n')
    run("gateway.cluster.cli", "ca", "new", "--config", path)
    assert "add crl = FILE" in run("gateway.cluster.cli", "crl", "--config", path, ok=False)
