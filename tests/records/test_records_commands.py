"""`aurora-gateway record` and `alarms`, as a quality manager types them."""

import asyncio
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from records_tools import TOML
from test_records_daemon import daemon

from gateway.cli import main
from gateway.control import Control
from gateway.errors import RecordError

ROOT = Path(__file__).parents[2]
REFERENCE = (
    "--reference", "Testo 110, 1234", "--reference-certificate", "D-77", "--reference-valid-until", "2099-05-01",
)  # fmt: skip


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def run(*words: str | Path) -> Done:
    """The command in this process: starting Python each time would take longer than all else."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The site file of a gateway that runs."""
    folder = tmp_path_factory.mktemp("plant")
    path = folder / "site.toml"
    path.write_text(TOML.format(port=1))
    with daemon(folder, 1):
        yield path


def made(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    found = re.match(r"(R\d+-[0-9a-f]{6}) is recorded\n", done.stdout)
    assert found is not None, done.stdout
    return found[1]


class TestRecord:
    def test_a_day_of_a_quality_manager(self, site: Path) -> None:
        lot = made(run("record", site, "lot", "in", "room", "--code", "(01)09506000134352(10)ABC",
                       "--quantity", "500", "--unit", "KGM", "--person", "Ana"))  # fmt: skip
        calibrated = run(
            "record", site, "calibration", "a.temperature", "--reading", "reference=-18.0,found=-17.5,left=-18.0",
            "--reading", "reference=4,found=4.2,left=4.1", *REFERENCE, "--certificate", "K-1", "--valid-until",
            "2099-01-01", "--person", "Lab", "--uncertainty", "0.1", "--environment", "21 C, 45 %RH",
        )  # fmt: skip
        calibration = made(calibrated)
        assert "error as found +0.5 degC: within 1 (EN 12830:1999 4.9.2.1 class 1)" in calibrated.stdout
        assert "error as left +0.1 degC: within 1" in calibrated.stdout
        failed = run("record", site, "verification", "a.temperature", "--reading", "reference=0,found=1.5",
                     *REFERENCE, "--person", "Ana", "--text", "probe replaced")  # fmt: skip
        made(failed)
        assert "NOT within 1" in failed.stdout
        assert f"since {calibration}" in failed.stdout, "what is to be reviewed"
        note = made(run("record", site, "note", "Seal worn \u2265 2 mm", "--point", "room", "--person", "Bo"))
        made(run("record", site, "corrective", "Moved to dock", "--deviation", "7 C for 3 h", "--product", "held",
                 "--lot", "ABC", "--lot", "DEF", "--point", "room", "--person", "Bo"))  # fmt: skip
        newer = run("record", site, "supersede", note, "--reason", "typo", "--text", "Seal torn", "--person", "Bo")
        assert f"takes the place of {note}" in newer.stdout
        made(run("record", site, "lot", "out", "room", "ABC", "--gtin", "9506000134352", "--person", "Ana"))

        shown = run("record", site, "list").stdout
        assert f"[superseded by {made(newer)}]" in shown
        assert "as found FAILED  Ana" in shown
        assert "as found passed, as left passed  Lab" in shown
        found = list(csv.DictReader(io.StringIO(run("record", site, "list", "--format", "csv").stdout)))
        assert [row["kind"].partition(".")[2] for row in found] == [
            "changed", "lot", "calibration", "verification", "note", "corrective", "note", "lot",
        ]  # fmt: skip
        assert re.search(r"The first site file on record, with \d+ settings\.$", shown.splitlines()[0])
        assert json.loads(found[5]["data"])["lots"] == ["ABC", "DEF"]
        listed = json.loads(run("record", site, "list", "--kind", "lot", "--format", "json").stdout)
        assert [row["record"] for row in listed][:1] == [lot]
        chain = json.loads(run("record", site, "list", "--record", note, "--format", "json").stdout)
        assert [row["data"]["text"] for row in chain] == ["Seal worn \u2265 2 mm", "Seal torn"]

        assert run("record", site, "lots").stdout == ""
        been = run("record", site, "lots", "ABC").stdout
        assert re.fullmatch(r"\(01\)09506000134352\(10\)ABC  room  since \S+Z until \S+Z  500 KGM\n", been)
        (history,) = json.loads(run("record", site, "history", "ABC").stdout)
        assert (history["values"], history["coverage_percent"]) == (0, 0.0)
        assert history["scheduled"] == sum(gap["slots"] for gap in history["gaps"]) > 0
        (row,) = json.loads(run("record", site, "register").stdout)
        assert (row["channel"], row["certificate"], row["passed"]) == ("a.temperature", "K-1", False)
        assert row["last_good"] == calibration

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("note", "x", "--person", "A", "--point", "rom"), "no such point; did you mean 'room'"),
            (("note", "x"), "--person"),
            (("lot", "in", "room", "--person", "A"), "lot is missing"),
            (("lot", "in", "room", "--person", "A", "--code", "]C1019506"), "characters"),
            (("lot", "out", "dock", "L9", "--person", "A"), "is not in dock"),
            (("verification", "a.temperature", "--person", "A", "--reading", "0,1"), "reference=0.0,found=0.4"),
            (("verification", "a.temperature", "--person", "A", "--reading", "found=1,found=2"), "no reading"),
            (("verification", "a.temperature", "--person", "A"), "points is empty"),
            (("supersede", "R99-000000", "--reason", "r", "--person", "A"), "no record 'R99-000000'"),
            (("list", "--record", "R99-000000"), "no record"),
            (("list", "--kind", "poem"), "invalid choice"),
            (("history", "L9"), "no lot 'L9' is on record"),
            ((), "ACTION"),
        ],
    )
    def test_what_is_refused_is_refused_in_words(self, site: Path, words: tuple[str, ...], said: str) -> None:
        done = run("record", site, *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr

    def test_without_a_daemon(self, tmp_path: Path) -> None:
        (tmp_path / "site.toml").write_text(TOML.format(port=1))
        words = [
            sys.executable,
            "-m",
            "gateway.cli",
            "record",
            tmp_path / "site.toml",
            "note",
            "x",
            "--person",
            "A",
        ]
        alone = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
        done = Done(alone.returncode, alone.stdout, alone.stderr)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no gateway is running" in done.stderr
        assert "aurora-gateway run" in done.stderr
        done = run("record", tmp_path / "site.toml", "list")
        assert (done.returncode, "has not run with this site file" in done.stderr) == (2, True)


class TestAlarms:
    """The handlers belong to the alarm engine; here one that keeps what it was asked."""

    async def ask(self, folder: Path, *words: str, alarms: Any = ()) -> tuple[Any, list[Mapping[str, Any]]]:
        (folder / "site.toml").write_text(TOML.format(port=1))
        asked: list[Mapping[str, Any]] = []
        control = Control(folder)

        async def listing(request: Mapping[str, Any]) -> Mapping[str, Any]:
            asked.append(request)
            return {"alarms": list(alarms)}

        async def order(request: Mapping[str, Any]) -> Mapping[str, Any]:
            asked.append(request)
            if request.get("alarm") == "room/none":
                raise RecordError("there is no alarm room/none", "see: aurora-gateway alarms SITE")
            return {"words": "noted"}

        control.handle("alarm.list", listing)
        for name in ("acknowledge", "confirm", "shelve", "unshelve", "out-of-service", "in-service"):
            control.handle(f"alarm.{name}", order)
        for name in ("declare", "end"):
            control.handle(f"state.{name}", order)
        await control.open()
        try:
            return await asyncio.to_thread(run, "alarms", folder / "site.toml", *words), asked
        finally:
            await control.close()

    @pytest.mark.parametrize(
        ("words", "request_"),
        [
            (("acknowledge", "room/high", "--person", "A"), {"do": "alarm.acknowledge", "alarm": "room/high"}),
            (
                ("acknowledge", "room/high", "--group", "--person", "A"),
                {"do": "alarm.acknowledge", "alarm": "room/high", "group": True},
            ),
            (
                ("out-of-service", "room/high", "--for", "2h", "--person", "A", "--text", "rebuilding"),
                {"do": "alarm.out-of-service", "alarm": "room/high", "text": "rebuilding", "for_s": 7200.0},
            ),
            (
                ("confirm", "room/high", "--person", "A", "--text", "door shut"),
                {"do": "alarm.confirm", "alarm": "room/high", "text": "door shut"},
            ),
            (
                ("shelve", "room/high", "--for", "30min", "--person", "A", "--text", "defect known"),
                {"do": "alarm.shelve", "alarm": "room/high", "text": "defect known", "for_s": 1800.0},
            ),
            (("unshelve", "room/high", "--person", "A"), {"do": "alarm.unshelve", "alarm": "room/high"}),
            (
                ("out-of-service", "room/high", "--person", "A", "--text", "rebuilding"),
                {"do": "alarm.out-of-service", "alarm": "room/high", "text": "rebuilding"},
            ),
            (("in-service", "room/high", "--person", "A"), {"do": "alarm.in-service", "alarm": "room/high"}),
            (
                ("declare", "room", "defrost", "--for", "1h", "--person", "A"),
                {"do": "state.declare", "point": "room", "kind": "defrost", "for_s": 3600.0},
            ),
            (("end", "room", "defrost", "--person", "A"), {"do": "state.end", "point": "room", "kind": "defrost"}),
        ],
    )
    async def test_what_is_asked_of_the_daemon(
        self, tmp_path: Path, words: tuple[str, ...], request_: dict[str, Any]
    ) -> None:
        done, asked = await self.ask(tmp_path, *words)
        assert (done.returncode, done.stdout) == (0, "noted\n"), done.stderr
        assert asked == [{**request_, "person": "A", "source": "command"}]

    async def test_a_list_says_by_its_status_whether_somebody_is_needed(self, tmp_path: Path) -> None:
        alarm = {
            "alarm": "room/high", "tier": "critical", "state": "unacknowledged",
            "words": "room is 9.0 degC, above 7", "group": "room/compressor", "person": "", "text": "",
        }  # fmt: skip
        done, _ = await self.ask(tmp_path, alarms=[alarm])
        assert done.returncode == 1
        assert done.stdout == (
            "room/high  critical  unacknowledged  room is 9.0 degC, above 7  (follows from room/compressor)\n"
        )
        done, _ = await self.ask(tmp_path, "list", "--json", alarms=[alarm])
        assert json.loads(done.stdout) == alarm
        done, asked = await self.ask(tmp_path, "list", alarms=[{**alarm, "state": "normal"}])
        assert (done.returncode, done.stdout) == (0, "no alarm\n")
        assert asked == [{"do": "alarm.list", "all": False}]
        done, _ = await self.ask(tmp_path, "list", "--all", alarms=[{**alarm, "state": "normal"}])
        assert done.stdout.startswith("room/high")

    async def test_refusals(self, tmp_path: Path) -> None:
        done, _ = await self.ask(tmp_path, "acknowledge", "room/none", "--person", "A")
        assert (done.returncode, "there is no alarm room/none" in done.stderr) == (2, True)
        for words in (
            ("confirm", "room/high", "--person", "A"),
            ("acknowledge", "room/high"),
            ("shelve", "room/high", "--person", "A", "--text", "x"),
            ("shelve", "room/high", "--person", "A", "--text", "x", "--for", "soon"),
            ("declare", "room", "lunch", "--for", "1h", "--person", "A"),
        ):
            done, asked = await self.ask(tmp_path, *words)
            assert (done.returncode, asked) == (2, [])
            assert "Traceback" not in done.stderr
        done = await asyncio.to_thread(run, "alarms", tmp_path / "site.toml")
        assert (done.returncode, "no gateway is running" in done.stderr) == (2, True)
