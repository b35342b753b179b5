"""The set-up at a terminal: a person answers, is corrected, leaves, comes back."""

import json
import stat
from pathlib import Path

from setup_tools import ROOT, Terminal, cluster, setup

from gateway.access.firstcode import first_code
from gateway.access.roles import Role
from gateway.access.store import Book, Person
from gateway.cluster.enrolment import read_enrolment
from gateway.config import check_file
from gateway.demo.pki import Authority
from gateway.identity import open_identity
from gateway.seal.keys import FileSigner
from gateway.setup.label import owner_code


def talk(terminal: Terminal, **answers: str) -> None:
    """Answer every question, with Enter where nothing is given."""
    for question, name in (
        ("Company", "member"),
        ("Site of that company", "site"),
        ("Name of this gateway", "gateway"),
        ("Language", "language"),
        ("Time zone", "zone"),
        ("Time source", "clock"),
    ):
        terminal.answer(question, answers.get(name, ""))
    if answers.get("clock") == "host":
        terminal.answer("By how many seconds", answers.get("error", ""))
    terminal.answer("Broker", answers.get("broker", ""))
    terminal.answer("status page is served", answers.get("listen", ""))


def test_from_nothing_to_a_site_file_keys_enrolment_and_label(tmp_path: Path) -> None:
    where = ("--dir", tmp_path / "etc", "--data-dir", tmp_path / "data")
    with Terminal(*where) as terminal:
        talk(terminal, member="green-valley", site="plant-1", zone="Europe/Paris", language="fr")
        terminal.answer("Write", "")
        assert terminal.end() == 0, terminal.shown
    site, problems = check_file(tmp_path / "etc/site.toml")
    assert site is not None
    assert {problem.path for problem in problems} == {"bus", "device"}, "no sensor is there yet, and nothing else"
    assert (site.identity.urn, site.time_zone, site.language) == (
        "urn:aurora:green-valley:gw-0001",
        "Europe/Paris",
        "fr",
    )
    assert site.data_dir == tmp_path / "data"
    enrolment = read_enrolment((tmp_path / "etc/enrolment.json").read_text(), "enrolment")
    assert enrolment.public == open_identity(site).signer.public
    label = (tmp_path / "etc/label.svg").read_text()
    digits = enrolment.public.thumbprint.hex()
    assert digits[:4] in label
    assert digits[-4:] in label
    assert digits[:4] in terminal.shown
    assert stat.S_IMODE((tmp_path / "etc/site.toml").stat().st_mode) == 0o640


def test_a_wrong_answer_is_told_by_the_rules_of_the_site_file_and_asked_again(tmp_path: Path) -> None:
    with Terminal("--dir", tmp_path / "etc", "--data-dir", tmp_path / "data") as terminal:
        terminal.answer("Company", "")
        terminal.expect("an answer is needed")
        terminal.answer("Company", "Green Valley")
        terminal.expect("use lower-case letters, digits and hyphens")
        terminal.answer("Company", "green-valley")
        terminal.answer("Site of that company", "plant-1")
        terminal.answer("Name of this gateway", "")
        terminal.answer("Language", "klingon")
        terminal.answer("Language", "nl")
        terminal.answer("Time zone", "Mars/Olympus")
        terminal.expect("is not a time zone")
        terminal.answer("Time zone", "UTC")
        terminal.answer("Time source", "host")
        terminal.answer("By how many seconds", "soon")
        terminal.answer("By how many seconds", "0.5")
        terminal.answer("Broker", "broker.example")
        terminal.expect("has no scheme")
        terminal.answer("Broker", "-")
        terminal.answer("status page is served", "off")
        terminal.answer("Write", "y")
        assert terminal.end() == 0, terminal.shown
    site, _ = check_file(tmp_path / "etc/site.toml")
    assert site is not None
    assert (site.clock.source, site.clock.error_s, site.web, site.cluster) == ("host", 0.5, None, None)


