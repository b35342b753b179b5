"""Layouts and event payloads: plain values come back as they were, anything else is refused by name."""

import zlib
from datetime import UTC, date, datetime, time
from hashlib import sha256

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_strategies import layouts, make_layout

from gateway.errors import SealError
from gateway.model import Column, DeviceLayout, Event, Layout, Quality
from gateway.seal.columns import decode_events, encode_events, layout_cbor, layout_from_cbor, layout_id

CALIBRATED = Layout(
    (
        DeviceLayout(
            "cold-room-1",
            "rs485-1",
            "danfoss/ekc-202",
            "ab" * 32,
            10_000,
            40,
            (Column("air", "degC", 1), Column("air", "degC", 1, "indicated"), Column("flow", "m3/h", None)),
            {"air": {"certificate": "K-17", "valid_until": "2027-03-01", "points": [[0.0, 0.3], [60.0, 59.8]]}},
        ),
    )
)


def refusal(function, *arguments) -> SealError:
    with pytest.raises(SealError) as caught:
        function(*arguments)
    return caught.value


def test_a_layout_comes_back_as_it_was():
    assert layout_from_cbor(layout_cbor(CALIBRATED)) == CALIBRATED


@given(layout=layouts())
@settings(max_examples=50, deadline=None)
def test_any_layout_comes_back_as_it_was(layout):
    assert layout_from_cbor(layout_cbor(layout)) == layout


def test_a_layout_is_named_by_its_hash():
    assert layout_id(CALIBRATED) == sha256(layout_cbor(CALIBRATED)).digest()[:8]


def test_the_name_is_the_same_for_every_order_of_the_site_file():
    device = CALIBRATED.devices[0]
    turned = {"air": dict(reversed(device.calibration["air"].items()))}
    again = DeviceLayout("cold-room-1", "rs485-1", device.model, "ab" * 32, 10_000, 40, device.columns, turned)
    assert layout_id(Layout((again,))) == layout_id(CALIBRATED)


def test_dates_of_a_site_file_become_text():
    device = DeviceLayout(
        "d", "b", "m", "h", 1, 0, (), {"air": {"valid_until": date(2027, 3, 1), "points": ((0, 1),)}}
    )
    back = layout_from_cbor(layout_cbor(Layout((device,))))
    assert back.devices[0].calibration == {"air": {"valid_until": "2027-03-01", "points": [[0, 1]]}}


@pytest.mark.parametrize("decimals", [-1, 23])
def test_more_decimals_than_a_double_has_are_refused(decimals):
    assert refusal(layout_cbor, make_layout((decimals,))).kind == "bad-layout"


@pytest.mark.parametrize(("period", "phase"), [(0, 0), (-1, 0), (2**41, 0), (1000, -1)])
def test_a_schedule_that_cannot_be_kept_is_refused(period, phase):
    assert refusal(layout_cbor, make_layout((1,), period_ms=period, phase_ms=phase)).kind == "bad-layout"


def test_a_calibration_must_be_plain():
    device = DeviceLayout("d", "b", "m", "h", 1, 0, (), {"air": {"points": {1.5: 2}}})
    assert refusal(layout_cbor, Layout((device,))).kind == "bad-layout"


DEVICE = ["d", "b", "m", "h", 1000, 0, [["c", "degC", 1, 0]], {}]


@pytest.mark.parametrize(
    "item",
    [
        [], 1, {1: 1}, {2: []}, {1: 2, 2: []}, {1: 1, 2: {}}, {1: 1, 2: [], 3: 0}, {1: 1, 2: [1]}, {1: 1, 2: [[]]},
        {1: 1, 2: [[*DEVICE, 1]]}, {1: 1, 2: [[1, *DEVICE[1:]]]}, {1: 1, 2: [[*DEVICE[:4], "1", *DEVICE[5:]]]},
        {1: 1, 2: [[*DEVICE[:4], True, *DEVICE[5:]]]}, {1: 1, 2: [[*DEVICE[:4], 0, *DEVICE[5:]]]},
        {1: 1, 2: [[*DEVICE[:6], [["c", "degC", 1]], {}]]}, {1: 1, 2: [[*DEVICE[:6], [["c", "degC", 1.0, 0]], {}]]},
        {1: 1, 2: [[*DEVICE[:6], [["c", "degC", 1, True]], {}]]},
        {1: 1, 2: [[*DEVICE[:6], [["c", "degC", 99, 0]], {}]]},
        {1: 1, 2: [[*DEVICE[:7], {1: {}}]]}, {1: 1, 2: [[*DEVICE[:7], {"c": 1}]]},
        {1: 1, 2: [[*DEVICE[:7], {"c": {1: 1}}]]},
        {1: 1, 2: [[*DEVICE[:7], {"c": {"x": cbor2.CBORTag(1001, {1: 0})}}]]}, {1: True, 2: []},
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_layout_is_refused(item):
    assert refusal(layout_from_cbor, cbor2.dumps(item)).kind == "bad-layout"


def test_a_second_spelling_of_a_layout_is_refused():
    data = layout_cbor(Layout(()))
    assert layout_from_cbor(data) == Layout(())
    assert refusal(layout_from_cbor, data[:1] + b"\x02\x80\x01\x01").kind == "bad-layout"


@given(noise=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_noise_is_no_layout(noise):
    assert refusal(layout_from_cbor, noise).kind == "bad-layout"


# ---- events ----

plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**64), 2**64 - 1),
        st.floats(allow_nan=False),
        st.text(),
        st.binary(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
        st.dictionaries(st.integers(0, 300), inner, max_size=3),
    ),
    max_leaves=8,
)
events = st.lists(
    st.builds(
        Event, st.text(min_size=1), st.integers(0, 2**53), st.dictionaries(st.text(max_size=5), plain, max_size=4)
    )
)


