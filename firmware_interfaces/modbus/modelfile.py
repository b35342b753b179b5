"""From the bytes of a model file to a checked `DeviceModel`, or to the list of all its mistakes."""

import re
import struct
import tomllib
from decimal import Decimal
from hashlib import sha256
from typing import Literal, cast

from firmware_interfaces.errors import ModelError, ModelProblem
from firmware_interfaces.modbus.modelwrite import check_write_rule, read_marks, read_write_rule
from firmware_interfaces.modbus.nouns import (
    DOUBTED,
    KINDS,
    Channel,
    DeviceModel,
    Fault,
    Kind,
    LinkFacts,
    Order,
    Span,
    TestCase,
)
from firmware_interfaces.modbus.section import Section, did_you_mean, places, raw_number
from firmware_interfaces.quality import Quality

__all__ = ["read_model"]

ORDERS = ("big", "little")
KEY = re.compile(r"[a-z][a-z0-9_]*")
STRING = re.compile(r"string\((\d{1,3})\)")
EXACT = 2**53
"""Whole numbers up to here are exact as doubles."""

TEST_TABLES = {"coils": 1, "discrete": 2, "holding": 3, "input": 4}
TESTABLE = {quality.name.lower(): quality for quality in (Quality.SENSOR_FAULT, Quality.OUT_OF_RANGE, DOUBTED)}


def read_model(source: str, name: str, data: bytes) -> DeviceModel:
    """Check the bytes of a model file.

    ``source`` names the file in messages, ``name`` is the id that the model must have. Raises `ModelError` with
    every mistake found.
    """
    try:
        table = tomllib.loads(data.decode("utf-8"), parse_float=Decimal)
    except ValueError as error:
        problem = ModelProblem("file", f"is not TOML: {error}", "mend the line that the message names")
        raise ModelError(source, [problem]) from error
    problems: list[ModelProblem] = []
    top = Section(table, "", problems)
    model = _model(top, name, sha256(data).hexdigest())
    top.finish()
    if problems:
        raise ModelError(source, problems)
    return model


def _model(top: Section, name: str, digest: str) -> DeviceModel:
    identifier = top.take_text("id")
    if identifier and identifier != name:
        top.problem("id", f"{identifier!r} is not the name of the file", f"write {name!r} or rename the file")
    link = _link(top.take_table("link", required=True))
    groups = {
        group: [_channel(section, link, group) for section in top.take_tables(group)]
        for group in ("channel", "identity", "audit")
    }
    if not groups["channel"]:
        top.problem("channel", "is missing", "add a [[channel]] table for each quantity")
    known: dict[str, Channel] = {}
    for group, channels in groups.items():
        for number, channel in enumerate(channels, 1):
            if channel.key and channel.key in known:
                top.problem(f"{group}[{number}].key", f"{channel.key!r} is used twice", "give each its own key")
            known[channel.key] = channel
    tests = [_test(section, link, known) for section in top.take_tables("test")]
    if not tests:
        top.problem("test", "is missing", "add a [[test]] with registers and what they must become")
    return DeviceModel(
        id=identifier,
        title=top.take_text("title"),
        maker=top.take_text("maker"),
        source=top.take_text("source"),
        sha256=digest,
        link=link,
        channels={channel.key: channel for channel in groups["channel"]},
        identity=tuple(groups["identity"]),
        audit=tuple(groups["audit"]),
        tests=tuple(tests),
    )


def _link(section: Section) -> LinkFacts:
    parity = section.take_choice("parity", ("N", "E", "O"), "N") if section.given("parity") else None
    section.take("parity")
    facts = LinkFacts(
        address_base=section.take_whole("address_base", 0, 1),
        max_registers=section.take_whole("max_registers", 1, 125, 125),
        max_bits=section.take_whole("max_bits", 1, 2000, 2000),
        fill_holes=section.take_whole("fill_holes", 0, 124, 0),
        min_gap_ms=section.take_whole("min_gap_ms", 0, 10_000, 0),
        word_order=cast(Order, section.take_choice("word_order", ORDERS, "big")),
        byte_order=cast(Order, section.take_choice("byte_order", ORDERS, "big")),
        baud=section.take_optional_whole("baud", 110, 4_000_000),
        parity=cast(Literal["N", "E", "O"] | None, parity),
        stop_bits=cast(Literal[1, 2] | None, section.take_optional_whole("stop_bits", 1, 2)),
        timeout_ms=section.take_optional_whole("timeout_ms", 10, 60_000),
    )
    section.finish()
    return facts


