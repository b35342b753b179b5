"""Every class of mistake in a model file is named with its place and what would mend it, all of them at once."""

from pathlib import Path

import pytest

from firmware_interfaces.errors import ModelError, ModelProblem
from firmware_interfaces.modbus.model import DeviceModel, load_model

GOOD = """
id = "mine"
title = "Mine"
maker = "Me"
source = "a manual"

[link]
address_base = 0

[[channel]]
key = "air"
function = 3
address = 10
type = "int16"
scale = 0.1

[[test]]
holding = { 10 = 219 }
expect = { air = 21.9 }
"""


def load(tmp_path: Path, text: str) -> DeviceModel:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_model(path)


def problems(tmp_path: Path, text: str) -> list[ModelProblem]:
    with pytest.raises(ModelError) as caught:
        load(tmp_path, text)
    assert caught.value.source.endswith("mine.toml")
    for problem in caught.value.problems:
        assert problem.what
        assert problem.remedy
        assert str(problem) in str(caught.value)
    return caught.value.problems


def test_the_good_file_is_good(tmp_path: Path) -> None:
    model = load(tmp_path, GOOD)
    assert model.channels["air"].decimals == 1
    assert str(load_model(str(tmp_path / "mine.toml")).id) == "mine"


MISTAKES = [
    # what is changed, into what, place, words of the complaint, words of the remedy
    ('id = "mine"', 'id = "other"', "id", "not the name of the file", "write 'mine'"),
    ('title = "Mine"', "", "title", "is missing", "add it"),
    ('title = "Mine"', "title = 5", "title", "5 is not a text", "quotes"),
    ('maker = "Me"', 'maker = " "', "maker", "is not a text", "quotes"),
    ('source = "a manual"', 'sourse = "a manual"', "sourse", "not known here", "did you mean 'source'?"),
    ("address_base = 0", "", "link.address_base", "is missing", "from 0 to 1"),
    ("address_base = 0", "address_base = 2", "link.address_base", "2 is not", "from 0 to 1"),
    ("address_base = 0", "address_base = true", "link.address_base", "True is not", "from 0 to 1"),
    ("[link]\naddress_base = 0", "", "link", "is missing", "[link]"),
    ("[link]\naddress_base = 0", "link = 3", "link", "is not a table", "{ ... }"),
    ("address_base = 0", "address_base = 0\nmax_registers = 126", "link.max_registers", "126", "from 1 to 125"),
    (
        "address_base = 0",
        "address_base = 0\nmax_register = 9",
        "link.max_register",
        "not known",
        "'max_registers'?",
    ),
    ("address_base = 0", 'address_base = 0\nword_order = "bigg"', "link.word_order", "'bigg'", "'big'?"),
    ("address_base = 0", 'address_base = 0\nparity = "X"', "link.parity", "'X'", "use one of: E, N, O"),
    ("address_base = 0", "address_base = 0\nstop_bits = 3", "link.stop_bits", "3 is not", "from 1 to 2"),
    ("address_base = 0", "address_base = 0\nfill_holes = -1", "link.fill_holes", "-1 is not", "from 0 to 124"),
    ('key = "air"', "", "channel[1].key", "is missing", "add it"),
    ('key = "air"', 'key = "Air temperature"', "channel[1].key", "is not a key", "small letters"),
    ("function = 3", "function = 5", "channel[1].function", "5 is not", "from 1 to 4"),
    ("function = 3", "", "channel[1].function", "is missing", "from 1 to 4"),
    ("function = 3", "function = 1", "channel[1].type", "cannot be read with function 1", '"bool"'),
    ("address = 10", "", "channel[1].address", "is missing", "from 0 to 65535"),
    ("address = 10", "address = 65536", "channel[1].address", "65536 is not", "from 0 to 65535"),
    ("address = 10", 'address = "ten"', "channel[1].address", "'ten' is not", "from 0 to 65535"),
    ('type = "int16"', "", "channel[1].type", "is missing", "int16"),
    ('type = "int16"', 'type = "s16"', "channel[1].type", "'s16' is not a type", "int16"),
    ('type = "int16"', 'type = "unt16"', "channel[1].type", "is not a type", "did you mean 'uint16'?"),
    ('type = "int16"', 'type = "string(8)"', "channel[1].type", "not a measurement", "[[identity]]"),
    ('type = "int16"', 'type = "string(0)"', "channel[1].type", "is not a type", "use one of"),
    ('type = "int16"', 'type = "bool"', "channel[1].bit", "is missing", "which bit"),
    ('type = "int16"', 'type = "int16"\nbit = 3', "channel[1].bit", "does not go", "leave it out"),
    ('type = "int16"', 'type = "bool"\nbit = 16', "channel[1].bit", "16 is not", "from 0 to 15"),
    ('type = "int16"', 'type = "int16"\nbits = [0, 3]', "channel[1].bits", "uint16 only", "leave it out"),
    ('type = "int16"', 'type = "uint16"\nbits = [3, 0]', "channel[1].bits", "not a bit field", "[lowest, highest]"),
    ('type = "int16"', 'type = "uint16"\nbits = 3', "channel[1].bits", "not a list", "[brackets]"),
    ("scale = 0.1", "scale = 0", "channel[1].scale", "is 0", "leave it out"),
    ("scale = 0.1", 'scale = "0.1"', "channel[1].scale", "not a number", "0.1"),
    ("scale = 0.1", "scale = nan", "channel[1].scale", "not a number", "0.1"),
    ("scale = 0.1", "scale = 1e-13", "channel[1].scale", "more than 12 places", "another unit"),
    ("scale = 0.1", "offset = true", "channel[1].offset", "not a number", "0.1"),
    ("scale = 0.1", "scal = 0.1", "channel[1].scal", "not known", "did you mean 'scale'?"),
    ("scale = 0.1", "invalid = [0x18000]", "channel[1].invalid", "not a raw value of 16 bits", "0x8000"),
    ("scale = 0.1", "invalid = [-32769]", "channel[1].invalid", "not a raw value", "0x8000"),
    ("scale = 0.1", 'invalid = ["none"]', "channel[1].invalid", "'none'", "0x8000"),
    ("scale = 0.1", "invalid = 0x8000", "channel[1].invalid", "not a list", "[brackets]"),
    ("scale = 0.1", "range = [10]", "channel[1].range", "is not a range", "[lowest, highest]"),
    ("scale = 0.1", "range = [10, -10]", "channel[1].range", "is not a range", "[lowest, highest]"),
    ("scale = 0.1", 'range = ["a", 1]', "channel[1].range", "not a number", "0.1"),
    ("scale = 0.1", "writable = 1", "channel[1].writable", "is not a table", "{ ... }"),
    ("scale = 0.1", "writable = true", "channel[1].writable", "has no limits", "limits = [-30, 10]"),
    ("scale = 0.1", 'word_order = "low"', "channel[1].word_order", "'low'", "use one of: big, little"),
    ("scale = 0.1", "expect = 0", "channel[1].expect", "not known", "use one of"),
    ("scale = 0.1", "fault = [1]", "channel[1].fault[1]", "is not a table", "{ ... }"),
    (
        "scale = 0.1",
        "fault = [{ function = 3, address = 1 }]",
        "channel[1].fault[1]",
        "what means a fault",
        "add bit",
    ),
    (
        "scale = 0.1",
        "fault = [{ function = 2, address = 1, good = [0] }]",
        "channel[1].fault[1]",
        "mixes",
        "use bit and when",
    ),
    (
        "scale = 0.1",
        "fault = [{ function = 3, address = 1, good = [70000] }]",
        "channel[1].fault[1].good",
        "are not states",
        "from 0 to 65535",
    ),
    (
        "scale = 0.1",
        "fault = [{ function = 3, address = 1, good = [0, 1], bad = [1] }]",
        "channel[1].fault[1]",
        "more than one meaning",
        "once",
    ),
    (
        "scale = 0.1",
        "fault = [{ function = 2, addres = 1 }]",
        "channel[1].fault[1].addres",
        "not known",
        "did you mean 'address'?",
    ),
    ("[[test]]", "[[tests]]", "tests", "not known", "did you mean 'test'?"),
    (
        "holding = { 10 = 219 }",
        "holding = { x = 219 }",
        "test[1].holding.x",
        "not an address",
        "as in the channels",
    ),
    ("holding = { 10 = 219 }", "holding = { 10 = 70000 }", "test[1].holding.10", "does not fit", "0 to 65535"),
    ("holding = { 10 = 219 }", "coils = { 10 = 2 }", "test[1].coils.10", "does not fit", "0 or 1"),
    ("expect = { air = 21.9 }", "", "test[1].expect", "is missing", "[expect]"),
    (
        "expect = { air = 21.9 }",
        "expect = { ari = 21.9 }",
        "test[1].expect.ari",
        "not a key",
        "did you mean 'air'?",
    ),
    (
        "expect = { air = 21.9 }",
        'expect = { air = "sensorfault" }',
        "test[1].expect.air",
        "not a fault",
        "did you mean 'sensor_fault'?",
    ),
    ("expect = { air = 21.9 }", "expect = { air = [1] }", "test[1].expect.air", "not a number", "0.1"),
]


