"""An instrument with lines of text on a serial line: asked by its model, or heard."""

from collections.abc import AsyncIterator, Mapping, Sequence

from firmware_interfaces.asked import Introduction
from firmware_interfaces.errors import BusError, NoAnswer
from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.framing import LineFramer
from firmware_interfaces.serial.line import SerialLine
from firmware_interfaces.serial.nouns import Fact, TextModel
from firmware_interfaces.serial.text import Said, TextReading, Understood, read_channels

__all__ = ["HeardText", "TextInstrument", "line_framer"]


def line_framer(model: TextModel) -> LineFramer:
    """Cuts what the instrument sends into its lines."""
    facts = model.line
    return LineFramer(facts.reply_end.encode("ascii"), facts.reply_start.encode("ascii"))


class TextInstrument:
    """Asks the polls of a model, one after another. What the instrument refuses is a quality, not an error."""

    def __init__(self, line: SerialLine, unit: int, model: TextModel, channels: Sequence[str] = ()) -> None:
        self.line = line
        self.unit = unit
        self.model = model
        self.channels = tuple(model.channels[key] for key in channels or model.channels)
        self._understood = Understood(model, unit)
        self._framer = line_framer(model)
        wanted = {channel.group for channel in self.channels}
        self._polls = [poll for poll in model.polls if wanted & set(poll.pattern.groupindex)]

    async def probe(self, timeout_s: float) -> None:
        """The first poll: an instrument with lines of text has nothing cheaper."""
        await self._ask(0, timeout_s)

    async def poll(self, timeout_s: float) -> TextReading:
        """Ask once for all channels."""
        said: list[Said | Quality] = []
        lines: list[bytes] = []
        slowest, silent = 0.0, False
        for number in range(len(self._polls)):
            started = self.line.time()
            try:
                answer = await self._ask(number, timeout_s)
            except BusError as error:
                if not said:
                    raise
                said.append(Quality(error.quality))
                silent = isinstance(error, NoAnswer)
                break
            slowest = max(slowest, self.line.time() - started)
            said.append(answer)
            lines.append(answer.raw)
        values, quality = read_channels(self.channels, said)
        return TextReading(values, quality, tuple(lines), slowest, silent)

    async def _ask(self, number: int, timeout_s: float) -> Said:
        poll = self._polls[number]
        return await self.line.ask(
            self.unit,
            self._command(poll.command),
            self._framer,
            lambda frame: self._understood.of_poll(poll, frame),
            timeout_s,
        )

    def _command(self, command: str) -> bytes:
        return (command.format(unit=self.unit) + self.model.line.command_end).encode("ascii")

    async def introduce(self, timeout_s: float) -> AsyncIterator[Introduction]:
        """Ask for what identifies the instrument, then for how it is set up. What it refuses is None."""
        if self.model.identity:
            found, _ = await self._facts(self.model.identity, timeout_s)
            yield Introduction("identity", found)
        if self.model.audit:
            yield Introduction("audit", *await self._facts(self.model.audit, timeout_s))

    async def _facts(
        self, facts: Sequence[Fact], timeout_s: float
    ) -> tuple[dict[str, object], Mapping[str, object]]:
        found: dict[str, object] = {}
        unexpected: dict[str, object] = {}
        for fact in facts:
            groups = await self._fact(fact, timeout_s)
            for name in fact.pattern.groupindex:
                text = groups.get(name)
                found[name] = text
                if text is not None and text != fact.expect.get(name, text):
                    unexpected[name] = fact.expect[name]
        return found, unexpected

    async def _fact(self, fact: Fact, timeout_s: float) -> Mapping[str, str | None]:
        said = await self.line.ask(
            self.unit,
            self._command(fact.command),
            self._framer,
            lambda frame: self._understood.of_fact(fact.pattern, frame),
            timeout_s,
        )
        return said.groups or {}

    def forget_refusals(self) -> None:
        """Nothing is remembered."""


class HeardText:
    """An instrument that speaks unasked: every line on its own becomes values, a fault, or nothing."""

    def __init__(self, model: TextModel, channels: Sequence[str] = ()) -> None:
        self.model = model
        self.channels = tuple(model.channels[key] for key in channels or model.channels)
        self._understood = Understood(model)

    @property
    def start(self) -> bytes:
        """What makes it speak; empty where it always does."""
        facts = self.model.line
        return (facts.start + facts.command_end).encode("ascii") if facts.start else b""

    def framer(self) -> LineFramer:
        """Cuts what it sends."""
        return line_framer(self.model)

    def hear(self, frame: bytes) -> dict[str, tuple[float, int]] | str | None:
        """Value and quality by channel; words for a line that is not understood; None for one of no meaning."""
        for poll in self.model.polls:
            said = self._understood.of_poll(poll, frame)
            if said is None:
                continue
            mine = self.channels
            if said.groups is not None:
                mine = tuple(channel for channel in mine if said.groups.get(channel.group) is not None)
                if not mine:
                    return None
            values, marks = read_channels(mine, [said])
            return {channel.key: (value, mark) for channel, value, mark in zip(mine, values, marks, strict=True)}
        return None if self._understood.ignorable(frame) else "a line that the model does not know"
