"""The signed file on a stick: for one box, once, from the cluster whose fingerprint is on the label."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from setup_tools import cluster, issue, setup

from gateway.clock import wall_ms
from gateway.config import check_file
from gateway.demo.pki import Authority
from gateway.errors import SealError
from gateway.seal.keys import FileSigner
from gateway.seal.setupfile import read_setup, write_setup

ANSWERS = """
member = "green-valley"
site = "plant-1"
gateway = "gw-0007"
language = "es"
broker = "mqtts://broker.example:8883"
"""


class Box:
    """A new box with its folders."""

    def __init__(self, folder: Path) -> None:
        self.etc, self.data = folder / "etc", folder / "data"
        self.where = ("--dir", self.etc, "--data-dir", self.data)

    @property
    def thumbprint(self) -> str:
        return FileSigner.load(self.data / "keys/aurora-gateway.key").thumbprint.hex()


class Cluster:
    """A cluster with an authority for its broker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "pki", datetime.fromtimestamp(wall_ms() / 1000, UTC))
        self.data = folder / "data"
        self.key = folder / "cluster-public.pem"
        self.key.write_text(cluster(self.data, "keys").stdout)

    @property
    def fingerprint(self) -> str:
        return FileSigner.load(self.data / "cluster.key").thumbprint.hex()

    def admit(self, stick: Path) -> None:
        """As staff do it: sign the request, admit the box, write the file."""
        (box,) = stick.glob("aurora-box-*.json")
        answers, certificate = self.folder / "answers.toml", self.folder / "box.pem"
        answers.write_text(ANSWERS)
        issue(self.authority, json.loads(box.read_text())["csr_pem"].encode(), "green-valley.gw-0007", certificate)
        files = ("--box-ca", self.authority.ca, "--box-certificate", certificate)
        done = cluster(self.data, "setup-file", box, answers, *files, "--out", stick)
        assert done.returncode == 0, done.stderr
        assert "green-valley.gw-0007 is enrolled" in done.stdout


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


@pytest.fixture
def home(tmp_path: Path) -> Cluster:
    (tmp_path / "cluster").mkdir()
    return Cluster(tmp_path / "cluster")


def test_there_and_back_makes_a_new_box_a_gateway_of_its_cluster(box: Box, home: Cluster, stick: Path) -> None:
    told = setup(*box.where, "--identify", stick)
    assert told.returncode == 0, told.stderr
    home.admit(stick)
    done = setup(*box.where, "--from", stick, "--cluster-key", home.fingerprint)
    assert done.returncode == 0, done.stderr
    site, problems = check_file(box.etc / "site.toml")
    assert site is not None
    assert {problem.path for problem in problems} == {"bus", "device"}
    assert (site.identity.client, site.language) == ("green-valley.gw-0007", "es")
    assert site.cluster is not None
    assert site.cluster.receipt_key.read_bytes() == home.key.read_bytes(), "receipts are checked with the same key"
    assert json.loads((box.etc / "enrolment.json").read_text())["thumbprint"] == box.thumbprint
    listed = cluster(home.data, "ledger").stdout
    assert "gw-0007" in listed


def test_the_same_file_once_more_is_a_replay(box: Box, home: Cluster, stick: Path) -> None:
    setup(*box.where, "--identify", stick)
    home.admit(stick)
    words = (*box.where, "--from", stick, "--cluster-key", home.key)
    assert setup(*words).returncode == 0
    before = (box.etc / "site.toml").read_bytes()
    again = setup(*words)
    assert again.returncode == 2
    assert "has been applied already" in again.stderr
    assert (box.etc / "site.toml").read_bytes() == before


def test_a_file_for_another_box_is_refused_and_nothing_changes(
    box: Box, home: Cluster, stick: Path, tmp_path: Path
) -> None:
    setup(*box.where, "--identify", stick)
    home.admit(stick)
    other = Box(tmp_path / "other")
    done = setup(*other.where, "--from", stick, "--cluster-key", home.fingerprint)
    assert done.returncode == 2
    assert "wrong-gateway" in done.stderr
    assert not (other.etc / "site.toml").exists()


def test_a_file_of_another_cluster_is_refused(box: Box, home: Cluster, stick: Path) -> None:
    setup(*box.where, "--identify", stick)
    home.admit(stick)
    done = setup(*box.where, "--from", stick, "--cluster-key", "00" * 32)
    assert done.returncode == 2
    assert "wrong-key" in done.stderr


