"""From the bytes of a model file of a serial instrument to a checked `TextModel`, or to all its mistakes."""

import re
import tomllib
from decimal import Decimal
from hashlib import sha256
from typing import Literal, cast

from firmware_interfaces.errors import ModelError, ModelProblem
from firmware_interfaces.modbus.section import Section, did_you_mean
from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.nouns import (
    IGNORED,
    Fact,
    LineFacts,
    Marks,
    Poll,
    Reply,
    TextChannel,
    TextModel,
    TextTest,
)
from firmware_interfaces.serial.port import BAUDS, LineSettings

__all__ = ["read_text_model"]

KEY = re.compile(r"[a-z][a-z0-9_]*")
FIELDS = re.compile(r"\{[^{}]*\}")
MEANINGS = {
    quality.name.lower(): quality
    for quality in (
        Quality.SENSOR_FAULT,
        Quality.OUT_OF_RANGE,
        Quality.DEVICE_EXCEPTION,
        Quality.NOT_SUPPORTED,
        Quality.STALE,
    )
}
DOUBTS = {**MEANINGS, "good": Quality.GOOD, "device_uncertain": Quality.DEVICE_UNCERTAIN}
EXPECTED = {**MEANINGS, "device_uncertain": Quality.DEVICE_UNCERTAIN, "bad_frame": Quality.BAD_FRAME}


def read_text_model(source: str, name: str, data: bytes) -> TextModel:
    """Check the bytes of a model file; as `firmware_interfaces.modbus.modelfile.read_model`."""
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


def _model(top: Section, name: str, digest: str) -> TextModel:
    identifier = top.take_text("id")
    if identifier and identifier != name:
        top.problem("id", f"{identifier!r} is not the name of the file", f"write {name!r} or rename the file")
    line = _line(top.take_table("line", required=True))
    polls = [_poll(section, line) for section in top.take_tables("poll")]
    if not polls:
        top.problem("poll", "is missing", "add a [[poll]] table with the command and the pattern of its answer")
    groups = {group for poll in polls for group in poll.pattern.groupindex}
    channels = [_channel(section, groups) for section in top.take_tables("channel")]
    if not channels:
        top.problem("channel", "is missing", "add a [[channel]] table for each quantity")
    for number, channel in enumerate(channels, 1):
        if channel.key and channel.key in {other.key for other in channels[: number - 1]}:
            top.problem(f"channel[{number}].key", f"{channel.key!r} is used twice", "give each its own key")
    known = {channel.key: channel for channel in channels}
    tests = [_test(section, known) for section in top.take_tables("test")]
    if not tests:
        top.problem("test", "is missing", "add a [[test]] with lines of the instrument and what they must become")
    return TextModel(
        id=identifier,
        title=top.take_text("title"),
        maker=top.take_text("maker"),
        source=top.take_text("source"),
        sha256=digest,
        line=line,
        polls=tuple(polls),
        replies=tuple(_reply(section) for section in top.take_tables("reply")),
        channels=known,
        identity=tuple(_fact(section, audit=False) for section in top.take_tables("identity")),
        audit=tuple(_fact(section, audit=True) for section in top.take_tables("audit")),
        tests=tuple(tests),
    )


