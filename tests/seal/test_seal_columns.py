"""Scan payloads: what goes in comes out to the bit, or is refused by name."""

import math
import random
import zlib
from array import array
from types import ModuleType

import cbor2
import gateway_core.columns as twin
import pytest
from gateway_core import compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_strategies import (
    BAD,
    GOOD,
    TIMEOUT,
    canonical,
    exactly,
    layouts,
    make_layout,
    records_of,
    scan,
)

from gateway.errors import SealError
from gateway.model import Layout, Miss, Quality, Scan
from gateway.seal import columns
from gateway.seal.columns import decode_scans, decode_tail, encode_scans, encode_tail, layout_id, peek_scans

CORE = compiled("_columns")
CORES = [twin, *([CORE] if CORE else [])]


@pytest.fixture(params=CORES, ids=lambda core: core.__name__)
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The codec with either core."""
    monkeypatch.setattr(columns, "_core", request.param)
    return request.param


def using(core: ModuleType, function, *arguments):
    """Call with one core, where a fixture would last too long (inside a property)."""
    before, columns._core = columns._core, core
    try:
        return function(*arguments)
    finally:
        columns._core = before


def refusal(function, *arguments) -> SealError:
    with pytest.raises(SealError) as caught:
        function(*arguments)
    return caught.value


def outcome(decode, *arguments) -> object:
    """The records of a decoder, or the kind of its refusal; any other exception is a failure."""
    try:
        return exactly(decode(*arguments))
    except SealError as error:
        return error.kind


# ---- what goes in comes out ----


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_records_come_back_to_the_bit_and_both_cores_write_the_same_bytes(data):
    layout = data.draw(layouts())
    records = data.draw(records_of(layout))
    payloads = {using(core, encode_scans, layout, records) for core in CORES}
    assert len(payloads) == 1
    payload = payloads.pop()
    content = zlib.decompress(payload)
    assert content == cbor2.dumps(cbor2.loads(content), canonical=True)
    for core in CORES:
        assert exactly(using(core, decode_scans, layout, payload)) == exactly(canonical(layout, records))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_tail_continues_from_earlier_scans(data):
    layout = data.draw(layouts())
    previous: dict[int, Scan] = {}
    for _ in range(2):
        records = data.draw(records_of(layout))
        tails = {using(core, encode_tail, layout, records, previous) for core in CORES}
        assert len(tails) == 1
        tail = tails.pop()
        for core in CORES:
            assert exactly(using(core, decode_tail, layout, tail, previous)) == exactly(canonical(layout, records))
        previous |= {record.device: record for record in records if isinstance(record, Scan)}


def test_scans_and_misses_interleave_by_device_and_slot(core):
    layout = make_layout((1,), (1,))
    records = [
        scan(1, 10, 4.5, late_ms=12),
        scan(0, 11, 3.9),
        Miss(0, 9, 2, TIMEOUT, b"\x01\x84\x02"),
        Miss(0, 12, 1, TIMEOUT),
        Miss(0, 13, 4, TIMEOUT),
        Miss(0, 17, 1, Quality.BUS_DOWN),
    ]
    assert decode_scans(layout, encode_scans(layout, records)) == [
        Miss(0, 9, 2, TIMEOUT, b"\x01\x84\x02"),
        scan(0, 11, 3.9),
        Miss(0, 12, 5, TIMEOUT),
        Miss(0, 17, 1, Quality.BUS_DOWN),
        scan(1, 10, 4.5, late_ms=12),
    ]


def test_raw_bytes_stay_with_their_record(core):
    layout = make_layout((1, 1))
    broken = scan(0, 5, 4.5, math.nan)
    broken.raw = bytes.fromhex("0103040001ffff")
    records = [scan(0, 4, 4.5, 1.0), broken, scan(0, 6, 4.5, 1.0)]
    assert [record.raw for record in decode_scans(layout, encode_scans(layout, records))] == [
        None,
        broken.raw,
        None,
    ]


@pytest.mark.parametrize("value", [0.0, 0.1, -19.9, 6553.5, 2**53 / 10, 1e300, 5e-324, math.pi])
def test_a_column_with_decimals_holds_any_double(core, value):
    layout = make_layout((1,))
    records = [scan(0, slot, value if slot % 2 else 1.5) for slot in range(4)]
    assert exactly(decode_scans(layout, encode_scans(layout, records))) == exactly(records)


def test_negative_zero_is_zero_among_decimals_and_itself_in_binary(core):
    layout = make_layout((1, None))
    [back] = decode_scans(layout, encode_scans(layout, [scan(0, 0, -0.0, -0.0)]))
    assert [math.copysign(1, value) for value in back.values] == [1, -1]


def test_devices_without_columns_keep_their_times(core):
    layout = make_layout(())
    records = [scan(0, slot, late_ms=slot) for slot in (3, 4, 9)]
    assert decode_scans(layout, encode_scans(layout, records)) == records


def test_the_payload_says_what_is_in_it(core):
    layout = make_layout((1, 1), (None,))
    records = [scan(0, 100, 1.0, math.nan, late_ms=20), scan(1, 100, 2.5, late_ms=31), Miss(0, 101, 30, TIMEOUT)]
    summary = peek_scans(encode_scans(layout, records))
    assert summary == (layout_id(layout), 100_020, 130_000, 2, 2, 30)


def test_misses_alone_make_a_payload(core):
    layout = make_layout((1,), (1,))
    records = [Miss(0, 7, 900, Quality.GATEWAY_DOWN), Miss(1, 7, 900, Quality.GATEWAY_DOWN)]
    payload = encode_scans(layout, records)
    assert decode_scans(layout, payload) == records
    assert peek_scans(payload)[1:] == (7_000, 906_000, 0, 0, 1800)


# ---- size ----


def _gauss_scans(devices: int, columns: int, rows: int, spread: float) -> tuple[Layout, list[Scan]]:
    random_ = random.Random(20260701)
    layout = make_layout(*[(1,) * columns] * devices)
    levels = [[random_.uniform(-20, 8) for _ in range(columns)] for _ in range(devices)]
    return layout, [
        scan(
            device,
            90_000 + slot,
            *(round(level + random_.gauss(0, spread), 1) for level in levels[device]),
            late_ms=max(1, round(random_.gauss(40, 15))),
        )
        for device in range(devices)
        for slot in range(rows)
    ]


def test_a_cold_store_costs_less_than_a_byte_a_value(core):
    layout, records = _gauss_scans(devices=1, columns=10, rows=50, spread=0.07)
    assert len(encode_scans(layout, records)) <= 0.75 * 500


def _counters(noise: int) -> tuple[Layout, list[list[Scan]]]:
    random_ = random.Random(1)
    layout = make_layout(*[(0,) * 20] * 50)
    levels = [[random_.randrange(65_536) for _ in range(20)] for _ in range(50)]
    groups = []
    for slot in range(5):
        groups.append(
            [
                scan(device, 700_000 + slot, *map(float, levels[device]), late_ms=device + random_.randrange(3))
                for device in range(50)
            ]
        )
        levels = [[level + 1 + random_.randrange(noise + 1) for level in row] for row in levels]
    return layout, groups


def test_many_registers_of_short_series_cost_less_than_a_byte_a_value(core):
    layout, groups = _counters(noise=2)
    assert len(encode_scans(layout, [record for group in groups for record in group])) <= 0.80 * 5000


def test_a_tail_costs_little_once_it_has_something_to_continue_from(core):
    layout, groups = _counters(noise=2)
    alone = encode_tail(layout, groups[1])
    continued = encode_tail(layout, groups[1], {record.device: record for record in groups[0]})
    assert len(alone) <= 2.3 * 1000
    assert len(continued) <= 0.6 * 1000


@pytest.mark.parametrize("quality", [GOOD, Quality.CLOCK_UNTRUSTED])
def test_a_quality_that_all_values_share_costs_nothing(core, quality):
    layout, records = _gauss_scans(devices=5, columns=4, rows=20, spread=0.07)
    plain = encode_scans(layout, records)
    for record in records:
        record.quality = bytes([quality]) * 4
    assert len(encode_scans(layout, records)) <= len(plain) + 2


# ---- what is refused when written ----

LAYOUT = make_layout((1, 1), (None,))


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "no record"),
        ([scan(2, 0, 1.0)], "device 2 is not in the layout"),
        ([scan(-1, 0, 1.0)], "device -1 is not in the layout"),
        ([scan(0, 0, 1.0)], "2 doubles"),
        ([scan(0, 0, 1.0, 1.0, quality=bytes(1))], "2 doubles"),
        ([scan(0, 0, 1.0, math.inf)], "no finite value"),
        ([scan(1, 0, -math.inf)], "no finite value"),
        ([scan(0, 0, 1.0, math.nan, quality=bytes(2))], "no finite value"),
        ([scan(0, 0, 1.0, 2.0, quality=bytes([0, TIMEOUT]))], "a value of bad quality"),
        ([scan(0, 3, 1.0, 1.0), scan(0, 3, 1.0, 1.0)], "slot 3 comes twice"),
        ([scan(0, 3, 1.0, 1.0), Miss(0, 1, 3, TIMEOUT)], "slot 3 is accounted for twice"),
        ([scan(0, 3, 1.0, 1.0), Miss(0, 3, 2, TIMEOUT)], "slot 3 is accounted for twice"),
        ([Miss(1, 3, 2, TIMEOUT), Miss(1, 4, 1, Quality.LATE)], "slot 4 is accounted for twice"),
        ([scan(0, -1, 1.0, 1.0)], "slot -1 is outside"),
        ([scan(0, 2**52, 1.0, 1.0)], "outside the schedule"),
        ([scan(0, 2**70, 1.0, 1.0)], ""),
        ([scan(0, 5, 1.0, 1.0, late_ms=-5001)], "not on the boot clock"),
        ([scan(0, 5, 1.0, 1.0, late_ms=2**53)], "not on the boot clock"),
        ([Miss(0, 0, 0, TIMEOUT)], "a miss of 0 slots"),
        ([Miss(0, -1, 1, TIMEOUT)], "from slot -1"),
        ([Miss(0, 0, 2**60, TIMEOUT)], "a miss of"),
        ([Miss(0, 0, 1, GOOD)], "which is not bad"),
        ([Miss(0, 0, 1, 256)], "which is not bad"),
        ([Miss(2, 0, 1, TIMEOUT)], "device 2 is not in the layout"),
        ([Scan(1, 0, 0, array("f", [1.0]), b"\0")], "1 doubles"),
    ],
)
def test_records_that_contradict_are_refused(core, records, words):
    for encode in (encode_scans, encode_tail):
        error = refusal(encode, LAYOUT, records)
        assert error.kind == "bad-record"
        assert words in error.what


def test_wrong_types_are_a_mistake_of_the_program(core):
    with pytest.raises(TypeError):
        encode_scans(LAYOUT, [Scan(1, 0, 0, [1.0], b"\0")])


def test_a_payload_has_an_end(core, monkeypatch):
    monkeypatch.setattr(columns, "MAX_ROWS", 3)
    layout = make_layout((1,))
    assert encode_scans(layout, [scan(0, slot, 1.0) for slot in range(3)])
    assert refusal(encode_scans, layout, [scan(0, slot, 1.0) for slot in range(4)]).kind == "too-large"


# ---- what is refused when read ----


def sample() -> tuple[Layout, bytes]:
    layout = make_layout((1, 1), (None,), (0,))
    records = [scan(0, slot, 1.0 + slot / 10, 300.0 * slot, late_ms=slot) for slot in (3, 4, 6)]
    records += [scan(0, 8, math.nan, 1.0), scan(1, 3, math.pi), scan(1, 4, 0.5), scan(1, 9, 1e300)]
    return layout, encode_scans(layout, [*records, Miss(0, 5, 1, TIMEOUT, b"raw"), Miss(2, 0, 9, TIMEOUT)])


def repacked(payload: bytes, **changes: object) -> bytes:
    body = cbor2.loads(zlib.decompress(payload))
    for name, value in changes.items():
        key = int(name.removeprefix("key_"))
        if value is None:
            del body[key]
        else:
            body[key] = value
    return zlib.compress(cbor2.dumps(body))


def test_another_layout_is_noticed(core):
    _, payload = sample()
    assert refusal(decode_scans, make_layout((1,)), payload).kind == "wrong-layout"


def test_a_payload_without_one_of_its_parts_is_refused(core):
    layout, payload = sample()
    for key in cbor2.loads(zlib.decompress(payload)).keys() - {18}:
        error = refusal(decode_scans, layout, repacked(payload, **{f"key_{key}": None}))
        assert error.kind == "bad-payload"


@pytest.mark.parametrize(
    "value",
    [
        -1, 2**53 + 1, 2**64 - 1, True, 1.5, "text", b"", b"\xff" * 8, [], [1, 2], [1, b""], {}, {1: 2},
        cbor2.CBORTag(64, b""), cbor2.CBORTag(64, b"\xff" * 3), cbor2.CBORTag(72, b"\xff" * 2),
        cbor2.CBORTag(77, b"\0"), cbor2.CBORTag(71, b"\xff" * 16),
        cbor2.CBORTag(79, b"\xff\xff\xff\xff\xff\xff\xff\x7f" * 2),
        cbor2.CBORTag(79, b"\0\0\0\0\0\0\0\x80" * 2), cbor2.CBORTag(64, 3), cbor2.CBORTag(999, b""),
        cbor2.CBORTag(72, b"\xfe\3"),
        [cbor2.CBORTag(79, b"\xff" * 64)], [cbor2.CBORTag(86, bytes(15))], [cbor2.CBORTag(85, b"\xff" * 12)],
        [cbor2.CBORTag(64, b"\0")] * 3 + [b"\x81"], [cbor2.CBORTag(72, b"\xff")] * 3 + [b"\x81"],
    ],
    ids=repr,
)  # fmt: skip
def test_any_part_may_be_nonsense(core, value):
    layout, payload = sample()
    for key in range(1, 20):
        changed = repacked(payload, **{f"key_{key}": value})
        kind = outcome(decode_scans, layout, changed)
        assert kind in {"bad-payload", "wrong-layout", "too-large"} or key in {17, 18}, "only raw bytes are free"


@given(place=st.integers(0, 10_000), bits=st.integers(1, 255), cut=st.integers(0, 3), tail=st.booleans())
@settings(max_examples=250, deadline=None)
def test_one_changed_byte_ends_in_a_seal_error_or_in_the_same_answer_of_both_cores(place, bits, cut, tail):
    layout, payload = sample()
    content = bytearray(zlib.decompress(payload))
    content[place % len(content)] ^= bits
    changed = zlib.compress(bytes(content[: len(content) - cut]))
    answers = []
    for core in CORES:
        answers.append(using(core, outcome, decode_tail if tail else decode_scans, layout, changed))
    assert len(set(answers)) == 1


@given(noise=st.binary(max_size=200), wrapped=st.booleans())
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(noise, wrapped):
    layout, _ = sample()
    data = zlib.compress(noise) if wrapped else noise
    assert refusal(decode_scans, layout, data).kind == "bad-payload"
    assert refusal(peek_scans, data).kind == "bad-payload"
    assert refusal(decode_tail, layout, data).kind == "bad-tail"


def test_damage_and_rubbish_after_the_end_are_noticed():
    layout, payload = sample()
    for data in (payload[:-1], payload + b"\0", payload[:40] + b"\0" + payload[41:], b""):
        assert refusal(decode_scans, layout, data).kind == "bad-payload"


def test_a_few_bytes_never_become_many():
    layout, payload = sample()
    bomb = zlib.compress(bytes(65 * 2**20), 9)
    many = zlib.compress(b"\x9a\x00\x80\x00\x00" + bytes(0x800000), 9)
    rows = repacked(payload, key_8=cbor2.CBORTag(71, (2**40).to_bytes(8, "little") * 2))
    runs = repacked(payload, key_11=cbor2.CBORTag(71, (2**62).to_bytes(8, "little")), key_12=b"\0")
    for data in (bomb, many, rows, bytes(5 * 2**20)):
        assert len(data) <= 70_000 or data == bytes(5 * 2**20)
        assert refusal(decode_scans, layout, data).kind == "too-large"
    assert refusal(decode_scans, layout, runs).kind == "bad-payload"


def test_the_summary_must_be_that_of_the_records(core):
    layout, payload = sample()
    body = cbor2.loads(zlib.decompress(payload))
    for key in (2, 3, 4, 5, 6):
        changed = repacked(payload, **{f"key_{key}": body[key] + 1})
        assert refusal(decode_scans, layout, changed).kind == "bad-payload"


def test_a_slot_accounted_for_twice_is_noticed_by_the_reader(core):
    layout, payload = sample()
    misses = cbor2.loads(zlib.decompress(payload))[14]
    slot = cbor2.CBORTag(64, bytes([misses[1].value[0] - 1, *misses[1].value[1:]]))
    error = refusal(decode_scans, layout, repacked(payload, key_14=[misses[0], slot, *misses[2:]]))
    assert "accounted for twice" in error.what


def test_a_tail_knows_what_it_continues_from(core):
    layout = make_layout((1,), (1,))
    first, second = [scan(0, 1, 4.0), scan(1, 1, 5.0)], [scan(0, 2, 4.1), scan(1, 2, 5.1)]
    previous = {record.device: record for record in first}
    tail = encode_tail(layout, second, previous)
    assert decode_tail(layout, tail, previous) == second
    for other in (None, {}, {0: first[0]}, {record.device: record for record in second}):
        assert refusal(decode_tail, layout, tail, other).kind == "bad-tail"


def test_a_damaged_tail_is_noticed(core):
    layout = make_layout((1,))
    tail = encode_tail(layout, [scan(0, 1, 4.0)])
    for place in range(len(tail)):
        damaged = tail[:place] + bytes([tail[place] ^ 0x10]) + tail[place + 1 :]
        assert outcome(decode_tail, layout, damaged) in {"bad-tail", "wrong-layout", exactly([scan(0, 1, 4.0)])}


def test_a_tail_is_not_a_payload_and_a_payload_no_tail(core):
    layout = make_layout((1,))
    assert refusal(decode_scans, layout, encode_tail(layout, [scan(0, 1, 4.0)])).kind == "bad-payload"
    assert refusal(decode_tail, layout, encode_scans(layout, [scan(0, 1, 4.0)])).kind == "bad-tail"


def test_all_bad_qualities_are_kept(core):
    layout = make_layout((1,))
    records = [scan(0, slot, math.nan, quality=bytes([quality])) for slot, quality in enumerate(BAD)]
    assert [record.quality[0] for record in decode_scans(layout, encode_scans(layout, records))] == BAD
