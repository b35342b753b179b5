"""Line numbers that tomllib does not give: every key path of a document is found on a line that holds its key."""

import datetime
import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.locate import Key, locate
from gateway.config.sample import sample_site

DOCUMENT = """\
# a comment with [brackets] and = signs
title = "one # no comment [x]"   # two
a.b.'c d'.e = 1

[server]   # host = "no"
hosts = [
  "alpha",   # [first]
  "]",
  ['#', "omega"],
]
text = \"\"\"
[not.a.table]
key = 1 \\
  \\"\"\" still ""\"\"\"
raw = '''
x = "y" ''''
at = 1979-05-27 07:32:00 # a date with a space
inline = { x = 1, y.z = [2, 3], "q = 1" = { w = "}" } }

[[bus]]
id = "one"
[bus.line]
speed = 9600
[[bus.stop]]
n = 1
[[bus.stop]]
n = 2
[[bus]]
id = "two"
[bus."dotted.name"]
k = true
"""

EXPECTED = {
    ("title",): 2,
    ("a", "b", "c d", "e"): 3,
    ("server",): 5,
    ("server", "hosts"): 6,
    ("server", "hosts", 0): 7,
    ("server", "hosts", 1): 8,
    ("server", "hosts", 2, 1): 9,
    ("server", "text"): 11,
    ("server", "raw"): 15,
    ("server", "at"): 17,
    ("server", "inline", "y", "z", 1): 18,
    ("server", "inline", "q = 1", "w"): 18,
    ("bus",): 20,
    ("bus", 0, "id"): 21,
    ("bus", 0, "line", "speed"): 23,
    ("bus", 0, "stop", 0, "n"): 25,
    ("bus", 0, "stop", 1): 26,
    ("bus", 1): 28,
    ("bus", 1, "id"): 29,
    ("bus", 1, "dotted.name", "k"): 31,
}


def paths(value: Any, at: Key = ()) -> set[Key]:
    """All key paths of a parsed document."""
    found: set[Key] = {at} if at else set()
    if isinstance(value, dict):
        for name, inner in value.items():
            found |= paths(inner, (*at, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found |= paths(inner, (*at, number))
    return found


def test_the_tour_of_the_language() -> None:
    lines = locate(DOCUMENT)
    assert {path: lines[path] for path in EXPECTED} == EXPECTED
    assert set(lines) == paths(tomllib.loads(DOCUMENT))


@pytest.mark.parametrize(
    "text", ["", "\n\n# only\n", "a=1", "a = 1\r\n[b]\r\nc = '''\r\n'''\r\nd = 2\r\n", "[ a . b ]\nc=[]"]
)
def test_edges_of_a_document(text: str) -> None:
    assert set(locate(text)) == paths(tomllib.loads(text))


def test_windows_line_ends_count_as_one_line() -> None:
    assert locate("a = 1\r\n[b]\r\nc = '''\r\n'''\r\nd = 2\r\n")["b", "d"] == 5


def test_every_line_of_the_sample() -> None:
    text = sample_site()
    lines = locate(text)
    assert set(lines) == paths(tomllib.loads(text))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert path[-1] in text.splitlines()[line - 1]


# Any document, in any style of writing --------------------------------------------------------------------------

names = st.from_regex(r"[a-z]{1,3}", fullmatch=True) | st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f", exclude_categories=["Cc"]),
    max_size=4,
)
plain = (
    st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates(min_value=datetime.date(1000, 1, 1))
    | st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=12)
)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
documents = st.dictionaries(
    names, values | st.lists(st.dictionaries(names, values, max_size=3), min_size=1), max_size=5
)


class Writer:
    """Writes a document as people do: each choice of style is drawn."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = lambda *choices: data.draw(st.sampled_from(choices))
        self.lines: list[str] = []

    def key(self, name: str) -> str:
        if name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name) and self.draw(True, False):
            return name
        return f"'{name}'" if "'" not in name and self.draw(True, False) else json.dumps(name)

    def value(self, value: Any, *, one_line: bool = False) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, dict):
            pairs = (f"{self.key(name)} = {self.value(inner, one_line=True)}" for name, inner in value.items())
            return "{ " + ", ".join(pairs) + " }"
        if isinstance(value, list):
            gap = self.draw("", "\n  ", "  # ]\n") if not one_line else ""
            return "[" + gap + f",{gap}".join(self.value(item, one_line=one_line) for item in value) + gap + "]"
        if isinstance(value, str):
            return self.string(value, one_line)
        return value.isoformat() if isinstance(value, datetime.date) else repr(value)

    def string(self, value: str, one_line: bool) -> str:
        basic = json.dumps(value).replace("\x7f", "\\u007f")
        if one_line or not self.draw(True, False):
            return basic
        if all(c.isprintable() or c == "\n" for c in value) and "''" not in value and self.draw(True, False):
            return f"'''\n{value}'''"
        return '"""\n' + basic[1:-1].replace("\\n", "\n").replace('\\"\\"', '"\\"') + '"""'

    def table(self, content: dict[str, Any], at: tuple[str, ...]) -> None:
        later = []
        for name, value in content.items():
            tables = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
            if (isinstance(value, dict) or tables) and self.draw(True, False):
                later.append((name, value))
            else:
                self.lines.append(
                    f"{self.draw('', '  ')}{self.key(name)} = {self.value(value)}{self.draw('', ' # x = 1')}"
                )
        for name, value in later:
            header = self.draw(".", " . ").join(self.key(part) for part in (*at, name))
            for item in value if isinstance(value, list) else [value]:
                self.lines += self.draw([], ["", "# [comment]"])
                self.lines.append(f"[[{header}]]" if isinstance(value, list) else f"[ {header} ]")
                self.table(item, (*at, name))


@given(documents, st.data())
def test_every_path_of_any_document_is_located(document: dict[str, Any], data: st.DataObject) -> None:
    writer = Writer(data)
    writer.table(document, ())
    text = "\n".join(writer.lines) + data.draw(st.sampled_from(["", "\n"]))
    parsed = tomllib.loads(text)
    lines = locate(text)
    assert set(lines) == paths(parsed)
    written = text.split("\n")
    for path, line in lines.items():
        name = path[-1]
        if isinstance(name, str):
            here = written[line - 1]
            assert name in here or json.dumps(name)[1:-1].replace("\x7f", "\\u007f") in here