def test_left_in_the_middle_it_goes_on_with_what_was_answered(tmp_path: Path) -> None:
    where = ("--dir", tmp_path / "etc", "--data-dir", tmp_path / "data")
    with Terminal(*where) as terminal:
        terminal.answer("Company", "green-valley")
        terminal.answer("Site of that company", "plant-7")
        terminal.expect("Name of this gateway")
        terminal.leave()
        assert terminal.end() == 2
        assert "what was answered is kept" in terminal.shown
    assert not (tmp_path / "etc/site.toml").exists()
    with Terminal(*where) as terminal:
        terminal.answer("hyphens) [green-valley]", "")
        terminal.answer("[plant-7]", "")
        for question in ("Name", "Language", "Time zone", "Time source", "Broker", "status page"):
            terminal.answer(question, "")
        terminal.answer("Write", "")
        assert terminal.end() == 0, terminal.shown
    site, _ = check_file(tmp_path / "etc/site.toml")
    assert site is not None
    assert site.identity.site == "plant-7"


class TestOnceMore:
    SENSORS = """
# The cold room.
[[bus]]
id = "line-1"
type = "modbus-rtu"
device = "/dev/serial/by-id/usb-X"

[[device]]
id = "probe"
bus = "line-1"
model = "xy-md02"
unit = 1
period_s = 10
"""

    def first(self, tmp_path: Path) -> tuple[str | Path, ...]:
        where = ("--dir", tmp_path / "etc", "--data-dir", tmp_path / "data")
        with Terminal(*where) as terminal:
            talk(terminal, member="green-valley", site="plant-1")
            terminal.answer("Write", "")
            assert terminal.end() == 0, terminal.shown
        return where

    def test_nothing_is_asked_where_nothing_changes(self, tmp_path: Path) -> None:
        where = self.first(tmp_path)
        before = (tmp_path / "etc/site.toml").read_bytes()
        with Terminal(*where) as terminal:
            talk(terminal)
            assert terminal.end() == 0, terminal.shown
        assert (tmp_path / "etc/site.toml").read_bytes() == before
        assert not list((tmp_path / "etc").glob("*.old-*"))

    def test_a_file_that_differs_is_replaced_only_when_agreed_and_its_sensors_stay(self, tmp_path: Path) -> None:
        where = self.first(tmp_path)
        path = tmp_path / "etc/site.toml"
        path.write_text(path.read_text() + self.SENSORS)
        before = path.read_bytes()
        for reply, status in (("n", 1), ("y", 0)):
            with Terminal(*where) as terminal:
                talk(terminal, language="pl")
                terminal.answer("put aside", reply)
                assert terminal.end() == status, terminal.shown
            if reply == "n":
                assert path.read_bytes() == before
        site, problems = check_file(path)
        assert site is not None
        assert not problems
        assert (site.language, site.devices[0].id) == ("pl", "probe")
        assert "# The cold room." in path.read_text()
        assert (tmp_path / "etc/site.toml.old-1").read_bytes() == before

    def test_the_key_of_the_box_stays_the_same(self, tmp_path: Path) -> None:
        where = self.first(tmp_path)
        before = (tmp_path / "etc/enrolment.json").read_bytes()
        with Terminal(*where) as terminal:
            talk(terminal)
            assert terminal.end() == 0
        assert (tmp_path / "etc/enrolment.json").read_bytes() == before