@pytest.mark.parametrize(("old", "new", "path", "what", "remedy"), MISTAKES)
def test_names_the_mistake(tmp_path: Path, old: str, new: str, path: str, what: str, remedy: str) -> None:
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    matching = [problem for problem in found if problem.path == path and what in problem.what]
    assert matching, [str(problem) for problem in found]
    assert remedy in matching[0].remedy


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("address_base = 0", "").replace('"int16"', '"int61"').replace("air = 21.9", "ari = 21.9")
    text = text.replace("scale = 0.1", "scale = 0\ncolour = 3")
    assert {problem.path for problem in problems(tmp_path, text)} == {
        "link.address_base",
        "channel[1].type",
        "channel[1].scale",
        "channel[1].colour",
        "test[1].expect.ari",
    }


def test_a_key_is_used_once_in_all_three_lists(tmp_path: Path) -> None:
    text = GOOD + '[[audit]]\nkey = "air"\nfunction = 3\naddress = 11\ntype = "int16"\n'
    (problem,) = problems(tmp_path, text)
    assert (problem.path, problem.what) == ("audit[1].key", "'air' is used twice")


def test_a_file_without_channels_or_tests_is_none(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[[channel]]")]
    assert [(problem.path, problem.what) for problem in problems(tmp_path, text)] == [
        ("channel", "is missing"),
        ("test", "is missing"),
    ]


def test_a_value_must_fit_into_one_read(tmp_path: Path) -> None:
    text = GOOD.replace("address_base = 0", "address_base = 0\nmax_registers = 1").replace('"int16"', '"int32"')
    (problem,) = problems(tmp_path, text)
    assert (problem.path, problem.what) == ("channel[1].type", "'int32' is longer than max_registers")


def test_a_value_must_end_within_the_address_space(tmp_path: Path) -> None:
    text = GOOD.replace("address = 10", "address = 65535").replace('"int16"', '"float32"')
    assert "beyond 65535" in problems(tmp_path, text)[0].what


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD.replace("scale = 0.1", "scale = 0,1"))
    assert problem.path == "file"
    assert "line 15" in problem.what