def _line(section: Section) -> LineFacts:
    baud = section.take_whole("baud", 50, 4_000_000, 9600)
    if baud not in BAUDS:
        section.problem("baud", f"{baud} is not a speed of serial lines", "write 1200, 2400, 9600, 19200 ...")
    facts = LineFacts(
        settings=LineSettings(
            baud=baud,
            parity=cast(Literal["N", "E", "O"], section.take_choice("parity", ("N", "E", "O"), "N")),
            stop_bits=cast(Literal[1, 2], section.take_whole("stop_bits", 1, 2, 1)),
            data_bits=cast(Literal[7, 8], section.take_whole("data_bits", 7, 8, 8)),
        ),
        command_end=_raw(section, "command_end", "\r\n"),
        reply_end=_raw(section, "reply_end", "\r\n") or "\r\n",
        reply_start=_raw(section, "reply_start", ""),
        encoding=section.take_choice("encoding", ("ascii", "latin-1"), "ascii"),
        address=_raw(section, "address", ""),
        timeout_ms=section.take_optional_whole("timeout_ms", 10, 60_000),
        min_gap_ms=section.take_whole("min_gap_ms", 0, 10_000, 0),
        listen=section.take_flag("listen"),
        start=_raw(section, "start", ""),
    )
    if facts.start and not facts.listen:
        section.problem(
            "start", "has no meaning for an instrument that is asked", "take it away, or add listen = true"
        )
    if facts.address and _filled(facts.address) is None:
        section.problem("address", f"{facts.address!r} is no form of a unit id", 'write for example "{unit:02d}"')
    section.finish()
    return facts


def _raw(section: Section, name: str, default: str) -> str:
    """A text that may consist of control characters, or be empty."""
    value = section.take(name)
    if value is None:
        return default
    if isinstance(value, str) and value.isascii():
        return value
    section.problem(
        name, f"{value!r} is not a text of ASCII characters", 'write it in "quotes", \\r and \\n included'
    )
    return default


def _filled(command: str) -> str | None:
    """The command for unit 1; None where its braces are wrong."""
    try:
        return command.format(unit=1)
    except (KeyError, ValueError, IndexError):
        return None


def _command(section: Section, line_listens: bool) -> str:
    command = _raw(section, "command", "")
    if not command and not line_listens:
        section.problem("command", "is missing", "add it: what is sent to the instrument, without the line's end")
    if command and _filled(command) is None:
        section.problem(
            "command", f"{command!r} has wrong braces", "write {unit}, {unit:02d} or {unit:02X} for a unit id"
        )
    return command


def _pattern(section: Section, *, grouped: bool) -> re.Pattern[str]:
    text = section.take_text("pattern")
    try:
        pattern = re.compile(text, re.ASCII)
    except re.error as error:
        section.problem(
            "pattern", f"is no regular expression: {error}", "mend it; in TOML write it in 'single quotes'"
        )
        return re.compile("")
    if grouped and text and not pattern.groupindex:
        section.problem("pattern", "has no named group", "name what is wanted: (?P<weight>-?[0-9.]+)")
    return pattern


def _poll(section: Section, line: LineFacts) -> Poll:
    command = _command(section, line.listen)
    if line.listen and command:
        section.problem(
            "command", "has no meaning for an instrument that is heard", "take it away, or write line.start"
        )
    poll = Poll(command, _pattern(section, grouped=True))
    section.finish()
    return poll


def _reply(section: Section) -> Reply:
    pattern = _pattern(section, grouped=False)
    means = section.take_choice("means", ("ignored", *MEANINGS))
    section.finish()
    return Reply(pattern, MEANINGS.get(means, IGNORED))


def _channel(section: Section, groups: set[str]) -> TextChannel:
    key = section.take_text("key")
    if key and not KEY.fullmatch(key):
        section.problem("key", f"{key!r} is not a key", "use small letters, digits and _, a letter first")
    group = section.take_text("group", key or "value")
    _known_group(section, "group", group, groups)
    units = section.take_table("units") if section.given("units") else None
    section.take("units")
    unit_group = units.take_text("group") if units is not None else ""
    if units is not None:
        _known_group(units, "group", unit_group, groups)
    low, high = _range(section)
    channel = TextChannel(
        key=key,
        title=section.take_text("title", key or "channel"),
        group=group,
        unit=str(section.take_text("unit", " ")).strip(),
        decimals=section.take_optional_whole("decimals", 0, 12),
        scale=section.take_decimal("scale", "1"),
        offset=section.take_decimal("offset", "0"),
        unit_group=unit_group,
        units=_numbers(units, leave=("group",)) if units is not None else None,
        values=_numbers(section.take_table("values")) if section.given("values") else None,
        invalid=_qualities(section.take_table("invalid"), MEANINGS),
        marks=tuple(_marks(entry, groups) for entry in section.take_tables("mark")),
        low=low,
        high=high,
    )
    section.take("values")
    if not channel.scale:
        section.problem("scale", "is 0", "leave it out for values that need none")
    section.finish()
    return channel


