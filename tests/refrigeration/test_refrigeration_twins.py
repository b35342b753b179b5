"""The compiled bank and its readable twin give the same bits, whatever comes."""

import struct
from array import array

import pytest
from gateway_core import compiled, translate
from gateway_core.refrigeration import Bank, PureCore
from hypothesis import given, settings
from hypothesis import strategies as st
from refrigeration_cases import live

COMPILED = compiled("_refrigeration")
needs_core = pytest.mark.skipif(COMPILED is None, reason="the core is not compiled here")


def bits(bank: Bank) -> bytes:
    return bank.snapshot()


def rows(bank: Bank) -> list[bytes]:
    """Notices as bytes, so that NaN equals NaN and 0.0 does not equal -0.0."""
    return [struct.pack(f"<{len(row)}d", *(v if v == v else 0.0 for v in row)) for row in bank._core.drain()]


def both(kinds: list[str]) -> tuple[Bank, Bank]:
    assert COMPILED is not None
    return Bank(kinds, core=COMPILED.Core), Bank(kinds, core=PureCore)


PIECES = st.tuples(
    st.sampled_from(["cycle", "flat", "rise", "noise", "odd"]),
    st.integers(1, 60),
    st.sampled_from([1.0, 7.0, 30.0, 60.0, 60.0, 300.0, 900.0, 5000.0]),
    st.floats(-30, 30),
    st.randoms(use_true_random=False),
)
ODD = [float("nan"), float("inf"), -float("inf"), 1e300, -0.0, 5e-324]


def stream(pieces: list[object]) -> tuple[list[float], list[float], list[int]]:
    """Times, values and usability: pieces of life, with what a bad line adds."""
    t, times, values, usable = 0.0, [], [], []
    for shape, count, step, level, chance in pieces:  # type: ignore[misc]
        for k in range(count):
            t += step * chance.choice([1, 1, 1, 1, 1, 0.5, 2, 0, -3])
            value = {
                "cycle": level + (k % 12 if k % 12 < 6 else 12 - k % 12) * 0.4,
                "flat": level,
                "rise": level + k * 0.3,
                "noise": level + chance.gauss(0, 0.2),
                "odd": chance.choice([*ODD, level]),
            }[shape]
            times.append(chance.choice([t] * 30 + [float("nan"), 1e300]))
            values.append(value)
            usable.append(0 if chance.random() < 0.03 else 1)
    return times, values, usable


@needs_core
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["room", "process"]), st.lists(PIECES, min_size=1, max_size=12))
def test_twins_agree_on_anything(kind: str, pieces: list[object]) -> None:
    compiled_bank, pure = both([kind])
    times, values, usable = stream(pieces)
    for t, x, good in zip(times, values, usable, strict=True):
        assert compiled_bank.update(0, t, x, bool(good)) == pure.update(0, t, x, bool(good))
    assert rows(compiled_bank) == rows(pure)
    assert bits(compiled_bank) == bits(pure)


@needs_core
@pytest.mark.parametrize(
    ("kind", "period_s", "days"), [("cabinet", 60.0, 9), ("freezer", 300.0, 21), ("chill", 900.0, 20)]
)
def test_twins_agree_over_weeks(kind: str, period_s: float, days: float) -> None:
    month = live(kind, days=days, seed=5, period_s=period_s, setpoints={days * 0.7: 1.5})
    compiled_bank, pure = both(["room"])
    count = len(month.t_s)
    flags = [array("B", bytes(count)), array("B", bytes(count))]
    for bank, out in zip((compiled_bank, pure), flags, strict=True):
        bank.update_many(array("i", [0]) * count, month.t_s, month.x, array("B", b"\1" * count), out)
    assert flags[0] == flags[1]
    assert any(flags[0])
    told = rows(compiled_bank)
    assert told == rows(pure)
    assert len(told) > 5
    assert bits(compiled_bank) == bits(pure)


def test_the_translation_is_up_to_date() -> None:
    assert translate.TARGET.read_text(encoding="utf-8") == translate.translated()


def test_only_plain_arithmetic_is_used() -> None:
    text = translate.translated()
    for forbidden in ("**", "math.", "exp(", "log(", "sqrt", "sin(", "%"):
        assert forbidden not in text.split("cdef inline double absolute")[1]