def test_what_is_not_text_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="is not TOML"):
        load_model(path)


def test_addresses_count_from_the_base(tmp_path: Path) -> None:
    model = load(tmp_path, GOOD.replace("address_base = 0", "address_base = 1"))
    assert model.channels["air"].address == 9
    assert model.tests[0].cells == {(3, 9): 219}
    low = GOOD.replace("address_base = 0", "address_base = 1").replace("address = 10", "address = 0")
    assert "from 1 to 65536" in problems(tmp_path, low)[0].remedy


@pytest.mark.parametrize(
    ("scale", "offset", "multiplier", "addend", "decimals"),
    [
        ("0.1", "0", 1, 0, 1),
        ("0.10", "0", 1, 0, 1),
        ("0.5", "0", 5, 0, 1),
        ("2", "0", 2, 0, 0),
        ("100", "-40", 100, -40, 0),
        ("1e1", "0.25", 1000, 25, 2),
        ("-0.01", "1.5", -1, 150, 2),
        ("0.0001", "-50", 1, -500000, 4),
    ],
)
def test_scale_is_taken_as_it_is_written(
    tmp_path: Path, scale: str, offset: str, multiplier: int, addend: int, decimals: int
) -> None:
    text = GOOD.replace("scale = 0.1", f"scale = {scale}\noffset = {offset}")
    channel = load(tmp_path, text).channels["air"]
    assert (channel.multiplier, channel.addend, channel.places) == (multiplier, addend, decimals)
    assert channel.decimals == decimals


@pytest.mark.parametrize(
    ("kind", "decimals"),
    [
        ('"uint32"', 1),
        ('"uint64"', None),
        ('"int64"', None),
        ('"uint64"\nrange = [0, 1e9]', 1),
        ('"float32"', None),
        ('"bcd32"', 1),
    ],
)
def test_decimals_are_promised_only_where_a_double_keeps_them(
    tmp_path: Path, kind: str, decimals: int | None
) -> None:
    assert load(tmp_path, GOOD.replace('"int16"', kind)).channels["air"].decimals == decimals
