"""Snapshots of the detectors: what does not fit is refused by name, and changes nothing."""

import struct
import zlib
from typing import Any

import pytest
from gateway_core.anomaly import Bank, Config, PureBank
from gateway_core.anomaly_state import DOUBLES
from hypothesis import given
from hypothesis import strategies as st

KINDS = [PureBank, Bank]


def filled(kind: Any, channels: int = 2, config: Config = Config()) -> Any:  # noqa: B008 - immutable
    bank = kind(channels, config)
    for place in range(50):
        bank.update(place % channels, 60.0 * place, float(place % 7))
    return bank


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def with_double(kept: bytes, place: int, value: float) -> bytes:
    at = 20 + 8 * place
    return sealed(kept[:at] + struct.pack("<d", value) + kept[at + 8 : -4])


@pytest.mark.parametrize("kind", KINDS)
def test_twins_take_each_others_snapshots(kind: Any) -> None:
    kept = filled(kind).snapshot()
    for other in KINDS:
        bank = other(2)
        bank.restore(kept)
        assert bank.snapshot() == kept


GOOD = filled(PureBank).snapshot()
BAD = {
    "nothing": (b"", "too few"),
    "foreign": (b"SQLite format 3\0" + bytes(4000), "not a snapshot"),
    "newer": (sealed(GOOD[:4] + struct.pack("<H", 2) + GOOD[6:-4]), "version 2"),
    "cut short": (GOOD[:-9], "cut short"),
    "longer": (GOOD + b"\0", "something behind"),
    "one bit": (GOOD[:500] + bytes([GOOD[500] ^ 1]) + GOOD[501:], "checksum"),
    "other settings": (filled(PureBank, config=Config.over(60.0)).snapshot(), "made with settings"),
    "other channels": (filled(PureBank, 3).snapshot(), "3 channels"),
    "not a number": (with_double(GOOD, DOUBLES + 5, float("nan")), "channel 1"),
    "no such statistic": (with_double(GOOD, DOUBLES - 6, 14.0), "channel 0"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_by_name(kind: Any, name: str) -> None:
    kept, said = BAD[name]
    bank = filled(kind)
    before = bank.snapshot()
    with pytest.raises(ValueError, match=said):
        bank.restore(kept)
    assert bank.snapshot() == before


@given(st.binary(max_size=200) | st.integers(0, len(GOOD) - 1).map(lambda at: GOOD[:at] + b"\x5a" + GOOD[at + 1 :]))
def test_no_bytes_do_harm(kept: bytes) -> None:
    for kind in KINDS:
        bank = kind(2)
        try:
            bank.restore(kept)
        except ValueError:
            continue
        assert bank.snapshot() == kept
