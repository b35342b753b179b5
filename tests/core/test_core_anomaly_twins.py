"""The compiled detectors and their readable twin give the same bits: scores, states, explanations."""

import math
import struct
from array import array
from typing import Any

import pytest
from gateway_core import PURE, REQUIRED, compiled
from gateway_core.anomaly import Bank, Config, PureBank
from hypothesis import given, settings
from hypothesis import strategies as st

HOUR = 3600.0
QUICK = Config.over(6 * HOUR)
"""Learns in six hours, so that a short stream shows everything."""


def test_the_compiled_bank_is_used_where_there_is_one() -> None:
    assert (Bank is not PureBank) == (compiled("_anomaly") is not None)
    assert not REQUIRED or PURE or Bank is not PureBank


def bits(value: float) -> bytes:
    return struct.pack("<d", value) if value == value else b"nan"


odd = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e100, -1e100, 1.1e100, 1e-200, 1e308])
usual = st.sampled_from([-18.0, -17.5, -18.25, 4.0, 0.0]) | st.floats(-30.0, 10.0, width=32)
steps = st.sampled_from(
    [60.0, 60.0, 60.0, 300.0, 61.5, 0.0, 1e-9, 3600.0, 40000.0, -60.0, -7200.0, 1e9, -1e9, math.nan, 1e16]
)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[float, float, int, int]]:
    """A stretch of ordinary hours, so that bands exist, with something odd behind it, and so on."""
    rows = []
    t = draw(st.sampled_from([0.0, 1.7e9, -5e5, 12345.678]))
    seed = draw(st.integers(1, 2**31 - 1))
    for _ in range(draw(st.integers(1, 4))):
        period = draw(st.sampled_from([60.0, 300.0, 600.0]))
        wave = draw(st.sampled_from([600.0, 3600.0, 86400.0]))
        base = draw(usual)
        noise = draw(st.sampled_from([0.0, 0.1, 2.0]))
        for _ in range(draw(st.integers(0, 250))):
            seed = seed * 48271 % (2**31 - 1)
            t += period
            phase = t / wave
            rows.append((t, base + (phase - math.floor(phase)) + noise * (seed / 2**31 - 0.5), 1, 0))
        for step, x, usable, expected in draw(
            st.lists(
                st.tuples(steps, odd | usual, st.sampled_from([1, 1, 1, 0]), st.sampled_from([0, 0, 1])),
                max_size=12,
            )
        ):
            rows.append((t + step, x, usable, expected))
            if abs(step) < 1e12:
                t += step
    return rows


@pytest.mark.skipif(Bank is PureBank, reason="no compiled core: there is one twin alone")
@settings(max_examples=60, deadline=None)
@given(streams())
def test_twins_give_the_same_bits(rows: list[tuple[float, float, int, int]]) -> None:
    twin, core = PureBank(1, QUICK), Bank(1, QUICK)
    for place, (t, x, usable, expected) in enumerate(rows):
        ours, theirs = (bank.update(0, t, x, bool(usable), bool(expected)) for bank in (twin, core))
        assert bits(ours) == bits(theirs), (place, ours, theirs)
        assert ours != ours or 0.0 <= ours <= 1.0
    assert twin.snapshot() == core.snapshot()
    assert repr(twin.explain(0)) == repr(core.explain(0))
    assert twin.verdict(0) is core.verdict(0)


@pytest.mark.parametrize("kind", [PureBank, Bank])
@settings(max_examples=25, deadline=None)
@given(streams(), st.data())
def test_a_restart_changes_no_bit(
    kind: Any, rows: list[tuple[float, float, int, int]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    through, before, after = kind(2, QUICK), kind(2, QUICK), kind(2, QUICK)
    for t, x, usable, expected in rows[:cut]:
        through.update(1, t, x, bool(usable), bool(expected))
        before.update(1, t, x, bool(usable), bool(expected))
    after.restore(before.snapshot())
    for t, x, usable, expected in rows[cut:]:
        one = through.update(1, t, x, bool(usable), bool(expected))
        assert bits(one) == bits(after.update(1, t, x, bool(usable), bool(expected)))
    assert through.snapshot() == after.snapshot()


@pytest.mark.parametrize("kind", [PureBank, Bank])
def test_a_batch_is_the_same_as_one_by_one(kind: Any) -> None:
    batch, single = kind(3, QUICK), kind(3, QUICK)
    count = 900
    channel = array("i", [place % 3 for place in range(count)])
    t = array("d", [60.0 * (place // 3 + 1) for place in range(count)])
    x = array("d", [float(place * place % 37) if place % 50 else math.nan for place in range(count)])
    usable = array("B", [place % 11 != 0 for place in range(count)])
    expected = array("B", [place % 13 == 0 for place in range(count)])
    score = array("d", bytes(8 * count))
    batch.update_many(channel, t, x, usable, score, expected=expected)
    alone = [
        single.update(channel[place], t[place], x[place], bool(usable[place]), bool(expected[place]))
        for place in range(count)
    ]
    assert [bits(value) for value in score] == [bits(value) for value in alone]
    assert batch.snapshot() == single.snapshot()
    assert any(math.isnan(value) for value in score)