def test_a_site_file_that_is_there_is_not_replaced_unasked(box: Box, home: Cluster, stick: Path) -> None:
    setup(*box.where, "--identify", stick)
    home.admit(stick)
    box.etc.mkdir(exist_ok=True)
    (box.etc / "site.toml").write_text("# mine\n")
    words = (*box.where, "--from", stick, "--cluster-key", home.fingerprint)
    done = setup(*words)
    assert done.returncode == 2
    assert "--replace" in done.stderr
    assert (box.etc / "site.toml").read_text() == "# mine\n"
    assert setup(*words, "--replace").returncode == 0
    assert (box.etc / "site.toml.old-1").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "needs the cluster's key"),
        (("--cluster-key", "nonsense"), "no fingerprint of 64 digits"),
        (("--cluster-key", "11" * 32), "there is no aurora-setup"),
    ],
)
def test_what_is_missing_is_said(box: Box, stick: Path, words: tuple[str, ...], complaint: str) -> None:
    done = setup(*box.where, "--from", stick, *words)
    assert done.returncode == 2
    assert complaint in done.stderr


class TestAnswersOfTheCluster:
    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("", "member: is missing"),
            (ANSWERS + "colour = 'red'\n", "colour: is not known"),
            (ANSWERS.replace('"plant-1"', "7"), "site: is not a text"),
            ("member = ", "is no TOML"),
        ],
    )
    def test_mistakes_are_named(
        self, box: Box, home: Cluster, stick: Path, tmp_path: Path, text: str, complaint: str
    ) -> None:
        setup(*box.where, "--identify", stick)
        (found,) = stick.glob("*.json")
        (tmp_path / "answers.toml").write_text(text)
        done = cluster(home.data, "setup-file", found, tmp_path / "answers.toml", "--out", stick)
        assert done.returncode == 2
        assert complaint in done.stderr

    def test_a_box_file_that_is_none(self, home: Cluster, tmp_path: Path) -> None:
        (tmp_path / "box.json").write_text("{}")
        (tmp_path / "answers.toml").write_text(ANSWERS)
        done = cluster(home.data, "setup-file", tmp_path / "box.json", tmp_path / "answers.toml")
        assert done.returncode == 2
        assert "is not of a box" in done.stderr


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    return FileSigner.create(tmp_path_factory.mktemp("key") / "cluster.key")


class TestFormat:
    BOX = b"b" * 32
    ANSWERS = {"member": "m", "site": "s", "gateway": "g"}  # noqa: RUF012

    def written(self, signer: FileSigner, serial: int = 5) -> bytes:
        return write_setup(signer, box=self.BOX, serial=serial, answers=self.ANSWERS, files={"ca.pem": b"x"})

    def test_what_is_written_is_read(self, signer: FileSigner) -> None:
        found = read_setup(self.written(signer), trusted=signer.thumbprint, box=self.BOX, last_serial=4)
        assert (found.serial, found.answers, found.files) == (5, self.ANSWERS, {"ca.pem": b"x"})

    @given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
    def test_no_altered_byte_is_taken(self, signer: FileSigner, place: int, flip: int) -> None:
        data = bytearray(self.written(signer))
        data[place % len(data)] ^= flip
        with pytest.raises(SealError):
            read_setup(bytes(data), trusted=signer.thumbprint, box=self.BOX, last_serial=0)

    @given(data=st.binary(max_size=300))
    def test_rubbish_is_refused_with_a_word(self, signer: FileSigner, data: bytes) -> None:
        with pytest.raises(SealError):
            read_setup(data, trusted=signer.thumbprint, box=self.BOX, last_serial=0)

    @pytest.mark.parametrize(("box", "last", "kind"), [(b"c" * 32, 0, "wrong-gateway"), (BOX, 5, "replayed")])
    def test_for_one_box_and_once(self, signer: FileSigner, box: bytes, last: int, kind: str) -> None:
        with pytest.raises(SealError) as refused:
            read_setup(self.written(signer), trusted=signer.thumbprint, box=box, last_serial=last)
        assert refused.value.kind == kind

    @pytest.mark.parametrize(
        "changes",
        [{"box": b"short"}, {"serial": 0}, {"answers": {"data_dir": "/"}}, {"files": {"../x": b""}}],
    )
    def test_nothing_else_can_be_said(self, signer: FileSigner, changes: dict[str, object]) -> None:
        content = {"box": self.BOX, "serial": 1, "answers": {}, "files": {}, **changes}
        with pytest.raises(SealError):
            write_setup(signer, **content)  # type: ignore[arg-type]