class TestBroker:
    def test_files_of_the_cluster_are_checked_and_copied(self, tmp_path: Path) -> None:
        from datetime import UTC, datetime

        from gateway.clock import wall_ms

        authority = Authority(tmp_path / "pki", datetime.fromtimestamp(wall_ms() / 1000, UTC))
        own = authority.client("green-valley.gw-0001")
        receipt = tmp_path / "cluster-public.pem"
        receipt.write_bytes(FileSigner.create(tmp_path / "c.key").public.pem())
        with Terminal("--dir", tmp_path / "etc", "--data-dir", tmp_path / "data") as terminal:
            talk(terminal, member="green-valley", site="plant-1", broker="mqtts://broker.example:8883")
            terminal.answer("public key", str(own.key))
            terminal.expect("is not a public key")
            terminal.answer("public key", str(tmp_path / "nowhere"))
            terminal.expect("No such file")
            terminal.answer("public key", str(receipt))
            terminal.answer("authority", str(own.ca))
            terminal.answer("certificate", str(own.certificate))
            terminal.answer("private key", str(own.key))
            terminal.answer("Write", "")
            assert terminal.end() == 0, terminal.shown
        site, problems = check_file(tmp_path / "etc/site.toml")
        assert site is not None
        assert not [problem for problem in problems if problem.path.startswith("cluster")]
        assert site.cluster is not None
        assert site.cluster.key is not None
        assert site.cluster.key.read_bytes() == own.key.read_bytes()

    def test_without_a_key_one_is_made_here_with_a_request(self, tmp_path: Path) -> None:
        with Terminal("--dir", tmp_path / "etc", "--data-dir", tmp_path / "data") as terminal:
            talk(terminal, member="green-valley", site="plant-1", broker="mqtts://broker.example:8883")
            for question in ("public key", "authority", "certificate", "private key"):
                terminal.answer(question, "")
            terminal.answer("Write", "")
            assert terminal.end() == 0, terminal.shown
        from cryptography import x509

        request = x509.load_pem_x509_csr((tmp_path / "etc/broker.csr").read_bytes())
        assert request.subject.rfc4514_string() == "CN=green-valley.gw-0001"
        assert "PRIVATE" in (tmp_path / "etc/broker.key").read_text()


def test_a_record_is_never_continued_under_another_name(tmp_path: Path) -> None:
    import asyncio
    from dataclasses import replace

    from gateway.app import Gateway
    from gateway.clock import Clock

    where = TestOnceMore().first(tmp_path)
    site, _ = check_file(tmp_path / "etc/site.toml")
    assert site is not None

    async def live() -> None:
        stop = asyncio.Event()
        await Gateway(replace(site, web=None), Clock()).run(stop, stop.set)

    asyncio.run(live())
    with Terminal(*where) as terminal:
        talk(terminal, gateway="gw-0002")
        assert terminal.end() == 2
        assert "is that of urn:aurora:green-valley:gw-0001" in terminal.shown.replace("\n", "")


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file")
    done = setup("--dir", tmp_path / "etc", "--data-dir", tmp_path / "data")
    assert done.returncode == 2
    assert "Not a directory" in done.stderr


def test_the_cluster_takes_the_enrolment_file(tmp_path: Path) -> None:
    TestOnceMore().first(tmp_path)
    done = cluster(tmp_path / "cluster", "enrol", tmp_path / "etc/enrolment.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "etc/enrolment.json").read_text())["thumbprint"] in done.stdout
    assert ROOT.exists()


class TestFirstCode:
    def test_it_is_on_the_label_and_stays_the_same(self, tmp_path: Path) -> None:
        where = TestOnceMore().first(tmp_path)
        code = first_code(tmp_path / "data")
        label = tmp_path / "etc/label.svg"
        assert code in label.read_text()
        assert stat.S_IMODE(label.stat().st_mode) == 0o600, "whoever reads it may become the administrator"
        with Terminal(*where) as terminal:
            talk(terminal)
            assert terminal.end() == 0
        assert code in terminal.shown

    def test_once_there_is_an_administrator_no_other_is_made(self, tmp_path: Path) -> None:
        book = Book.open(tmp_path)
        book.people["a"] = Person(name="A", role=Role.ADMINISTRATOR, password="hashed")
        book.write(book.text())
        assert owner_code(tmp_path) is None
        assert not (tmp_path / "first-code.txt").exists()
