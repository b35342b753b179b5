"""Bytes in, readings or a named fault out: never a stale value, never an invented one."""

import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.modbus.decode import Decoder
from firmware_interfaces.modbus.model import Channel, DeviceModel, load_model
from firmware_interfaces.modbus.planner import Read, plan_reads
from firmware_interfaces.quality import Quality


def model(tmp_path: Path, channels: str, link: str = "address_base = 0") -> DeviceModel:
    """A model with these channels; its test is a formality."""
    path = tmp_path / "bench.toml"
    head = 'id = "bench"\ntitle = "Bench"\nmaker = "none"\nsource = "this test"\n'
    path.write_text(f"{head}[link]\n{link}\n{channels}\n[[test]]\nexpect = {{}}\n", encoding="utf-8")
    return load_model(path)


def decode(device: DeviceModel, *blocks: bytes | None, cause: int = Quality.TIMEOUT) -> list[float | Quality]:
    """Value of each channel, or its quality where that is not good."""
    channels = tuple(device.channels.values())
    reads = plan_reads(device, channels)
    qualities = [Quality.GOOD if block is not None else cause for block in blocks]
    values, quality = Decoder(channels, reads).decode(list(blocks), qualities)
    for value, mark in zip(values, quality, strict=True):
        assert math.isnan(value) == (mark >= 0x80)
    return [value if mark == Quality.GOOD else Quality(mark) for value, mark in zip(values, quality, strict=True)]


def one(tmp_path: Path, lines: str, data: str, link: str = "address_base = 0") -> float | Quality:
    text = f'[[channel]]\nkey = "x"\naddress = 0\n{lines}\n'
    (result,) = decode(model(tmp_path, text, link), bytes.fromhex(data))
    return result


FAULT = Quality.SENSOR_FAULT
DOUBTED = Quality.DEVICE_UNCERTAIN

NUMBERS = [
    ('type = "int16"', "8000", -32768),
    ('type = "uint16"', "8000", 32768),
    ('type = "int16"\nscale = 0.1', "00ea", 23.4),
    ('type = "int16"\nscale = 0.1', "ff45", -18.7),
    ('type = "int16"\nscale = -0.5\noffset = 100', "0003", 98.5),
    ('type = "uint16"\nscale = 0.01\noffset = -150', "3a98", 0.0),
    ('type = "int32"', "fffffffe", -2),
    ('type = "uint32"\nscale = 0.001', "00010064", 65.636),
    ('type = "uint32"\nword_order = "little"\nscale = 0.001', "00640001", 65.636),
    ('type = "int64"', "ffffffffffffff9c", -100),
    ('type = "uint64"', "ffffffffffffffff", 2.0**64),
    ('type = "uint64"\nscale = 0.001', "002386f26fc10001", 10_000_000_000_000.001),
    ('type = "int64"\nword_order = "little"', "ff9cffffffffffff", -100),
    ('type = "bcd16"', "1234", 1234),
    ('type = "bcd32"\nscale = 0.01', "00012345", 123.45),
    ('type = "bcd32"\nword_order = "little"', "56781234", 12345678),
    ('type = "bcd16"', "123a", FAULT),
    ('type = "bcd16"', "f000", FAULT),
    ('type = "bool"\nbit = 0', "0001", 1),
    ('type = "bool"\nbit = 15', "7fff", 0),
    ('type = "uint16"\nbits = [8, 11]', "f3ff", 3),
    ('type = "uint16"\nbits = [0, 15]\nscale = 0.1', "ffff", 6553.5),
    ('type = "uint16"\nbits = [4, 7]\ninvalid = [0xF]', "0cf1", FAULT),
    # high word first: new.juyingele.com/en/service/2180
    ('type = "float32"', "41cb70a4", struct.unpack(">f", bytes.fromhex("41cb70a4"))[0]),
    # low word first: Vaisala Indigo500 M212287EN page 118, 30.56 %RH
    ('type = "float32"\nword_order = "little"', "7ae141f4", struct.unpack(">f", bytes.fromhex("41f47ae1"))[0]),
    ('type = "float32"\nscale = 0.5\noffset = 1', "41200000", 6.0),
    ('type = "float64"', "c059000000000000", -100),
    ('type = "float64"\nword_order = "little"', "000000000000c059", -100),
    # NaN of Endress+Hauser, SD01189C/07/EN page 4, and every other that is no number
    ('type = "float32"', "7fa00000", FAULT),
    ('type = "float32"', "7fc00000", FAULT),
    ('type = "float32"', "ffc00001", FAULT),
    ('type = "float32"', "7f800000", FAULT),
    ('type = "float32"', "ff800000", FAULT),
    ('type = "float64"', "7ff8000000000000", FAULT),
    ('type = "float64"\nscale = 1e11', "7fefffffffffffff", Quality.OUT_OF_RANGE),
    ('type = "float32"\ninvalid = [-9999]', "c61c3c00", FAULT),
    ('type = "float32"\ninvalid = [-9999.0]', "c61c3c00", FAULT),
    ('type = "float32"\ninvalid = ["0x4e6e6b28"]', "4e6e6b28", FAULT),
    ('type = "int16"\ninvalid = [0x8000]', "8000", FAULT),
    ('type = "int16"\ninvalid = [-32768]', "8000", FAULT),
    ('type = "int16"\ninvalid = ["0x8000", 0x7FFF]', "7fff", FAULT),
    ('type = "int16"\ninvalid = [-9999]\nscale = 0.1', "d8f1", FAULT),
    ('type = "uint32"\ninvalid = [0xFFFFFFFF]', "ffffffff", FAULT),
    ('type = "int16"\nscale = 0.1\nrange = [-55, 125]', "04e2", 125.0),
    ('type = "int16"\nscale = 0.1\nrange = [-55, 125]', "04e3", Quality.OUT_OF_RANGE),
    ('type = "int16"\nscale = 0.1\nrange = [-55, 125]', "fdda", -55.0),
    ('type = "int16"\nscale = 0.1\nrange = [-55, 125]', "fdd9", Quality.OUT_OF_RANGE),
]


