"""The promise: every scheduled sample is accounted for, and anyone can prove it offline."""

import csv
import io
import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from app_tools import Ran, command


def test_every_sample_of_the_demonstration_is_accounted_for_over_a_kill(demo: Ran) -> None:
    assert demo.status == 0, demo.output
    assert "every scheduled sample is accounted for, and verified" in demo.output
    assert "gateway was not running" in demo.output, "the time it was down is on record, with its cause"
    assert re.search(r"2 power_up", demo.output)
    assert "pb3" not in demo.output


def test_the_embedded_broker_serves_where_mosquitto_is_not_installed(tmp_path: Path) -> None:
    done = command("demo", "--seconds", "5", "--port", "0", "--embedded-broker", "--dir", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_demonstration_empties_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    done = command("demo", "--seconds", "1", "--dir", tmp_path)
    assert done.returncode == 2
    assert "not a folder of the demonstration" in done.stderr
    assert (tmp_path / "precious").exists()


class TestVerify:
    def test_the_whole_record(self, evidence: Path) -> None:
        done = command("verify", evidence)
        assert done.returncode == 0, done.stdout
        assert "the record is whole" in done.stdout
        assert "receipted up to" in done.stdout

    def test_without_receipts_it_says_that_nothing_vouches_for_the_end(self, copy: Path) -> None:
        for receipt in copy.glob("*.receipt"):
            receipt.unlink()
        newest = max(copy.glob("scan-*.cose"))
        last = int(newest.stem.removeprefix("scan-"))
        done = command("verify", copy)
        assert done.returncode == 0, done.stdout
        assert f"nothing vouches that scan batch {last} is the last" in done.stdout

    @pytest.fixture
    def copy(self, evidence: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(evidence, tmp_path / "copy"))

    @staticmethod
    def findings(folder: Path) -> list[dict[str, Any]]:
        done = command("verify", "--json", folder)
        assert done.returncode == 1, done.stdout
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [line["finding"] for line in lines if "finding" in line]

    def test_one_altered_bit_is_named_with_its_batch(self, copy: Path) -> None:
        victim = copy / "scan-00000001.cose"
        body = bytearray(victim.read_bytes())
        body[len(body) // 2] ^= 1
        victim.write_bytes(body)
        found = self.findings(copy)
        assert any(f["file"].endswith(victim.name) and f["severity"] == "error" for f in found), found

    def test_a_removed_batch_is_named(self, copy: Path) -> None:
        (copy / "event-00000002.cose").unlink()
        found = self.findings(copy)
        assert any(f["kind"] == "missing" and f["seq"] == 2 and f["stream"].endswith(":event") for f in found), (
            found
        )

    def test_a_forged_receipt_is_named(self, copy: Path) -> None:
        forged = copy / "scan.receipt"
        data = bytearray(forged.read_bytes())
        data[-1] ^= 1
        forged.write_bytes(data)
        found = self.findings(copy)
        assert any(f["kind"] == "bad-receipt" and f["file"].endswith("scan.receipt") for f in found), found

    def test_with_a_stranger_s_key_nothing_counts(self, evidence: Path) -> None:
        done = command("verify", "--key", evidence / "cluster.pem", evidence / "scan-00000001.cose")
        assert done.returncode == 1

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert command("verify", tmp_path).returncode == 1
        assert "there is no" in command("verify", tmp_path / "nowhere").stderr


class TestExport:
    @staticmethod
    def export(demo: Ran, *words: str | Path) -> str:
        done = command("export", demo.folder / "site.toml", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_csv_has_every_value_and_every_missed_slot(self, demo: Ran) -> None:
        rows = list(csv.DictReader(io.StringIO(self.export(demo, "--format", "csv"))))
        air = [r for r in rows if r["device"] == "room-1-controller" and r["channel"] == "air"]
        assert all(re.fullmatch(r"-?\d+\.\d", r["value"]) for r in air if r["severity"] != "bad")
        assert all(r["value"] == "" for r in rows if r["severity"] == "bad")
        down = [r for r in rows if r["reason"] == "gateway_down"]
        assert down
        assert all(not r["channel"] for r in down)

    def test_the_slots_of_a_device_have_no_hole(self, demo: Ran) -> None:
        rows = [json.loads(line) for line in self.export(demo, "--format", "jsonl").splitlines()]
        mine = {(r["slot"], r["slots"]) for r in rows if r["device"] == "pasteuriser-probes"}
        expected = min(mine)[0]
        for slot, count in sorted(mine):
            assert slot == expected
            expected += count

    def test_calibrated_values_stand_beside_the_indicated_ones(self, demo: Ran) -> None:
        rows = [json.loads(line) for line in self.export(demo, "--format", "jsonl").splitlines()]
        t2 = [r for r in rows if r["device"] == "pasteuriser-probes" and r["channel"] == "t2" and r["value"]]
        assert {r["role"] for r in t2} == {"value", "indicated"}

    def test_senml_is_a_pack_of_resolvable_records(self, demo: Ran) -> None:
        pack = json.loads(self.export(demo, "--format", "senml"))
        assert pack[0]["bn"].startswith("urn:aurora:demo-dairy:gw-0001")
        assert {"n", "t", "v"} <= set(pack[1])
        assert any(record.get("u") == "Cel" for record in pack)

    def test_sqlite_opens_as_a_plain_database(self, demo: Ran, tmp_path: Path) -> None:
        self.export(demo, "--format", "sqlite", "--out", tmp_path / "out.db")
        with closing(sqlite3.connect(tmp_path / "out.db")) as db:
            assert db.execute("SELECT count(*) FROM reading WHERE channel = 'air'").fetchone()[0] > 5
            assert db.execute("SELECT count(*) FROM event WHERE kind = 'power_up'").fetchone()[0] == 2
            assert db.execute("SELECT sum(slots) FROM missed").fetchone()[0] > 0
        assert not list(tmp_path.glob("*.partial"))

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("--format", "csv", "--device", "room-9"), "no device room-9"),
            (("--format", "csv", "--since", "yesterday"), "is no time"),
            (("--format", "sqlite"), "needs --out"),
            (("--format", "csv", "--out", "/nonexistent/x.csv"), "cannot be written"),
        ],
    )
    def test_what_cannot_be_done_is_said(self, demo: Ran, words: tuple[str, ...], complaint: str) -> None:
        done = command("export", demo.folder / "site.toml", *words)
        assert done.returncode == 2
        assert complaint in done.stderr


class TestKeys:
    def test_show_and_export(self, demo: Ran) -> None:
        shown = command("keys", demo.folder / "site.toml").stdout
        enrolment = json.loads(command("keys", demo.folder / "site.toml", "export").stdout)
        assert enrolment["thumbprint"] in shown
        assert "PRIVATE" not in enrolment["public_key_pem"]

    def test_a_rotated_key_is_vouched_for_by_the_old_one(self, demo: Ran, tmp_path: Path) -> None:
        folder = shutil.copytree(demo.folder, tmp_path / "run", ignore=shutil.ignore_patterns("tty*"))
        before = command("keys", folder / "site.toml").stdout
        done = command("keys", folder / "site.toml", "rotate")
        assert done.returncode == 0, done.stderr
        assert command("keys", folder / "site.toml").stdout != before
        old = tmp_path / "old.pem"
        old.write_text(json.loads(command("keys", demo.folder / "site.toml", "export").stdout)["public_key_pem"])
        out = tmp_path / "evidence"
        command("export", folder / "site.toml", "--format", "batches", "--out", out)
        (out / "gateway.pem").unlink()
        done = command("verify", "--key", old, out)
        assert done.returncode == 0, done.stdout
