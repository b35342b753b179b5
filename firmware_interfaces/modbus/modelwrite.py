"""What a model file says beyond reading: what may be written, within which limits, and how a make is told by its
registers."""

from decimal import Decimal

from firmware_interfaces.modbus.encode import NotWritable, encode
from firmware_interfaces.modbus.nouns import Channel, WriteRule
from firmware_interfaces.modbus.section import Section

__all__ = ["check_write_rule", "read_marks", "read_write_rule"]

FUNCTIONS = {1: (5, 15), 3: (6, 16)}
"""Functions that write what another one reads."""


def read_write_rule(section: Section, function: int, registers: int, word: str) -> WriteRule | None:
    """The ``writable`` table of a channel: limits (required) and the function that the device takes."""
    if section.table.get("writable") is False:
        section.take("writable")
        return None
    if not section.given("writable"):
        section.take("writable")
        return None
    if section.table["writable"] is True:
        section.take("writable")
        section.problem("writable", "has no limits", "write for example writable = { limits = [-30, 10] }")
        return None
    table = section.take_table("writable")
    pair = [table.decimal("limits", entry) for entry in table.take_list("limits")]
    chosen = table.take_optional_whole("function", 1, 127)
    table.finish()
    if not table.given("limits"):
        table.problem("limits", "is missing", "add limits = [lowest, highest], in the unit of the channel")
        return None
    if len(pair) != 2 or pair[0] is None or pair[1] is None or pair[0] > pair[1]:
        table.problem("limits", "are not limits", "write [lowest, highest]")
        return None
    if function not in FUNCTIONS:
        section.problem("writable", f"what function {function} reads cannot be written", "take it away")
        return None
    if section.given("bit") or section.given("bits"):
        section.problem("writable", "a part of a register cannot be written without the rest", "take it away")
        return None
    possible = FUNCTIONS[function] if registers == 1 else (16,)
    if chosen is not None and chosen not in possible:
        words = " or ".join(str(number) for number in possible)
        table.problem("function", f"{chosen} does not write a {word} of function {function}", f"write {words}")
        return None
    return WriteRule(low=pair[0], high=pair[1], function=chosen or possible[0])


def check_write_rule(section: Section, channel: Channel) -> None:
    """Both limits must be values that the register can hold: else the model promises what it cannot do."""
    if channel.write is None:
        return
    for limit in (channel.write.low, channel.write.high):
        try:
            encode(channel, limit)
        except NotWritable as error:
            section.problem("writable", f"the limit {limit} cannot be written: {error}", "check limits and scale")


def read_marks(section: Section) -> tuple[float | str, ...]:
    """``mark``: what a register of this make holds, one of a list; "unit" is the unit id of the device."""
    marks: list[float | str] = []
    for entry in section.take_list("mark"):
        if isinstance(entry, str):
            marks.append(entry)
        elif isinstance(entry, int | Decimal) and not isinstance(entry, bool):
            marks.append(float(entry))
        else:
            section.problem("mark", f"{entry!r} is neither a number nor a text", 'write mark = ["unit"] or [1, 2]')
    return tuple(marks)