@pytest.mark.parametrize(("lines", "data", "expected"), NUMBERS)
def test_a_number_is_what_the_model_says(tmp_path: Path, lines: str, data: str, expected: float | Quality) -> None:
    got = one(tmp_path, f"function = 3\n{lines}", data)
    assert type(got) is (Quality if isinstance(expected, Quality) else float)
    assert got == expected


def test_bytes_within_registers_can_be_swapped(tmp_path: Path) -> None:
    swapped = 'address_base = 0\nbyte_order = "little"'
    assert one(tmp_path, 'function = 4\ntype = "int16"', "45ff", swapped) == -187
    assert one(tmp_path, 'function = 4\ntype = "uint32"', "02010403", swapped) == 0x01020304


@pytest.mark.parametrize("function", [1, 2])
def test_bits_are_packed_from_the_lowest(tmp_path: Path, function: int) -> None:
    channels = "".join(
        f'[[channel]]\nkey = "b{bit}"\nfunction = {function}\naddress = {bit}\n' for bit in range(10)
    )
    device = model(tmp_path, channels)
    assert decode(device, bytes([0b10000101, 0b10])) == [1, 0, 1, 0, 0, 0, 0, 1, 0, 1]


def test_neighbours_bits_in_the_answer_do_not_count(tmp_path: Path) -> None:
    """A device that was asked for one coil answers 0x48: only bit 0 was asked for (Matrix PEL-8000, page 29)."""
    assert one(tmp_path, "function = 1", "48") == 0


TWO = """
[[channel]]
key = "a"
function = 3
address = 0
type = "int16"
[[channel]]
key = "b"
function = 4
address = 0
type = "int16"
"""


def test_a_failed_read_takes_only_its_channels(tmp_path: Path) -> None:
    device = model(tmp_path, TWO)
    for cause in (Quality.TIMEOUT, Quality.DEVICE_EXCEPTION, Quality.NOT_SUPPORTED, Quality.BUS_DOWN):
        assert decode(device, None, b"\0\7", cause=cause) == [cause, 7]


def test_a_failed_read_without_a_bad_quality_is_still_no_value(tmp_path: Path) -> None:
    assert decode(model(tmp_path, TWO), None, b"\0\7", cause=Quality.GOOD) == [Quality.BAD_FRAME, 7]


