"""One month of a cold room, written once: two boots, every kind of trouble, and what people recorded."""

from pathlib import Path

import pytest
from report_site import DIGEST, HOUR_MS, Clock, Pen, Plant, make_layout, utc, wave

from gateway.model import Quality

START, END = utc("2026-10-31T12:00+01:00"), utc("2026-12-01T06:00+01:00")
DOWN, UP = utc("2026-11-20T03:00+01:00"), utc("2026-11-20T04:12+01:00")


def at(day: int, hour: int, minute: int = 0) -> int:
    """A moment of November 2026 in Paris."""
    return utc(f"2026-11-{day:02}T{hour:02}:{minute:02}+01:00")


def _first(pen: Pen) -> None:
    silent, back = at(7, 8), at(7, 9, 40)

    def quality(due: int) -> int:
        if at(10, 0) <= due < at(11, 0):
            return Quality.CALIBRATION_EXPIRED
        return Quality.SENSOR_FAULT if at(12, 4) <= due < at(12, 5) else 0

    pen.event("power_up", START, version="1.0", boot=bytes(16), resumed=False, config=DIGEST)
    pen.scans(START, silent, wave, quality)
    pen.misses(silent, back, Quality.TIMEOUT)
    pen.scans(back, DOWN, wave, quality)
    pen.scans(START, DOWN, lambda _: -20.0, device=1)
    _people(pen)


def _people(pen: Pen) -> None:
    for number, day in enumerate((8, 15), 1):
        # The warm hour of the wave lies around 13:00 in Paris.
        times = {"occurrence": number, "since": at(day, 12, 35), "raised": at(day, 13)}
        done = {"state": "normal", "active": False}
        pen.alarm("alarm.raised", at(day, 13), **times)
        pen.alarm(
            "alarm.acknowledged",
            at(day, 13, 8),
            person="J. Kowalska",
            text="Drzwi otwarte",
            state="acknowledged",
            **times,
        )
        pen.alarm("alarm.returned", at(day, 13, 30), person="J. Kowalska", **times, **done)
        if number == 1:
            pen.alarm(
                "alarm.confirmed", at(day, 14), person="A. Müller", text="Core measured: 4.1 °C", **times, **done
            )
    pen.event(
        "label.defrost",
        at(3, 3, 40),
        device="room-probe",
        channel="temperature",
        start_ms=pen.boot_ms(at(3, 3)),
        peak_ms=pen.boot_ms(at(3, 3, 15)),
        end_ms=pen.boot_ms(at(3, 3, 35)),
        baseline=3.1,
        peak=5.9,
    )
    pen.event(
        "state.declared",
        at(14, 6),
        point="cold-room-1",
        kind="cleaning",
        person="B. de Vries",
        text="weekly",
        until_ms=pen.boot_ms(at(14, 8)),
    )
    pen.event(
        "state.ended",
        at(14, 7, 10),
        point="cold-room-1",
        kind="cleaning",
        person="B. de Vries",
        text="",
        until_ms=None,
    )
    entry = {"person": "A. Müller", "supersedes": None}
    pen.event(
        "record.calibration",
        at(2, 9),
        record="R1",
        text="ice",
        channel="room-probe.temperature",
        certificate="K-2026-0815",
        valid_until="2027-06-30",
        reference_instrument="Pt100 no. 7",
        as_found_passed=True,
        points=[{"reference": 0.0, "as_found": 0.1, "as_left": 0.0}],
        **entry,
    )
    pen.event("record.corrective", at(3, 9), record="R2", text="Door seal replaced", point="cold-room-1", **entry)
    pen.event(
        "record.corrective",
        at(3, 10),
        record="R3",
        text="Door seal and hinge replaced",
        point="cold-room-1",
        person="A. Müller",
        supersedes="R2",
    )
    lot = {"lot": "L-2026-118", "text": "", **entry}
    pen.event("record.lot", at(4, 9), record="R4", point="cold-room-1", direction="in", **lot)
    pen.event("record.lot", at(6, 15), record="R5", point="cold-room-1", direction="out", **lot)
    pen.event("record.lot", at(6, 15, 5), record="R6", point="freezer-1", direction="in", **lot)
    pen.event(
        "config.changed",
        at(9, 11),
        record="R7",
        text="limit of the cold room",
        path="point[1].limit",
        old="8.0",
        new="7.0",
        **entry,
    )
    pen.event(
        "process.result",
        at(9, 12),
        point="cold-room-1",
        calculation="mkt",
        result=4.2,
        unit="degC",
        source="USP <1079.2>",
        words="MKT 4.2",
    )


def _second(pen: Pen) -> None:
    pen.event("power_up", UP, version="1.0", boot=bytes([1]) * 16, resumed=False, config=DIGEST)
    pen.scans(UP, END, wave)
    pen.scans(UP, END, lambda _: -20.0, device=1)


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    plant = Plant(tmp_path_factory.mktemp("month"), make_layout(300_000))
    plant.write(Clock(bytes(16), START - 3 * HOUR_MS), _first)
    plant.write(Clock(bytes([1]) * 16, UP - HOUR_MS // 4), _second)
    return plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path, make_layout(60_000))
