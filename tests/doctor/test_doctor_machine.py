"""Board, storage and clock: what each state of the machine's files means, and what to do."""

import json
from pathlib import Path

import pytest
from doctor_tools import BOOT, disk, machine, site, write
from hypothesis import given
from hypothesis import strategies as st

from gateway.doctor import board, ports, storage, timing
from gateway.doctor.fact import Fact, sheltered, worst
from gateway.doctor.machine import Machine
from gateway.doctor.watch import Watch
from gateway.doctor.wear import Wear, forecast, read_wear, save_wear, seen
from gateway.model import ClockClaim, ClockState

PI = "Raspberry Pi 4 Model B Rev 1.5\0"
TRUSTED = ClockClaim(bytes.fromhex(BOOT), 10_000, 1_800_000_000_000, 20, ClockState.TRUSTED)
UNTRUSTED = ClockClaim(bytes.fromhex(BOOT), 10_000, None, None, ClockState.UNTRUSTED)
THROTTLED = "sys__devices__platform__soc__soc:firmware__get_throttled"


class TestBoard:
    @pytest.mark.parametrize(
        ("milli", "state"), [("45000", "good"), ("69999", "good"), ("70000", "care"), ("81000", "bad")]
    )
    def test_temperature(self, tmp_path: Path, milli: str, state: str) -> None:
        zone = {"sys__class__thermal__thermal_zone0__type": "cpu-thermal\n"}
        box = machine(tmp_path, **zone, sys__class__thermal__thermal_zone0__temp=milli)
        assert board.temperature(box).state == state

    @pytest.mark.parametrize("content", ["", "warm", "\xff"])
    def test_a_temperature_that_is_none(self, tmp_path: Path, content: str) -> None:
        zone = {"sys__class__thermal__thermal_zone0__type": "cpu-thermal\n"}
        box = machine(tmp_path, **zone, sys__class__thermal__thermal_zone0__temp=content)
        assert board.temperature(box).state == "unknown"

    @pytest.mark.parametrize(
        ("bits", "state", "words"),
        [
            ("0", "good", "the voltage is right"),
            ("50005", "bad", "too low now"),
            ("50000", "care", "has been too low since the start"),
            ("2", "care", "slowed down"),
        ],
    )
    def test_the_firmware_s_word_on_the_voltage(self, tmp_path: Path, bits: str, state: str, words: str) -> None:
        fact = board.power(machine(tmp_path, **{THROTTLED: bits + "\n"}))
        assert (fact.state, words in fact.words) == (state, True)

    def test_the_kernel_s_detector_counts_as_well(self, tmp_path: Path) -> None:
        hwmon = {
            "sys__class__hwmon__hwmon3__name": "rpi_volt\n",
            "sys__class__hwmon__hwmon3__in0_lcrit_alarm": "1\n",
        }
        assert board.power(machine(tmp_path, **hwmon)).state == "bad"

    def test_a_board_without_a_detector_is_not_said_to_be_well(self, tmp_path: Path) -> None:
        assert board.power(Machine(tmp_path)).state == "unknown"

    @pytest.mark.parametrize(("free", "state"), [(800, "good"), (90, "care"), (30, "bad")])
    def test_memory(self, tmp_path: Path, free: int, state: str) -> None:
        box = machine(tmp_path, proc__meminfo=f"MemTotal: 1000000 kB\nMemAvailable: {free}000 kB\nHugePages: 0\n")
        assert board.memory(box).state == state

    @pytest.mark.parametrize(
        ("files", "state"),
        [
            ({}, "care"),
            ({"state": "inactive", "timeout": "15"}, "care"),
            ({"state": "active", "timeout": "15"}, "good"),
            ({"state": "active", "timeout": "60"}, "care"),
        ],
    )
    def test_the_watchdog_of_a_raspberry_pi(self, tmp_path: Path, files: dict[str, str], state: str) -> None:
        for name, content in files.items():
            write(tmp_path, f"sys/class/watchdog/watchdog0/{name}", content + "\n")
        box = machine(tmp_path, **{"proc__device-tree__model": PI})
        assert board.watchdog(box).state == state


