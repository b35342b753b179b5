"""Layouts, records and a plain statement of what a payload must give back, for the tests of the codec."""

import math
from array import array

from hypothesis import strategies as st

from gateway.model import Column, DeviceLayout, Layout, Miss, Quality, Scan

GOOD, TIMEOUT, SENSOR_FAULT = Quality.GOOD, Quality.TIMEOUT, Quality.SENSOR_FAULT
BAD = [quality for quality in Quality if quality.bad]
USABLE = [quality for quality in Quality if not quality.bad]


def make_layout(*devices: tuple[int | None, ...], period_ms: int = 1000, phase_ms: int = 0) -> Layout:
    """One device for each tuple of decimals."""
    return Layout(
        tuple(
            DeviceLayout(
                f"device-{number}",
                "bus",
                "maker/model",
                "00" * 32,
                period_ms,
                phase_ms,
                tuple(Column(f"channel-{place}", "degC", places) for place, places in enumerate(decimals)),
            )
            for number, decimals in enumerate(devices)
        )
    )


def scan(device: int, slot: int, *values: float, late_ms: int = 0, quality: bytes | None = None) -> Scan:
    """A scan on a grid of 1000 ms without phase; NaN has the quality of a sensor fault."""
    marks = quality or bytes(SENSOR_FAULT if math.isnan(value) else GOOD for value in values)
    return Scan(device, slot, slot * 1000 + late_ms, array("d", values), marks)


def canonical(layout: Layout, records: list[Scan | Miss]) -> list[Scan | Miss]:
    """What decoding gives back: by device and slot, misses that touch joined, no negative zero among decimals."""
    found: list[Scan | Miss] = []
    for record in sorted(records, key=lambda record: (record.device, record.slot)):
        last = found[-1] if found else None
        if isinstance(record, Scan):
            columns = layout.devices[record.device].columns
            values = array(
                "d",
                [
                    value if column.decimals is None else value + 0.0
                    for value, column in zip(record.values, columns, strict=True)
                ],
            )
            found.append(Scan(record.device, record.slot, record.at_ms, values, record.quality, record.raw))
        elif (
            isinstance(last, Miss)
            and (last.device, last.slot + last.count, last.quality) == (record.device, record.slot, record.quality)
            and last.raw is None is record.raw
        ):
            found[-1] = Miss(last.device, last.slot, last.count + record.count, last.quality)
        else:
            found.append(record)
    return found


def exactly(records: list[Scan | Miss]) -> tuple[object, ...]:
    """Records in a form whose equality is that of the bits (NaN equals NaN, 0.0 is not -0.0)."""
    return tuple(
        (record.device, record.slot, record.at_ms, record.values.tobytes(), record.quality, record.raw)
        if isinstance(record, Scan)
        else (record.device, record.slot, record.count, int(record.quality), record.raw)
        for record in records
    )


decimal_places = st.one_of(st.none(), st.integers(0, 4), st.integers(0, 22))
raws = st.one_of(st.none(), st.none(), st.binary(max_size=12))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Up to four devices of up to four columns, with any schedule."""
    devices = []
    for number in range(draw(st.integers(1, 4))):
        columns = draw(st.lists(decimal_places, max_size=4))
        devices.append(
            DeviceLayout(
                f"d{number}",
                "b",
                "m",
                "h",
                draw(st.sampled_from([1, 250, 1000, 60_000, 2**40])),
                draw(st.sampled_from([0, 1, 700, 2**33])),
                tuple(Column(f"c{place}", "u", places) for place, places in enumerate(columns)),
            )
        )
    return Layout(tuple(devices))


def _values(decimals: int | None) -> st.SearchStrategy[float]:
    anything = st.floats(allow_nan=False, allow_infinity=False)
    if decimals is None:
        return st.one_of(anything, st.floats(width=32, allow_nan=False, allow_infinity=False), st.just(21.5))
    counts = st.one_of(st.integers(-300, 300), st.integers(-300, 300), st.integers(-(2**53), 2**53))
    whole = counts.map(lambda count: count / 10**decimals)
    return st.one_of(whole, whole, whole, st.sampled_from([0.0, -0.0, 1e308, 5e-324, 0.1 + 0.2]), anything)


@st.composite
def scan_of(draw: st.DrawFn, layout: Layout, device: int, slot: int) -> Scan:
    """One scan of a device at a slot, with values of every kind and bad ones among them."""
    plan = layout.devices[device]
    spoiled = draw(st.booleans())
    qualities = bytes(draw(st.sampled_from(USABLE + BAD if spoiled else [GOOD])) for _ in plan.columns)
    values = [
        math.nan if quality >= 0x80 else draw(_values(column.decimals))
        for quality, column in zip(qualities, plan.columns, strict=True)
    ]
    due = slot * plan.period_ms + plan.phase_ms
    at_ms = max(0, min(2**53, due + draw(st.one_of(st.integers(0, 40), st.integers(-(2**45), 2**45)))))
    return Scan(device, slot, at_ms, array("d", values), qualities, draw(raws) if spoiled else None)


@st.composite
def records_of(draw: st.DrawFn, layout: Layout) -> list[Scan | Miss]:
    """At least one record, in any order, no slot accounted for twice."""
    found: list[Scan | Miss] = []
    for device, plan in enumerate(layout.devices):
        last = (2**53 - plan.phase_ms) // plan.period_ms
        slot = draw(st.one_of(st.just(0), st.integers(0, last // 2)))
        for _ in range(draw(st.integers(0 if device or found else 1, 6))):
            slot += draw(st.sampled_from([0, 0, 0, 1, 7, 1000]))
            if slot + 10 > last:
                break
            if draw(st.integers(0, 3)):
                found.append(draw(scan_of(layout, device, slot)))
                slot += 1
            else:
                count = draw(st.integers(1, 5))
                found.append(Miss(device, slot, count, draw(st.sampled_from(BAD[:2])), draw(raws)))
                slot += count
    if not found:
        found.append(Miss(0, 0, 1, TIMEOUT))
    return draw(st.permutations(found))
