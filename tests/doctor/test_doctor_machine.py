"""Board, storage and clock: what each state of the machine's files means, and what to do."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from doctor_tools import BOOT, disk, machine, site, write

from gateway.doctor import board, ports, storage, timing
from gateway.doctor.fact import Fact, sheltered, worst
from gateway.doctor.machine import Machine
from gateway.doctor.watch import Watch
from gateway.model import ClockClaim, ClockState
from gateway.operations.card import Card as CountedCard
from gateway.operations.card import WearBook
from gateway.operations.vitals import CARD_FILE
from gateway.site import BufferSpec

PI = "Raspberry Pi 4 Model B Rev 1.5\0"
TRUSTED = ClockClaim(bytes.fromhex(BOOT), 10_000, 1_800_000_000_000, 20, ClockState.TRUSTED)
UNTRUSTED = ClockClaim(bytes.fromhex(BOOT), 10_000, None, None, ClockState.UNTRUSTED)
THROTTLED = "sys__devices__platform__soc__soc:firmware__get_throttled"


def processor(box: Machine) -> Fact:
    return next(fact for fact in board.standing(box) if fact.id == "temperature")


def power(box: Machine) -> Fact:
    return next(fact for fact in board.standing(box) if fact.id == "power")


class TestBoard:
    @pytest.mark.parametrize(
        ("milli", "state"), [("45000", "good"), ("69999", "good"), ("70000", "care"), ("81000", "bad")]
    )
    def test_temperature(self, tmp_path: Path, milli: str, state: str) -> None:
        zone = {"sys__class__thermal__thermal_zone0__type": "cpu-thermal\n"}
        box = machine(tmp_path, **zone, sys__class__thermal__thermal_zone0__temp=milli)
        assert processor(box).state == state

    @pytest.mark.parametrize("content", ["", "warm", "\xff"])
    def test_a_temperature_that_is_none(self, tmp_path: Path, content: str) -> None:
        zone = {"sys__class__thermal__thermal_zone0__type": "cpu-thermal\n"}
        box = machine(tmp_path, **zone, sys__class__thermal__thermal_zone0__temp=content)
        assert processor(box).state == "unknown"

    @pytest.mark.parametrize(
        ("bits", "state", "words"),
        [
            ("0", "good", "the voltage is right"),
            ("50005", "bad", "too low now"),
            ("50000", "good", "the voltage is right"),
            ("2", "care", "slowed down"),
        ],
    )
    def test_the_firmware_s_word_on_the_voltage(self, tmp_path: Path, bits: str, state: str, words: str) -> None:
        fact = power(machine(tmp_path, **{THROTTLED: bits + "\n"}))
        assert (fact.state, words in fact.words) == (state, True)

    def test_the_kernel_s_detector_counts_as_well(self, tmp_path: Path) -> None:
        hwmon = {
            "sys__class__hwmon__hwmon3__name": "rpi_volt\n",
            "sys__class__hwmon__hwmon3__in0_lcrit_alarm": "1\n",
        }
        assert power(machine(tmp_path, **hwmon)).state == "bad"

    def test_a_board_without_a_detector_is_not_said_to_be_well(self, tmp_path: Path) -> None:
        assert power(Machine(tmp_path)).state == "unknown"

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
        fact = storage.card(site(tmp_path), box)
        assert (fact.state, words in fact.words) == (state, True), fact

    def test_an_sd_card_of_which_nothing_is_known(self, tmp_path: Path) -> None:
        fact = storage.card(site(tmp_path), disk(tmp_path / "r", tmp_path))
        assert (fact.state, "made 03/2025" in fact.words) == ("unknown", True)

    @pytest.mark.parametrize(
        ("written", "promised", "state", "words"),
        [
            (10**9, None, "unknown", "1.0 GB written; how much it stands is not stated"),
            (10**9, 10**12, "good", "1.0% to 10%"),
            (5 * 10**10, 10**12, "care", "50.0% to 500%"),
            (2 * 10**11, 10**12, "bad", "200.0%"),
        ],
    )
    def test_an_sd_card_by_what_the_gateway_counted(
        self, tmp_path: Path, written: int, promised: int | None, state: str, words: str
    ) -> None:
        book = WearBook(tmp_path / CARD_FILE)
        book.count(CountedCard("mmcblk0", "1b534d30303030", written), BOOT)
        book.save()
        here = replace(site(tmp_path), buffer=BufferSpec(card_endurance_bytes=promised))
        fact = storage.card(here, disk(tmp_path / "r", tmp_path))
        assert (fact.state, words in fact.words) == (state, True), fact

    def test_a_key_that_others_can_read(self, tmp_path: Path) -> None:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys/aurora-gateway.key").write_text("x")
        (tmp_path / "keys/aurora-gateway.key").chmod(0o644)
        tmp_path.chmod(0o700)
        assert [fact.state for fact in storage.permissions(site(tmp_path))] == ["good", "bad"]
        assert [fact.state for fact in storage.permissions(site(tmp_path / "no"))] == ["bad"]


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
        box = disk(tmp_path / "r", tmp_path)
        watch = Watch(lambda: site(tmp_path), box)
        assert watch.shown == []
        watch.look(TRUSTED)
        shown = watch.shown
        assert "Power" not in str(shown), "what is unknown is not said to be well"
        levels = dict(watch.levels())
        assert levels["file-system"] == 0
        assert "power" not in levels, "what is unknown has no level"

    def test_what_becomes_bad_is_told_once_and_when_it_is_over(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "gateway.doctor.watch")
        box = disk(tmp_path / "r", tmp_path)
        watch = Watch(lambda: site(tmp_path), machine(box.root, **{THROTTLED: "1"}))
        watch.look(TRUSTED)
        watch.look(TRUSTED)
        assert dict(watch.levels())["power"] == 2
        assert "Power" not in str(watch.shown), "the page has the board's own line"
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