class TestStorage:
    def test_a_file_system_that_is_well(self, tmp_path: Path) -> None:
        box = disk(tmp_path / "root", tmp_path)
        write(box.root, "sys/fs/ext4/mmcblk0p2/errors_count", "0\n")
        assert storage.file_system(tmp_path / "data", box).state == "good"

    def test_errors_on_the_books_of_ext4(self, tmp_path: Path) -> None:
        box = disk(tmp_path / "root", tmp_path)
        write(box.root, "sys/fs/ext4/mmcblk0p2/errors_count", "3\n")
        fact = storage.file_system(tmp_path, box)
        assert (fact.state, "3 errors" in fact.words, "e2fsck" in fact.remedy) == ("bad", True, True)

    @pytest.mark.parametrize(("kind", "options"), [("overlay", "rw"), ("tmpfs", "rw"), ("ext4", "ro")])
    def test_one_that_keeps_nothing_or_takes_nothing(self, tmp_path: Path, kind: str, options: str) -> None:
        assert (
            storage.file_system(tmp_path, disk(tmp_path / "r", tmp_path, kind=kind, options=options)).state == "bad"
        )

    def test_the_nearest_mount_counts_the_last_one_if_there_are_two(self, tmp_path: Path) -> None:
        lines = f"1 0 0:1 / / rw - ext4 /dev/root rw\n2 1 0:2 / {tmp_path} rw - ext4 /dev/a rw\n"
        box = machine(
            tmp_path / "r", proc__self__mountinfo=lines + f"3 2 0:3 / {tmp_path} rw - tmpfs none rw\nshort\n"
        )
        mount = box.mount_of(tmp_path / "data")
        assert mount is not None
        assert mount.kind == "tmpfs"

    def test_the_journal_may_not_grow_beyond_the_disk(self, tmp_path: Path) -> None:
        from dataclasses import replace

        from gateway.site import BufferSpec

        here = replace(site(tmp_path), buffer=BufferSpec(max_bytes=10**18))
        assert storage.room(here).state in {"care", "bad"}
        assert storage.room(site(tmp_path / "not" / "there")).words == storage.room(site(tmp_path)).words

    @pytest.mark.parametrize(
        ("life", "eol", "state", "words"),
        [
            ("0x01 0x02", "0x01", "good", "20 %"),
            ("0x09 0x01", "0x01", "care", "near its end"),
            ("0x02 0x02", "0x02", "care", "80 % of the spare"),
            ("0x0b 0x01", "0x01", "bad", "100 %"),
            ("0x03 0x03", "0x03", "bad", "90 % of the spare"),
            ("0x00 0x00", "0x00", "unknown", "not defined"),
        ],
    )
    def test_an_emmc_says_itself(self, tmp_path: Path, life: str, eol: str, state: str, words: str) -> None:
        box = disk(tmp_path / "r", tmp_path, type="MMC", life_time=life, pre_eol_info=eol)
        fact = storage.card(tmp_path, box)
        assert (fact.state, words in fact.words) == (state, True), fact

    def test_an_sd_card_of_which_nothing_is_known(self, tmp_path: Path) -> None:
        fact = storage.card(tmp_path, disk(tmp_path / "r", tmp_path))
        assert (fact.state, "made 03/2025" in fact.words) == ("unknown", True)

    @pytest.mark.parametrize(("gigabytes_a_day", "state"), [(0.05, "good"), (40.0, "care")])
    def test_a_forecast_by_what_was_written(self, tmp_path: Path, gigabytes_a_day: float, state: str) -> None:
        save_wear(tmp_path, Wear("1b534d30303030", int(gigabytes_a_day * 1e9 * 10), 864_000.0, BOOT, 0, 0))
        fact = storage.card(tmp_path, disk(tmp_path / "r", tmp_path))
        assert (fact.state, "a guess" in fact.words) == (state, True)

    def test_a_key_that_others_can_read(self, tmp_path: Path) -> None:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys/aurora-gateway.key").write_text("x")
        (tmp_path / "keys/aurora-gateway.key").chmod(0o644)
        tmp_path.chmod(0o700)
        assert [fact.state for fact in storage.permissions(site(tmp_path))] == ["good", "bad"]
        assert [fact.state for fact in storage.permissions(site(tmp_path / "no"))] == ["bad"]


class TestWear:
    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**9), st.integers(1, 10**7)), max_size=30))
    def test_the_sum_never_falls_and_never_counts_twice(self, steps: list[tuple[int, int, int]]) -> None:
        """Over boots, each of which begins at zero, the sum is what the kernel counted up to each last reading."""
        wear, boots = None, {0: 0}
        boot, counter, clock, expected = 0, 0, 0, 0
        for kind, written, passed in steps:
            if kind == 0:
                boot, counter, clock = boot + 1, 0, 0
            counter, clock = counter + written, clock + passed
            expected += written
            wear = seen(wear, cid="a", boot=str(boot), counter=counter, boot_ms=clock)
            assert wear.written == expected
        boots.clear()

    def test_another_card_begins_anew(self) -> None:
        old = Wear("a", 10**12, 1e6, BOOT, 10**12, 10**9)
        assert seen(old, cid="b", boot=BOOT, counter=5, boot_ms=1000) == Wear("b", 5, 1.0, BOOT, 5, 1000)

    def test_no_forecast_without_a_rate(self) -> None:
        assert forecast(Wear("a", 10**9, 60.0, BOOT, 0, 0), 10**10) is None
        assert forecast(Wear("a", 0, 1e6, BOOT, 0, 0), 10**10) is None

    def test_the_forecast_by_hand(self) -> None:
        # 1 GB a day on 32 GB: 16 TB of endurance, less 10 (or 100) GB moved in a day, at 10 (or 100) GB a day.
        days = forecast(Wear("a", 10**9, 86400.0, BOOT, 0, 0), 32 * 10**9)
        assert days == pytest.approx((159.0, 1599.0))

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"cid": 1}', '{"x": 1}', "\xff"])
    def test_a_damaged_memory_is_none(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "wear.json").write_text(content)
        assert read_wear(tmp_path) is None

    def test_it_is_kept(self, tmp_path: Path) -> None:
        wear = Wear("a", 1, 2.0, BOOT, 3, 4)
        save_wear(tmp_path, wear)
        assert read_wear(tmp_path) == wear