def _channel(section: Section, link: LinkFacts, group: str) -> Channel:
    key = section.take_text("key")
    if key and not KEY.fullmatch(key):
        section.problem("key", f"{key!r} is not a key", "use small letters, digits and _, a letter first")
    function = section.take_whole("function", 1, 4)
    address = section.take_whole("address", link.address_base, 65535 + link.address_base) - link.address_base
    word, kind = _kind(section, function, group)
    shift, mask = _field(section, word, function)
    count = 1 if function in {1, 2} else kind.registers
    if kind.registers > link.max_registers and function in {3, 4}:
        section.problem("type", f"{word!r} is longer than max_registers", "raise link.max_registers")
    if address + count > 65536:
        section.problem("address", "its last register is beyond 65535", "check the address and address_base")
    scale, offset = section.take_decimal("scale", "1"), section.take_decimal("offset", "0")
    if not scale:
        section.problem("scale", "is 0", "leave it out for values that need none")
        scale = Decimal(1)
    exponent = max(places(scale), places(offset))
    multiplier, addend = int(scale.scaleb(exponent)), int(offset.scaleb(exponent))
    limits = _limits(section)
    largest = max(abs(bound * multiplier + addend) for bound in _raw_bounds(kind, mask))
    if limits is not None:
        largest = min(largest, int(max(map(abs, limits)).scaleb(exponent)))
    exact = kind.form not in {"float", "string"} and largest <= EXACT
    channel = Channel(
        key=key,
        title=section.take_text("title", key or "channel"),
        function=function,
        address=address,
        count=count,
        type=word,
        unit=str(section.take_text("unit", " ")).strip(),
        decimals=exponent if exact else None,
        multiplier=multiplier,
        addend=addend,
        places=exponent,
        scale=float(scale),
        offset=float(offset),
        shift=shift,
        mask=mask,
        invalid=_invalid(section, kind, mask),
        low=float(limits[0]) if limits else None,
        high=float(limits[1]) if limits else None,
        faults=tuple(_fault(entry, link) for entry in section.take_tables("fault")),
        word_order=cast(Order, section.take_choice("word_order", ORDERS, link.word_order)),
        byte_order=link.byte_order,
        write=read_write_rule(section, function, kind.registers, word) if group == "channel" else None,
        mark=read_marks(section) if group != "channel" else (),
        expect=_expected(section) if group == "audit" else None,
        is_text=kind.form == "string" or (kind.form == "bcd" and group == "identity"),
    )
    check_write_rule(section, channel)
    section.finish()
    return channel