def _known_group(section: Section, name: str, group: str, groups: set[str]) -> None:
    if group and groups and group not in groups:
        section.problem(name, f"no pattern has a group {group!r}", did_you_mean(group, groups))


def _range(section: Section) -> tuple[float | None, float | None]:
    pair = section.take_list("range")
    if not section.given("range"):
        return None, None
    numbers = [section.decimal("range", entry) for entry in pair]
    if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None and numbers[0] < numbers[1]:
        return float(numbers[0]), float(numbers[1])
    section.problem("range", f"{[str(entry) for entry in pair]} is not a range", "write [lowest, highest]")
    return None, None


def _numbers(section: Section, leave: tuple[str, ...] = ()) -> dict[str, Decimal]:
    found = {}
    for name, value in section.table.items():
        if name not in leave and (number := section.decimal(name, value)) is not None:
            found[name] = number
    return found


def _qualities(section: Section, known: dict[str, Quality]) -> dict[str, Quality]:
    found = {}
    for name, value in section.table.items():
        if isinstance(value, str) and value in known:
            found[name] = known[value]
        else:
            section.problem(name, f"{value!r} is not a quality", did_you_mean(str(value), known))
    return found


def _marks(section: Section, groups: set[str]) -> Marks:
    group = section.take_text("group")
    _known_group(section, "group", group, groups)
    otherwise = section.take_choice("otherwise", tuple(DOUBTS), "sensor_fault")
    meaning = _qualities(section.take_table("meaning", required=True), DOUBTS)
    section.finish()
    return Marks(group, meaning, DOUBTS[otherwise])


def _fact(section: Section, *, audit: bool) -> Fact:
    command = _command(section, line_listens=False)
    pattern = _pattern(section, grouped=True)
    expect = {}
    wanted = section.take_table("expect") if audit else None
    for name, value in wanted.table.items() if wanted is not None else ():
        if name not in pattern.groupindex:
            section.problem(f"expect.{name}", "is no group of the pattern", did_you_mean(name, pattern.groupindex))
        elif not isinstance(value, str):
            section.problem(f"expect.{name}", f"{value!r} is not a text", 'write it in "quotes", as it is sent')
        else:
            expect[name] = value
    section.finish()
    return Fact(command, pattern, expect)


def _test(section: Section, known: dict[str, TextChannel]) -> TextTest:
    replies = section.take_list("replies")
    if not replies or not all(isinstance(reply, str) for reply in replies):
        section.problem("replies", "is not a list of texts", "write the lines as the instrument sends them")
    wanted = section.take_table("expect", required=True)
    expect: dict[str, tuple[float | None, Quality]] = {}
    for key, value in wanted.table.items():
        if key not in known:
            wanted.problem(key, "is not a key of this model", did_you_mean(key, known))
        elif (outcome := _outcome(wanted, key, value)) is not None:
            expect[key] = outcome
    title = section.take_text("title", section.path)
    section.finish()
    return TextTest(title, tuple(str(reply) for reply in replies), expect)


def _outcome(section: Section, key: str, value: object) -> tuple[float | None, Quality] | None:
    """A number (good), a quality without a value, or [number, quality] for a value that is to be doubted."""
    if isinstance(value, list) and len(value) == 2 and value[1] == "device_uncertain":
        number = section.decimal(key, value[0])
        return None if number is None else (float(number), Quality.DEVICE_UNCERTAIN)
    if isinstance(value, str):
        if value in EXPECTED and value != "device_uncertain":
            return None, EXPECTED[value]
        section.problem(key, f"{value!r} is not a fault", did_you_mean(value, set(EXPECTED) - {"device_uncertain"}))
        return None
    number = section.decimal(key, value)
    return None if number is None else (float(number), Quality.GOOD)
