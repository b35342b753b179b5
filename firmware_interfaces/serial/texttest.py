"""A serial model's own test cases, run on the way that a poll takes: the lines are judged one after another."""

from math import isnan, nan

from firmware_interfaces.modbus.modeltest import TestFailure
from firmware_interfaces.quality import Quality
from firmware_interfaces.serial.nouns import TextModel, TextTest
from firmware_interfaces.serial.text import Said, Understood, read_channels

__all__ = ["run_text_tests"]


def run_text_tests(model: TextModel) -> list[TestFailure]:
    """All test cases of a model; an empty list when it does what it says."""
    failures = []
    for test in model.tests:
        for key, (value, quality) in test.expect.items():
            got, mark = _outcome(model, key, test)
            same = got == value if value is not None else isnan(got)
            if not same or mark != quality:
                expected = _worded(value, quality)
                failures.append(TestFailure(test.title, key, expected, _worded(None if isnan(got) else got, mark)))
    return failures


def _outcome(model: TextModel, key: str, test: TextTest) -> tuple[float, Quality]:
    """Each poll takes lines until one is its answer; lines that are none, and run out, are a bad frame."""
    understood = Understood(model)
    lines = iter([reply.encode(model.line.encoding) for reply in test.replies])
    said: list[Said | Quality] = []
    for poll in model.polls:
        answer = next((found for line in lines if (found := understood.of_poll(poll, line)) is not None), None)
        said.append(Quality.BAD_FRAME if answer is None else answer)
    values, marks = read_channels([model.channels[key]], said)
    return (values[0] if marks else nan), Quality(marks[0])


def _worded(value: float | None, quality: Quality) -> str | float | Quality:
    if value is None:
        return quality
    return value if quality == Quality.GOOD else f"{value!r} ({quality.name.lower()})"
