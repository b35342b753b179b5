"""What is told of the disk: read from a tree that looks as the kernel's does, kept over restarts, never made up."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.operations.card import WearBook, card_of, process_written_bytes
from gateway.operations.forecast import FullForecast
from gateway.operations.vitals import CARD_FILE, Vitals

GB = 10**9
DAY = 86400.0


def kernel(root: Path, folder: Path, *, sectors: int, **attributes: str) -> Path:
    """A /sys in which ``folder`` lies on the second partition of an mmc card."""
    number = folder.stat().st_dev
    card = root / "devices/platform/soc/mmc0/block/mmcblk0"
    partition = card / "mmcblk0p2"
    (card / "device").mkdir(parents=True, exist_ok=True)
    partition.mkdir(exist_ok=True)
    (partition / "partition").write_text("2\n")
    (partition / "stat").write_text("1 1 1 1 1 1 1 1 1 1 1\n")
    (card / "stat").write_text(f" 9000 10 700000 4000 8000 90 {sectors} 60000 0 40000 64000 0 0 0 0 0 0\n")
    for name, text in attributes.items():
        (card / "device" / name).write_text(text + "\n")
    link = root / f"dev/block/{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(partition)
    return root


class TestCard:
    def test_it_is_the_whole_card_that_wears_not_the_partition(self, tmp_path: Path) -> None:
        card = card_of(tmp_path, kernel(tmp_path / "sys", tmp_path, sectors=2000, cid="1b534d"))
        assert card is not None
        assert (card.name, card.id, card.written_bytes) == ("mmcblk0", "1b534d", 2000 * 512)
        assert card.life_used == {}

    def test_what_an_emmc_says_of_its_life(self, tmp_path: Path) -> None:
        card = card_of(tmp_path, kernel(tmp_path / "sys", tmp_path, sectors=1, cid="x", life_time="0x03 0x0b"))
        assert card is not None
        assert card.life_used == {"a": 0.3, "b": 1.1}

    @pytest.mark.parametrize("text", ["", "0x00 0x00", "nonsense", "0xff 0x80", "3"])
    def test_a_life_that_is_not_said_is_not_guessed(self, tmp_path: Path, text: str) -> None:
        card = card_of(tmp_path, kernel(tmp_path / "sys", tmp_path, sectors=1, life_time=text))
        assert card is not None
        assert card.life_used in ({}, {"a": 0.3})
        assert (card.life_used == {"a": 0.3}) == (text == "3")

    def test_a_folder_on_no_device_has_no_card(self, tmp_path: Path) -> None:
        (tmp_path / "sys/dev/block").mkdir(parents=True)
        assert card_of(tmp_path, tmp_path / "sys") is None
        kernel(tmp_path / "sys", tmp_path, sectors=1)
        (tmp_path / "sys/devices/platform/soc/mmc0/block/mmcblk0/stat").write_text("damaged\n")
        assert card_of(tmp_path, tmp_path / "sys") is None

    def test_what_the_process_wrote_is_the_kernels_count(self, tmp_path: Path) -> None:
        assert process_written_bytes() is not None
        (tmp_path / "self").mkdir()
        (tmp_path / "self/io").write_text("rchar: 5\nwchar: 7\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n")
        assert process_written_bytes(tmp_path) == 4096
        (tmp_path / "self/io").write_text("rchar: 5\n")
        assert process_written_bytes(tmp_path) is None


class TestWearBook:
    def test_writes_are_summed_over_restarts_and_reboots(self, tmp_path: Path) -> None:
        path = tmp_path / CARD_FILE

        def seen(written: int, boot: str, cid: str = "1b53") -> int:
            card = card_of(tmp_path, kernel(tmp_path / "sys", tmp_path, sectors=written, cid=cid))
            assert card is not None
            book = WearBook(path)
            total = book.count(card, boot)
            book.save()
            return total // 512

        assert seen(100, "boot-1") == 100
        assert seen(160, "boot-1") == 160
        assert seen(30, "boot-2") == 190
        assert seen(7, "boot-2", "another-card") == 7
        assert seen(50, "boot-2") == 210

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=30))
    def test_the_sum_is_what_was_written(self, steps: list[tuple[int, bool]]) -> None:
        from gateway.operations.card import Card

        book = WearBook(Path("/nowhere/card.json"))
        boot, since_boot, written, total = 0, 0, 0, 0
        for more, reboots in steps:
            if reboots:
                boot, since_boot = boot + 1, 0
            since_boot, written = since_boot + more, written + more
            total = book.count(Card("sda", "id", since_boot), str(boot))
        assert total == written

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"cards": {"x": {"bytes": "many"}}}', '{"cards": 3}'])
    def test_a_damaged_file_is_said_and_counting_begins_anew(self, tmp_path: Path, content: str) -> None:
        (tmp_path / CARD_FILE).write_text(content)
        book = WearBook(tmp_path / CARD_FILE)
        assert book.damaged
        card = card_of(tmp_path, kernel(tmp_path / "sys", tmp_path, sectors=3))
        assert card is not None
        assert book.count(card, "b") == 3 * 512


class TestFullForecast:
    def test_a_disk_that_fills_evenly_is_full_when_it_says(self) -> None:
        forecast = FullForecast()
        for minute in range(0, 721, 10):
            forecast.note(minute * 60, 5 * GB + minute * 10**6)
        left_s = forecast.full_in_s(free_bytes=720 * 10**6)
        assert left_s == pytest.approx(720 * 60)

    def test_nothing_is_said_before_an_hour(self) -> None:
        forecast = FullForecast()
        for minute in range(0, 59, 10):
            forecast.note(minute * 60, minute * GB)
        assert forecast.full_in_s(GB) is None

    @pytest.mark.parametrize("growth", [0, -(10**6), 1])
    def test_a_disk_that_does_not_fill_has_no_end(self, growth: int) -> None:
        forecast = FullForecast()
        for hour in range(24):
            forecast.note(hour * 3600, 50 * GB + growth * hour)
        assert forecast.full_in_s(100 * GB) is None

    def test_what_comes_and_goes_does_not_frighten(self) -> None:
        forecast = FullForecast()
        for step in range(144):
            forecast.note(step * 600, 5 * GB + (step % 2) * 64 * 10**6)
        left_s = forecast.full_in_s(20 * GB)
        assert left_s is None or left_s > 365 * DAY


class TestVitals:
    def test_a_life_needs_a_stated_endurance_and_an_hour(self, tmp_path: Path) -> None:
        now = [0.0]
        sys = kernel(tmp_path / "sys", tmp_path, sectors=0, cid="card")
        vitals = Vitals(tmp_path, "boot", endurance_bytes=100 * 10**12, sys=sys, now_s=lambda: now[0])
        silent = Vitals(tmp_path, "boot", sys=sys, now_s=lambda: now[0])
        for hour in range(25):
            now[0] = hour * 3600.0
            kernel(tmp_path / "sys", tmp_path, sectors=hour * 10**9 // 24 // 512)
            vitals.look()
            silent.look()
            assert bool(vitals.disk.life_s) == (hour >= 1)
        assert silent.disk.life_s == {}
        # 1 GB a day, 100 TB endurance: 10 TB at tenfold amplification are 10 000 days.
        assert vitals.disk.life_s[10] == pytest.approx(9999 * DAY, rel=1e-3)
        assert vitals.disk.life_s[100] == pytest.approx(999 * DAY, rel=1e-2)
        names = {name for name, _, _ in vitals.samples()}
        assert {
            "aurora_disk_life_left_seconds",
            "aurora_disk_free_bytes",
            "aurora_disk_card_written_bytes",
        } <= names

    def test_the_count_is_kept_every_hour_and_found_again(self, tmp_path: Path) -> None:
        now = [0.0]
        sys = kernel(tmp_path / "sys", tmp_path, sectors=1000, cid="card")
        vitals = Vitals(tmp_path, "boot", sys=sys, now_s=lambda: now[0])
        vitals.look()
        assert not (tmp_path / CARD_FILE).exists()
        now[0] = 3601.0
        vitals.look()
        assert json.loads((tmp_path / CARD_FILE).read_text())["cards"]["card"]["bytes"] == 1000 * 512
        later = Vitals(tmp_path, "next boot", sys=kernel(tmp_path / "sys", tmp_path, sectors=10), now_s=lambda: 0.0)
        later.look()
        assert later.disk.card_bytes == 1010 * 512

    def test_a_folder_that_is_gone_tells_nothing(self, tmp_path: Path) -> None:
        vitals = Vitals(tmp_path / "gone", "boot")
        vitals.look()
        assert vitals.disk.free_bytes is None
        assert vitals.disk.device == ""
        assert {name for name, _, _ in vitals.samples()} == {"aurora_process_disk_written_bytes_total"}

    async def test_lag_is_the_delay_of_a_timer(self, tmp_path: Path) -> None:
        vitals = Vitals(tmp_path, "boot")
        for late_s in (-0.0005, 0.0005, 0.004, 0.3, 5.0):
            vitals.lag.note(late_s)
        buckets, total = vitals.lag_histogram()
        assert dict(buckets) == {
            "0.001": 2, "0.0025": 2, "0.005": 3, "0.01": 3, "0.025": 3, "0.05": 3, "0.1": 3, "0.25": 3, "1.0": 4,
            "+Inf": 5,
        }  # fmt: skip
        assert total == pytest.approx(5.3045)
        assert vitals.lag.longest_s == 5.0