def _kind(section: Section, function: int, group: str) -> tuple[str, Kind]:
    """Word and shape of the type; bits of functions 1 and 2 can only be bool."""
    value = section.take("type", required=function in {3, 4}, remedy=f"add one of: {', '.join(KINDS)}")
    text = STRING.fullmatch(value) if isinstance(value, str) else None
    # after a mistake the type is taken for one that brings no further complaints
    likely = "bool" if function in {1, 2} or section.given("bit") else "uint16"
    if value is None:
        return likely, KINDS[likely]
    if text and int(text[1]):
        if group != "channel":
            return "string", Kind("string", (int(text[1]) + 1) // 2)
        section.problem("type", f"{value!r} is not a measurement", "move it to [[identity]] or [[audit]]")
    elif value not in KINDS:
        section.problem("type", f"{value!r} is not a type", did_you_mean(str(value), KINDS))
    elif value != "bool" and function in {1, 2}:
        section.problem("type", f"{value!r} cannot be read with function {function}", 'write "bool"')
    else:
        return str(value), KINDS[str(value)]
    return likely, KINDS[likely]


def _field(section: Section, word: str, function: int) -> tuple[int, int]:
    """Shift and mask of a bit (``bit``, for bool) or of a bit field (``bits``, for uint16) of a register."""
    bit = section.take_optional_whole("bit", 0, 15)
    bits = section.take_list("bits")
    if word == "bool" and function in {3, 4}:
        if bit is None:
            section.problem("bit", "is missing", "say which bit of the register (0 is the lowest)")
        return bit or 0, 1
    if bit is not None:
        section.problem(
            "bit", "does not go with this type", 'leave it out, or write type = "bool" with function 3 or 4'
        )
    if not bits:
        return 0, 0
    numbers = [number for number in map(raw_number, bits) if number is not None]
    if word != "uint16":
        section.problem("bits", "goes with uint16 only", 'write type = "uint16" or leave it out')
    elif len(bits) != 2 or len(numbers) != 2 or not 0 <= numbers[0] < numbers[1] <= 15:
        section.problem("bits", f"{bits} is not a bit field", "write [lowest, highest] with bits from 0 to 15")
    else:
        return numbers[0], (1 << (numbers[1] - numbers[0] + 1)) - 1
    return 0, 0


def _limits(section: Section) -> tuple[Decimal, Decimal] | None:
    pair = section.take_list("range")
    if not section.given("range"):
        return None
    numbers = [section.decimal("range", entry) for entry in pair]
    if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None and numbers[0] < numbers[1]:
        return numbers[0], numbers[1]
    section.problem("range", f"{[str(entry) for entry in pair]} is not a range", "write [lowest, highest]")
    return None


def _raw_bounds(kind: Kind, mask: int) -> tuple[int, int]:
    bits = 16 * kind.registers
    match kind.form:
        case "bool":
            return 0, 1
        case "int":
            return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        case "bcd":
            return 0, int(10 ** (bits // 4)) - 1
        case _:
            return 0, mask or (1 << bits) - 1


def _invalid(section: Section, kind: Kind, mask: int) -> tuple[int, ...]:
    """Raw values as unsigned patterns. For float types, numbers are meant as values, "0x..." as patterns."""
    found: list[int] = []
    bits = 16 * kind.registers
    for entry in section.take_list("invalid"):
        number = raw_number(entry)
        if kind.form == "float" and isinstance(entry, int | Decimal) and not isinstance(entry, bool):
            layout = ">f" if kind.registers == 2 else ">d"
            found.append(int.from_bytes(struct.pack(layout, float(entry)), "big"))
        elif number is None or not -(1 << (bits - 1)) <= number < 1 << bits:
            remedy = 'write it as the register holds it, such as 0x8000 or "0x8000"'
            section.problem("invalid", f"{entry!r} is not a raw value of {bits} bits", remedy)
        else:
            found.append(number & (mask or (1 << bits) - 1))
    return tuple(found)


def _fault(section: Section, link: LinkFacts) -> Fault:
    function = section.take_whole("function", 1, 4)
    address = section.take_whole("address", link.address_base, 65535 + link.address_base) - link.address_base
    span = Span(function, address, 1)
    states = [name for name in ("good", "uncertain", "bad") if section.given(name)]
    bit = section.take_optional_whole("bit", 0, 15)
    when = section.take_whole("when", 0, 1, 1)
    for name in ("good", "uncertain", "bad"):
        section.take(name)
    if states and (bit is not None or section.given("when") or function in {1, 2}):
        section.problem(
            "", "mixes a bit with the states of a register", "use bit and when, or good, uncertain, bad"
        )
    elif not states and function in {3, 4} and bit is None:
        section.problem("", "does not say what means a fault", "add bit = ..., or good = [...] or bad = [...]")
    section.finish()
    if not states:
        return Fault(span, bit or 0, 1, ((when, Quality.SENSOR_FAULT),), Quality.GOOD)
    grades = {"good": Quality.GOOD, "uncertain": DOUBTED, "bad": Quality.SENSOR_FAULT}
    meaning = [(state, grades[name]) for name in states for state in _states(section, name)]
    if len({state for state, _ in meaning}) < len(meaning):
        section.problem("", "gives a state more than one meaning", "list each state once")
    otherwise = Quality.SENSOR_FAULT if "good" in states else Quality.GOOD
    return Fault(span, 0, 0xFFFF, tuple(meaning), otherwise)


def _states(section: Section, name: str) -> list[int]:
    numbers = [raw_number(entry) for entry in section.take_list(name)]
    if any(number is None or not 0 <= number <= 0xFFFF for number in numbers):
        section.problem(name, f"{section.table[name]} are not states", "write register values from 0 to 65535")
    return [number for number in numbers if number is not None]


def _expected(section: Section) -> float | str | None:
    value = section.take("expect")
    if value is None or isinstance(value, str):
        return value
    number = section.decimal("expect", value)
    return None if number is None else float(number)


def _test(section: Section, link: LinkFacts, known: dict[str, Channel]) -> TestCase:
    cells: dict[tuple[int, int], int] = {}
    for name, function in TEST_TABLES.items():
        table = section.take_table(name)
        top = 1 if function in {1, 2} else 0xFFFF
        for place, content in table.table.items():
            start = raw_number(place)
            values = content if isinstance(content, list) else [content]
            if start is None or not link.address_base <= start <= 65536 + link.address_base - len(values):
                table.problem(place, "is not an address of this model", "write it as in the channels")
                continue
            for at, value in enumerate(values, start - link.address_base):
                number = int(value) if isinstance(value, bool) and top == 1 else raw_number(value)
                if number is None or not (0 if top == 1 else -0x8000) <= number <= top:
                    table.problem(
                        place, f"{value!r} does not fit", "write a bit as 0 or 1, a register as 0 to 65535"
                    )
                else:
                    cells[function, at] = number & top
    wanted = section.take_table("expect", required=True)
    expect: dict[str, float | str | Quality] = {}
    for key, value in wanted.table.items():
        if key not in known:
            wanted.problem(key, "is not a key of this model", did_you_mean(key, known))
        elif isinstance(value, str):
            expect[key] = _expected_text(wanted, key, value, known[key])
        else:
            exact = Decimal(int(value)) if isinstance(value, bool) else wanted.decimal(key, value)
            expect[key] = float(exact or 0)
    title = section.take_text("title", section.path)
    section.finish()
    return TestCase(title, cells, expect)


def _expected_text(section: Section, key: str, value: str, channel: Channel) -> str | Quality:
    if value in TESTABLE:
        return TESTABLE[value]
    if not channel.is_text:
        section.problem(key, f"{value!r} is not a fault", did_you_mean(value, TESTABLE))
    return value
