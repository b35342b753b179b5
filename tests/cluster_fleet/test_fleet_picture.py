"""What a chart is drawn of: every gap is one, no line is drawn over it, and broken settings draw nothing."""

from array import array
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster.derive.nouns import Rolled
from gateway.cluster.derive.segment import Segment
from gateway.cluster.fleet.picture import NO_NEWS, limits_of, of_hours, of_values

HOUR_MS = 3_600_000


def segment(*readings: tuple[int, float, int]) -> Segment:
    times, values, quality = zip(*readings, strict=True) if readings else ((), (), ())
    return Segment(array("q", times), array("d", values), bytes(quality))


def test_a_hole_a_bad_stretch_and_an_end_are_gaps_with_their_cause() -> None:
    nan = float("nan")
    found = of_values(
        [segment((0, 1.0, 0), (1000, 1.5, 0)), segment((10_000, 2.0, 0), (11_000, nan, 0x81), (12_000, 3.0, 0x41))],
        0,
        60_000,
        1000,
    )
    assert [(gap.start_ms, gap.end_ms, gap.cause) for gap in found.gaps] == [
        (1000, 10_000, NO_NEWS),
        (10_000, 12_000, "device did not answer in time"),
        (12_000, 60_000, NO_NEWS),
    ]
    assert (found.good, found.uncertain, found.bad) == (3, 1, 1)
    assert list(found.series.values) == [1.0, 1.5, 2.0, 3.0]


def test_nothing_at_all_is_one_gap() -> None:
    assert [gap[:2] for gap in of_values([], 5, 90_000, 1000).gaps] == [(5, 90_000)]
    assert of_values([], 5, 5, 1000).gaps == ()


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-50, 50), st.sampled_from([0, 0x41, 0x81, 0xFF]))))
def test_gaps_and_values_never_overlap(readings: list[tuple[int, float, int]]) -> None:
    readings.sort()
    found = of_values([segment(*readings)], 0, 10**6 + 1, 1000)
    assert found.good + found.uncertain + found.bad == len(readings)
    assert all(first.end_ms <= second.start_ms for first, second in pairwise(found.gaps))
    for gap in found.gaps:
        assert gap.cause
        assert not any(gap.start_ms < at < gap.end_ms for at in found.series.times)
    times = list(found.series.times)
    for earlier, later in pairwise(times):
        if later - earlier > 2500:
            assert any(gap.start_ms == earlier and gap.end_ms == later for gap in found.gaps)


def test_hours_give_both_extremes_and_their_gaps() -> None:
    rows = [
        Rolled(0, 60, 0, 0, 1.0, 4.0, 2.0),
        Rolled(HOUR_MS, 0, 0, 60, None, None, None),
        Rolled(2 * HOUR_MS, 10, 50, 0, 2.0, 3.0, 2.5),
    ]
    found = of_hours(rows, 0, 10 * HOUR_MS, HOUR_MS)
    assert list(found.series.values) == [1.0, 4.0, 2.0, 3.0]
    assert [(gap.start_ms, gap.end_ms, gap.cause) for gap in found.gaps] == [
        (HOUR_MS, 2 * HOUR_MS, "only readings without a value"),
        (3 * HOUR_MS, 10 * HOUR_MS, NO_NEWS),
    ]
    assert (found.good, found.uncertain, found.bad) == (70, 50, 60)


@pytest.mark.parametrize(
    "settings",
    [
        None,
        [],
        "x",
        {},
        {"profile": "store"},
        {"profile": {"limits": {}}},
        {
            "profile": {
                "limits": [
                    None,
                    3,
                    {},
                    {"limit": "7", "tier": "critical"},
                    {"limit": float("inf"), "tier": "alert"},
                ]
            }
        },
    ],
)
def test_settings_that_are_none_have_no_limits(settings: Any) -> None:
    assert limits_of(settings) == []