@pytest.mark.parametrize("block", [b"", b"\0", b"\0\1\2", b"\0" * 200])
def test_a_block_of_another_length_is_a_bad_frame(tmp_path: Path, block: bytes) -> None:
    assert decode(model(tmp_path, TWO), block, b"\0\7") == [Quality.BAD_FRAME, 7]


def test_nothing_is_kept_from_one_call_to_the_next(tmp_path: Path) -> None:
    device = model(tmp_path, TWO)
    channels = tuple(device.channels.values())
    decoder = Decoder(channels, plan_reads(device, channels))
    first, _ = decoder.decode([b"\0\1", b"\0\2"], [0, 0])
    second, quality = decoder.decode([b"\0\1\0", None], [0, Quality.TIMEOUT])
    assert list(first) == [1, 2]
    assert all(map(math.isnan, second))
    assert quality == bytes([Quality.BAD_FRAME, Quality.TIMEOUT])


def guarded(tmp_path: Path, fault: str, link: str = "address_base = 0") -> DeviceModel:
    text = f'[[channel]]\nkey = "t"\nfunction = 3\naddress = 0\ntype = "int16"\nfault = [{fault}]\n'
    return model(tmp_path, text, link)


@pytest.mark.parametrize(
    ("fault", "status", "expected"),
    [
        ("{ function = 2, address = 3 }", "00", 7),
        ("{ function = 2, address = 3 }", "01", FAULT),
        ("{ function = 2, address = 3, when = 0 }", "00", FAULT),
        ("{ function = 2, address = 3, when = 0 }", "01", 7),
        ("{ function = 1, address = 9 }", "01", FAULT),
        ("{ function = 4, address = 9, bit = 15 }", "8000", FAULT),
        ("{ function = 4, address = 9, bit = 15 }", "7fff", 7),
        ("{ function = 4, address = 9, bit = 2, when = 0 }", "fffb", FAULT),
        ("{ function = 4, address = 9, good = [0] }", "0000", 7),
        ("{ function = 4, address = 9, good = [0] }", "0100", FAULT),
        ("{ function = 4, address = 9, good = [0], uncertain = [1], bad = [2, 3] }", "0000", 7),
        ("{ function = 4, address = 9, good = [0], uncertain = [1], bad = [2, 3] }", "0001", DOUBTED),
        ("{ function = 4, address = 9, good = [0], uncertain = [1], bad = [2, 3] }", "0003", FAULT),
        ("{ function = 4, address = 9, good = [0], uncertain = [1], bad = [2, 3] }", "0063", FAULT),
        ("{ function = 4, address = 9, bad = [0xFFFF] }", "ffff", FAULT),
        ("{ function = 4, address = 9, bad = [0xFFFF] }", "0001", 7),
    ],
)
def test_the_device_tells_of_its_probe(tmp_path: Path, fault: str, status: str, expected: float | Quality) -> None:
    assert decode(guarded(tmp_path, fault), b"\0\7", bytes.fromhex(status)) == [expected]


def test_swapped_bytes_hold_for_status_registers_too(tmp_path: Path) -> None:
    device = guarded(
        tmp_path, "{ function = 4, address = 9, good = [1] }", 'address_base = 0\nbyte_order = "little"'
    )
    assert decode(device, b"\7\0", b"\1\0") == [7]
    assert decode(device, b"\7\0", b"\0\1") == [FAULT]


def test_without_its_fault_reference_a_value_is_not_believed(tmp_path: Path) -> None:
    device = guarded(tmp_path, "{ function = 2, address = 3 }")
    assert decode(device, b"\0\7", None) == [Quality.TIMEOUT]
    assert decode(device, b"\0\7", b"\0\0") == [Quality.BAD_FRAME]
    assert decode(device, None, b"\1", cause=Quality.NOT_SUPPORTED) == [Quality.NOT_SUPPORTED]