class TestTime:
    def test_states_of_the_clock(self) -> None:
        assert timing.clock(TRUSTED, "chrony").state == "good"
        assert timing.clock(UNTRUSTED, "").state == "care"
        assert timing.clock(TRUSTED._replace(state=ClockState.HOLDOVER), "").state == "care"

    @pytest.mark.parametrize(
        ("claim", "at", "state"),
        [(TRUSTED, "1800000002", "good"), (TRUSTED, "1800000100", "care"), (UNTRUSTED, "1800000000", "unknown")],
    )
    def test_the_hardware_clock(self, tmp_path: Path, claim: ClockClaim, at: str, state: str) -> None:
        box = machine(tmp_path, sys__class__rtc__rtc0__since_epoch=at)
        assert [fact.state for fact in timing.hardware_clock(box, claim)] == [state]

    def test_a_pi_5_without_its_battery(self, tmp_path: Path) -> None:
        box = machine(
            tmp_path,
            sys__class__rtc__rtc0__since_epoch="1800000000",
            sys__class__rtc__rtc0__charging_voltage="0",
            **{"proc__device-tree__model": "Raspberry Pi 5 Model B\0"},
        )
        assert [fact.state for fact in timing.hardware_clock(box, TRUSTED)] == ["good", "care"]


class TestHost:
    def test_logs_that_are_lost_with_the_power(self, tmp_path: Path) -> None:
        (tmp_path / "run/log/journal").mkdir(parents=True)
        assert ports.log_storage(Machine(tmp_path)).state == "care"
        (tmp_path / "var/log/journal").mkdir(parents=True)
        assert ports.log_storage(Machine(tmp_path)).state == "good"

    def test_modem_manager_is_kept_away_by_the_rules(self, tmp_path: Path) -> None:
        box = machine(tmp_path, proc__77__comm="ModemManager\n")
        assert [fact.state for fact in ports.strangers(box)] == ["care"]
        write(tmp_path, "etc/udev/rules.d/77-aurora.rules", "")
        assert [fact.state for fact in ports.strangers(box)] == ["good"]


class TestWatch:
    def test_what_the_running_gateway_sees_of_its_box(self, tmp_path: Path) -> None:
        box = disk(tmp_path / "r", tmp_path, written=10**9)
        watch = Watch(site(tmp_path), box)
        assert watch.shown == []
        watch.look(TRUSTED)
        levels = dict(watch.levels())
        assert levels["file-system"] == 0
        assert "power" not in levels, "what is unknown has no level"
        kept = read_wear(tmp_path)
        assert kept is not None
        assert (kept.written, kept.cid) == (10**9, "1b534d30303030")

    def test_what_becomes_bad_is_told_once_and_when_it_is_over(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "gateway.doctor.watch")
        box = disk(tmp_path / "r", tmp_path)
        watch = Watch(site(tmp_path), machine(box.root, **{THROTTLED: "1"}))
        watch.look(TRUSTED)
        watch.look(TRUSTED)
        assert [fact.name for fact in watch.shown if fact.state == "bad"] == ["Power"]
        write(box.root, THROTTLED.replace("__", "/"), "0")
        watch.look(TRUSTED)
        told = [record.getMessage() for record in caplog.records]
        assert told == ["power: the voltage is too low now (below 4.63 V)", "power: is over"]


def test_a_check_that_breaks_is_a_finding_and_no_end() -> None:
    def broken() -> Fact:
        raise ZeroDivisionError

    (fact,) = sheltered("x", broken)
    assert (fact.state, "ZeroDivisionError" in fact.words) == ("unknown", True)


def test_the_worst_of_facts() -> None:
    facts = [Fact("a", "A", "unknown", ""), Fact("b", "B", "good", ""), Fact("c", "C", "care", "")]
    assert (worst(facts), worst(facts[:2]), worst([])) == ("care", "unknown", "good")
    assert json.dumps(facts[0].id)