@given(events)
@settings(max_examples=60, deadline=None)
def test_events_come_back_as_they_were_and_in_order(items):
    assert decode_events(encode_events(items)) == items


def test_the_order_in_which_data_was_put_together_does_not_show():
    one, other = Event("x", 1, {"b": 1, "aa": 2}), Event("x", 1, {"aa": 2, "b": 1})
    assert encode_events([one]) == encode_events([other])


def test_times_become_text_and_codes_numbers():
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    data = {
        "day": date(2026, 7, 1),
        "at": at,
        "from": time(6),
        "quality": Quality.LATE,
        "causes": {Quality.LATE: 3},
    }
    [event] = decode_events(encode_events([Event("x", 1, data)]))
    assert event.data == {
        "day": "2026-07-01",
        "at": "2026-07-01T12:00:00+00:00",
        "from": "06:00:00",
        "quality": 0x89,
        "causes": {0x89: 3},
    }


@pytest.mark.parametrize(
    "event",
    [
        Event("", 1, {}),
        Event("x", -1, {}),
        Event("x", 2**53 + 1, {}),
        Event("x", 1, {1: 2}),
        Event("x", 1, {"a": {1, 2}}),
        Event("x", 1, {"a": object()}),
        Event("x", 1, {"a": {1: 2, "b": 3}}),
        Event("x", 1, {"a": {-1: 2}}),
        Event("x", 1, {"a": 2**64}),
        Event("x", 1, {"a": bytearray(b"x")}),
    ],
    ids=repr,
)
def test_an_event_that_is_not_plain_is_refused(event):
    assert refusal(encode_events, [event]).kind == "bad-event"


@pytest.mark.parametrize(
    "item",
    [
        {}, 1, [1], [[1]], [[1, "x"]], [[1, "x", []]], [["1", "x", {}]], [[True, "x", {}]], [[1.0, "x", {}]],
        [[-1, "x", {}]], [[2**60, "x", {}]], [[1, b"x", {}]], [[1, "", {}]], [[1, "x", {1: 1}]], [[1, "x", {}, 1]],
        [[1, "x", {"a": cbor2.CBORTag(1001, {1: 0})}]], [[1, "x", {"a": cbor2.undefined}]],
        [[1, "x", {"a": {1: 1, "b": 2}}]], [[1, "x", {"a": cbor2.CBORSimpleValue(99)}]],
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_event_payload_is_refused(item):
    assert refusal(decode_events, zlib.compress(cbor2.dumps(item))).kind == "bad-event"


@pytest.mark.parametrize(
    "body",
    [
        "", "ff", "9fff", "81", "8301617801", "8180", "8183016178a2616101616101",
        "8183016178a16161c249ffffffffffffffffff", "8183016178a16161c11a5fee6600", "8183016178a1616161ff",
        "8000", "8183016178a161615b7fffffffffffffff",
    ],
)  # fmt: skip
def test_broken_cbor_is_refused(body):
    assert refusal(decode_events, zlib.compress(bytes.fromhex(body))).kind == "bad-event"


def test_deep_nesting_is_refused():
    assert refusal(decode_events, zlib.compress(b"\x81" * 5000 + b"\x80")).kind == "bad-event"


def test_a_few_bytes_never_become_many():
    bombs = [bytes(65 * 2**20), b"\x9a\x00\x80\x00\x00" + b"\xa0" * 0x800000]
    for bomb in bombs:
        packed = zlib.compress(bomb, 9)
        assert len(packed) < 70_000
        assert refusal(decode_events, packed).kind == "too-large"


def test_what_could_not_be_read_is_not_written(monkeypatch):
    many = {"leaves": [0] * 2**18}
    assert refusal(encode_events, [Event("deleted", 1, many)]).kind == "too-large"
    assert encode_events([Event("deleted", 1, {"leaves": bytes(2**20)})])