def test_one_of_several_faults_is_enough(tmp_path: Path) -> None:
    device = guarded(tmp_path, "{ function = 1, address = 0 }, { function = 2, address = 0 }")
    # the block of the channel comes first, then the others in the order of their functions
    assert decode(device, b"\0\7", b"\0", b"\0") == [7]
    assert decode(device, b"\0\7", b"\1", b"\0") == [FAULT]
    assert decode(device, b"\0\7", b"\0", b"\1") == [FAULT]


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 6), st.integers(-1000, 1000))
def test_whole_numbers_are_exact(raw: int, places: int, addend: int) -> None:
    """The value is the double nearest to the decimal number: what a person would have typed."""
    decimal = f"{raw + addend}e-{places}"
    channel = Channel(
        key="x",
        title="",
        function=3,
        address=0,
        count=2,
        type="int32",
        addend=addend,
        places=places,
        decimals=places,
    )
    block = (raw & 0xFFFFFFFF).to_bytes(4, "big")
    values, _ = Decoder((channel,), (Read(3, 0, 2),)).decode([block], [Quality.GOOD])
    assert values[0] == float(decimal)
    assert round(values[0] * 10**places) == raw + addend


@given(st.lists(st.binary(max_size=12) | st.none(), min_size=2, max_size=2), st.integers(0, 255))
def test_any_bytes_give_a_value_or_a_fault(blocks: list[bytes | None], cause: int) -> None:
    pair = load_model("carel-ir33")
    channels = (pair.channels["probe1"], replace(pair.channels["probe2"], low=-50.0, high=90.0))
    reads = (Read(4, 403, 10), Read(2, 3, 4))
    values, quality = Decoder(channels, reads).decode(blocks, [cause, cause])
    for value, mark in zip(values, quality, strict=True):
        assert math.isnan(value) == (mark >= 0x80)


def test_the_smallest_read_supplies_a_value() -> None:
    """After a split, a refused longer read that also covers a register must not take it down."""
    channel = load_model("generic-registers-20").channels["r3"]
    decoder = Decoder((channel,), (Read(3, 0, 20), Read(3, 3, 1)))
    values, quality = decoder.decode([None, b"\0\x2a"], [Quality.NOT_SUPPORTED, Quality.GOOD])
    assert (values[0], quality) == (42, b"\0")


def test_reads_that_miss_a_channel_are_a_mistake_of_the_caller() -> None:
    generic = load_model("generic-registers-20")
    with pytest.raises(ValueError, match="no read covers function 3 address 19"):
        Decoder((generic.channels["r19"],), (Read(3, 0, 19),))
    with pytest.raises(ValueError, match="1 blocks and qualities are needed"):
        Decoder((generic.channels["r0"],), (Read(3, 0, 1),)).decode([], [])


def test_text_is_not_a_measurement() -> None:
    (tag, _) = load_model("eh-cm44x").identity
    with pytest.raises(ValueError, match="is a text"):
        Decoder((tag,), plan_reads(load_model("eh-cm44x"), (tag,)))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"PH-1".ljust(32, b"\0"), "PH-1"),
        (b"PH 1".ljust(32, b" "), "PH 1"),
        (bytes(32), ""),
        (b"A" * 32, "A" * 32),
        (b"A" * 30, None),
        (b"\xb5C".ljust(32, b"\0"), None),
        (b"A\nB".ljust(32, b"\0"), None),
        (b"A\0B".ljust(32, b"\0"), None),
    ],
)
def test_text_of_an_identity(data: bytes, expected: str | None) -> None:
    (tag, _) = load_model("eh-cm44x").identity
    assert tag.is_text
    assert tag.text(data) == expected


def test_text_of_orders_and_digits() -> None:
    (serial, _) = load_model("comet-t33xx").identity
    assert serial.text(bytes.fromhex("03968765")) == "03968765"
    assert replace(serial, word_order="little").text(bytes.fromhex("87650396")) == "03968765"
    assert replace(serial, byte_order="little").text(bytes.fromhex("96036587")) == "03968765"
    assert serial.text(bytes.fromhex("0396876a")) is None


def test_an_expected_float_is_met_as_a_float32() -> None:
    """-123.45 in the test register of Vaisala probes is not -123.45 as a double, and still what it must be."""
    (known, _) = load_model("vaisala-hmp").audit
    read = plan_reads(load_model("vaisala-hmp"), (known,))
    values, _ = Decoder((known,), read).decode([bytes.fromhex("e666c2f6")], [Quality.GOOD])
    assert values[0] != known.expect
    assert known.meets(known.expect, values[0])
    assert not known.meets(known.expect, -123.4)
    assert not known.meets(known.expect, None)
    assert not known.meets(1e300, values[0])
