"""A model's own test cases, run on the way that a poll takes: plan the reads, cut the blocks, decode."""

from collections.abc import Mapping
from dataclasses import dataclass

from firmware_interfaces.modbus.decode import Decoder
from firmware_interfaces.modbus.nouns import Channel, DeviceModel, TestCase
from firmware_interfaces.modbus.planner import Read, plan_reads
from firmware_interfaces.quality import Quality

__all__ = ["TestFailure", "run_tests"]


@dataclass(frozen=True, slots=True)
class TestFailure:
    """One expectation that a model does not meet."""

    __test__ = False

    test: str
    key: str
    expected: float | str | Quality
    got: float | str | Quality

    def __str__(self) -> str:
        return f"{self.test}: {self.key} is {_words(self.got)}, not {_words(self.expected)}"


def _words(value: float | str | Quality) -> str:
    return value.name.lower() if isinstance(value, Quality) else repr(value)


def run_tests(model: DeviceModel) -> list[TestFailure]:
    """All test cases of a model; an empty list when it does what it says.

    What a case does not name is 0, but a channel whose own registers are not named fails: a test proves nothing
    about registers that it leaves out.
    """
    channels = {channel.key: channel for channel in (*model.channels.values(), *model.identity, *model.audit)}
    failures = []
    for test in model.tests:
        for key, expected in test.expect.items():
            got = _outcome(model, channels[key], test)
            # a quality is a number, too: 133 must not pass for SENSOR_FAULT
            same = isinstance(expected, Quality) == isinstance(got, Quality)
            if not (same and channels[key].meets(expected, got)):
                failures.append(TestFailure(test.title, key, expected, got))
    return failures


def _outcome(model: DeviceModel, channel: Channel, test: TestCase) -> float | str | Quality:
    named = ((channel.function, channel.address + offset) in test.cells for offset in range(channel.count))
    if not all(named):
        return "registers that the test does not name"
    reads = plan_reads(model, (channel,))
    blocks = [_block(read, test.cells) for read in reads]
    if channel.is_text:
        text = channel.text(blocks[0])
        return Quality.SENSOR_FAULT if text is None else text
    values, quality = Decoder((channel,), reads).decode(blocks, [Quality.GOOD] * len(reads))
    return Quality(quality[0]) if quality[0] != Quality.GOOD else float(values[0])


def _block(read: Read, cells: Mapping[tuple[int, int], int]) -> bytes:
    """What a device with these cells answers to a read."""
    contents = [cells.get((read.function, read.address + offset), 0) for offset in range(read.count)]
    if read.function in {1, 2}:
        packed = sum(bit << place for place, bit in enumerate(contents))
        return packed.to_bytes((read.count + 7) // 8, "little")
    return b"".join(content.to_bytes(2, "big") for content in contents)
