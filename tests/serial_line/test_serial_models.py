"""Models of serial instruments: those that ship prove themselves, and every mistake in one has its place."""

import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.errors import ModelError
from firmware_interfaces.quality import BAD, Quality
from firmware_interfaces.serial.models import list_serial_models, list_text_models, load_serial_model
from firmware_interfaces.serial.nouns import TextModel
from firmware_interfaces.serial.text import Said, Understood, read_channels
from firmware_interfaces.serial.texttest import run_text_tests
from gateway.cli import main

DOC = Path(__file__).parents[2] / "docs" / "serial.md"


def documented() -> str:
    """The example of the documentation, as an engineer would copy it."""
    text = DOC.read_text(encoding="utf-8")
    start = text.index('    id = "my-level"')
    return "\n".join(line[4:] for line in text[start : text.index("| entry | meaning |")].splitlines())


def text_model(name: str) -> TextModel:
    model = load_serial_model(name)
    assert isinstance(model, TextModel)
    return model


@pytest.mark.parametrize("name", list_text_models())
def test_a_shipped_model_does_what_its_test_cases_say(name: str) -> None:
    model = text_model(name)
    assert run_text_tests(model) == []
    assert model.id == name
    tested = {key for test in model.tests for key in test.expect}
    assert tested == set(model.channels)
    assert any(quality >= BAD for test in model.tests for _, quality in test.expect.values())


@pytest.mark.parametrize("name", [name for name in list_text_models() if name.startswith("atlas")])
@pytest.mark.parametrize("code", ["*OK", "*ER", "*OV", "*UV", "*RS", "*RE", "*SL", "*WA", "*??"])
def test_no_reply_code_of_an_electrode_is_ever_a_value(name: str, code: str) -> None:
    model = text_model(name)
    said = Understood(model).of_poll(model.polls[0], code.encode())
    values, marks = read_channels(list(model.channels.values()), [said or Quality.BAD_FRAME])
    assert all(math.isnan(value) for value in values)
    assert min(marks) >= BAD


LOADED = [text_model(name) for name in list_text_models()]
NEARLY = st.text(st.sampled_from("SDRI 0123456789.+-kg*OKE?,"), max_size=25).map(str.encode)


@given(st.sampled_from(LOADED), st.binary(max_size=40) | NEARLY)
def test_no_line_breaks_a_model_or_gives_a_value_without_its_digits(model: TextModel, frame: bytes) -> None:
    said = Understood(model).of_poll(model.polls[0], frame)
    if said is None:
        return
    for channel, value, mark in zip(
        model.channels.values(), *read_channels(list(model.channels.values()), [said]), strict=True
    ):
        assert math.isnan(value) == (mark >= BAD)
        if not math.isnan(value) and channel.values is None:
            assert said.groups is not None
            assert str(said.groups[channel.group]).strip() in frame.decode("ascii")


@given(st.decimals(-99999, 99999, places=4))
def test_a_number_survives_as_it_was_sent(number: Decimal) -> None:
    model = text_model("mt-sics")
    said = Understood(model).of_poll(model.polls[0], f"S S {number:>12} kg".encode())
    assert isinstance(said, Said)
    values, _ = read_channels([model.channels["weight"]], [said])
    assert values[0] == float(number)


def test_the_example_of_the_documentation_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my-level.toml"
    path.write_text(documented(), encoding="utf-8")
    assert main(["models", str(path)]) == 0
    assert "2 of its own tests pass" in capsys.readouterr().out


def test_a_model_that_does_not_do_what_it_says_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my-level.toml"
    path.write_text(documented().replace("level = 2.5", "level = 2.6"), encoding="utf-8")
    assert main(["models", str(path)]) == 1
    assert "a level: level is 2.5, not 2.6" in capsys.readouterr().out


def test_all_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for name in (*list_serial_models(), "mbus-heat", "mbus-meter", "mbus-water"):
        assert f"\n{name} " in out


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('id = "my-level"', 'id = "other"', "id: 'other' is not the name of the file"),
        ("baud = 19200", "baud = 19201", "line.baud: 19201 is not a speed of serial lines"),
        ('parity = "E"', 'parity = "X"', "line.parity: 'X' is not known"),
        ("data_bits = 7", "data_bits = 9", "line.data_bits: 9 is not a whole number from 7 to 8"),
        ('address = "{unit:02d}"', 'address = "{id}"', "line.address: '{id}' is no form of a unit id"),
        ('address = "{unit:02d}"', 'start = "GO"', "line.start: has no meaning for an instrument that is asked"),
        ("L{unit:02d}?", "L{unit", "poll[1].command: 'L{unit' has wrong braces"),
        ("(?P<level>", "(?P<level", "poll[1].pattern: is no regular expression"),
        ("pattern = 'L(?P<address>", "pettern = 'L(?P<address>", "poll[1].pettern: is not known here"),
        ('key = "level"', 'key = "Level"', "channel[1].key: 'Level' is not a key"),
        ('key = "level"', 'key = "depth"', "channel[1].group: no pattern has a group 'depth'"),
        ('group = "unit"', 'group = "units"', "channel[1].units.group: no pattern has a group 'units'"),
        ('"sensor_fault" }', '"broken" }', "channel[1].invalid.-----: 'broken' is not a quality"),
        ("range = [0, 20]", "range = [20, 0]", "channel[1].range: ['20', '0'] is not a range"),
        ('means = "device_exception"', 'means = "error"', "reply[1].means: 'error' is not known"),
        (
            "expect = { level = 2.5 }",
            "expect = { depth = 2.5 }",
            "test[1].expect.depth: is not a key of this model",
        ),
        ("expect = { level = 2.5 }", 'expect = { level = "bad" }', "test[1].expect.level: 'bad' is not a fault"),
        ('replies = ["L01=02.500 m "]', "replies = 5", "test[1].replies: 5 is not a list"),
        ("[line]", "[line", "file: is not TOML"),
    ],
)
def test_each_mistake_has_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = tmp_path / "my-level.toml"
    assert old in documented()
    path.write_text(documented().replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        load_serial_model(str(path))
    found = [str(problem) for problem in caught.value.problems]
    assert any(problem.startswith(expected) for problem in found), found


def test_an_empty_file_names_all_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    with pytest.raises(ModelError) as caught:
        load_serial_model(str(path))
    assert {problem.path for problem in caught.value.problems} == {
        "id", "title", "maker", "source", "line", "poll", "channel", "test"
    }  # fmt: skip
