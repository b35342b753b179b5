"""Log lines reach the journal as it wants them, through a real datagram socket, and never in floods."""

import array
import ast
import logging
import os
import re
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.operations import logs
from gateway.operations.journald import JournalHandler, encode, journal_is_there
from gateway.operations.logs import LogStats, RateLimit, set_up_logs
from gateway.operations.messages import MESSAGES

ROOT = Path(__file__).parents[2]
Entry = dict[str, str]


def decode(data: bytes) -> Entry:
    """The native protocol, read by its description."""
    entry: Entry = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, data = rest[8 : 8 + length], rest[8 + length + 1 :]
        else:
            data = rest
        entry[name.decode()] = value.decode("utf-8", "surrogateescape")
    return entry


class Journal:
    """The other end: a datagram socket as systemd-journald has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)

    def next(self) -> Entry:
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        for level, kind, content in ancillary:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            file = array.array("i", content)[0]
            with os.fdopen(file, "rb") as opened:
                opened.seek(0)
                data = opened.read()
        return decode(data)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "socket")
    yield found
    found.socket.close()


@pytest.fixture
def log(journal: Journal) -> Iterator[logging.Logger]:
    handler = JournalHandler(journal.path)
    logger = logging.getLogger("test.journal")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


class TestEntries:
    def test_a_line_with_its_place_and_priority(self, journal: Journal, log: logging.Logger) -> None:
        log.error("something %s", "broke")
        entry = journal.next()
        assert entry["MESSAGE"] == "something broke"
        assert entry["PRIORITY"] == "3"
        assert entry["SYSLOG_IDENTIFIER"] == "aurora-gateway"
        assert entry["CODE_FILE"] == __file__
        assert entry["AURORA_LOGGER"] == "test.journal"
        assert "MESSAGE_ID" not in entry

    def test_a_known_line_has_its_id_and_fields(self, journal: Journal, log: logging.Logger) -> None:
        log.warning("bus %s: %s; the gateway keeps trying", "line-1", "no such file")
        entry = journal.next()
        assert re.fullmatch(r"[0-9a-f]{32}", entry["MESSAGE_ID"])
        assert (entry["AURORA_STATE"], entry["AURORA_BUS"], entry["AURORA_REASON"]) == (
            "lost",
            "line-1",
            "no such file",
        )
        log.info("bus %s: back", "line-1")
        assert journal.next()["AURORA_STATE"] == "back"

    def test_lines_and_traces_of_several_lines_are_whole(self, journal: Journal, log: logging.Logger) -> None:
        try:
            raise RuntimeError("first\nsecond")
        except RuntimeError:
            log.exception("two\nlines")
        entry = journal.next()
        assert entry["MESSAGE"] == "two\nlines"
        assert entry["AURORA_TRACE"].endswith("RuntimeError: first\nsecond\n")

    def test_what_is_too_large_for_a_datagram_goes_as_a_sealed_file(
        self, journal: Journal, log: logging.Logger
    ) -> None:
        journal.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        handler = log.handlers[0]
        assert isinstance(handler, JournalHandler)
        handler._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        log.error("x" * 50_000)
        assert journal.next()["MESSAGE"] == "x" * 50_000
        assert handler.lost == 0

    def test_a_journal_that_takes_nothing_is_counted_and_never_waited_for(
        self, journal: Journal, log: logging.Logger
    ) -> None:
        handler = log.handlers[0]
        assert isinstance(handler, JournalHandler)
        for number in range(5000):
            log.info("line %d", number)
            if handler.lost > 3:
                break
        assert handler.lost > 3
        assert journal.next()["MESSAGE"] == "line 0"
        journal.socket.close()
        before = handler.lost
        log.info("nobody is there")
        assert handler.lost == before + 1

    @settings(deadline=None)
    @given(st.dictionaries(st.from_regex(r"\A[A-Z][A-Z0-9_]{0,20}\Z"), st.text(), max_size=6))
    def test_any_text_comes_back(self, entry: Entry) -> None:
        assert decode(encode(entry.items())) == entry


class TestWhere:
    def test_the_journal_only_where_systemd_says_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with (tmp_path / "stream").open("w") as stream:
            found = os.fstat(stream.fileno())
            monkeypatch.delenv("JOURNAL_STREAM", raising=False)
            assert not journal_is_there(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
            assert not journal_is_there(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", "nonsense")
            assert not journal_is_there(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
            assert journal_is_there(stream.fileno())

    def test_the_daemons_lines_go_there_and_else_to_standard_error(
        self, journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keep_root: None
    ) -> None:
        with (tmp_path / "stream").open("w") as stream:
            found = os.fstat(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
            handler = set_up_logs("info", path=journal.path, descriptor=stream.fileno())
            logging.getLogger("gateway.x").warning("uplink lost: %s", "cable")
            assert journal.next()["AURORA_REASON"] == "cable"
            assert isinstance(handler, JournalHandler)
            handler.close()
            plain = set_up_logs("info", path=tmp_path / "absent", descriptor=stream.fileno())
            assert type(plain) is logging.StreamHandler


@pytest.fixture
def keep_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(logs.STATS, "handler", None)
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


class TestFloods:
    @pytest.fixture
    def flood(self) -> Iterator[tuple[list[str], LogStats, Callable[[float], None], logging.Logger]]:
        now, stats, written = [0.0], LogStats(), []

        class Keep(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                written.append(record.getMessage())

        handler = Keep()
        handler.addFilter(RateLimit(stats, most=5, now_s=lambda: now[0]))
        loggers = [logging.getLogger("test.flood"), logging.getLogger("gateway.operations.logs")]
        for logger in loggers:
            logger.propagate = False
            logger.setLevel(logging.INFO)
            logger.addHandler(handler)
        yield written, stats, lambda s: now.__setitem__(0, now[0] + s), loggers[0]
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True

    def test_a_line_that_repeats_is_cut_counted_and_told(
        self, flood: tuple[list[str], LogStats, Callable[[float], None], logging.Logger]
    ) -> None:
        written, stats, wait, logger = flood
        for number in range(100):
            logger.warning("%s: does not answer", number)
        logger.info("something else")
        assert written == [*(f"{number}: does not answer" for number in range(5)), "something else"]
        assert stats.suppressed == 95
        assert stats.lines == {"warning": 5, "info": 1}
        wait(60)
        logger.warning("%s: does not answer", "later")
        assert written[-2:] == [
            "95 more lines like this were not written: %s: does not answer",
            "later: does not answer",
        ]


class TestCatalogue:
    def test_every_template_is_one_of_the_code_with_as_many_fields_as_arguments(self) -> None:
        calls: dict[str, set[int]] = {}
        for path in (ROOT / "gateway").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in {"info", "warning", "error", "exception"}
                    and node.args
                    and isinstance(node.args[0], ast.Constant)
                ):
                    calls.setdefault(str(node.args[0].value), set()).add(len(node.args) - 1)
        for template, message in MESSAGES.items():
            assert template in calls, f"no line of the code is {template!r} any more"
            assert calls[template] == {len(message.fields)}, template

    def test_ids_are_of_the_journals_form_and_each_is_used_once(self) -> None:
        ids = [message.id for message in MESSAGES.values()]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)

    def test_the_page_says_what_the_table_says(self) -> None:
        page = (ROOT / "docs/logs.md").read_text(encoding="utf-8")
        rows = re.findall(
            r"^\| `([0-9a-f]{32})` \| (\w+) \| `(.*?)` \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE
        )
        assert [tuple(cell.strip() for cell in row) for row in rows] == [
            (
                message.id,
                message.state,
                template,
                ", ".join(f"`AURORA_{name}`" for name in message.fields) or "-",
                message.means,
                message.remedy or "-",
            )
            for template, message in MESSAGES.items()
        ]
