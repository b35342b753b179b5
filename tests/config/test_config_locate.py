"""Line numbers for the keys of any TOML document, held against the parser of the standard library."""

import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.locate import Key, locate

TRICKY = """\
# [not.a.table]
title = "a # no comment" # one
"quoted key" = 'x = 1'
point.x = 1
point."y z" = 2

[table]
list = [1, # first
  2,
  [3, "]"], { deep = "}" }]
text = \"\"\"
[no.table]
key = 3 \\"\"\"
\"\"\"
last = 1979-05-27T07:32:00Z

[[array]]
name = 'one'
[array.sub]
x = { a = 1, b = [ { c = 2 } ] }
[[array]]
name = "two"
[[array.inner]]
z = 1
"""


def paths(value: Any, path: Key = ()) -> Iterator[Key]:
    """Every key path of a parsed document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


def assert_located(text: str) -> None:
    lines = locate(text)
    rows = text.split("\n")
    for path in paths(tomllib.loads(text)):
        name = next(part for part in reversed(path) if isinstance(part, str))
        assert path in lines, f"{path} is nowhere"
        assert name in rows[lines[path] - 1], f"{path} is not on line {lines[path]}"


def test_every_form_that_toml_knows() -> None:
    assert_located(TRICKY)
    lines = locate(TRICKY)
    assert lines["table", "list"] == 8
    assert lines["table", "last"] == 15
    assert lines["array", 1, "inner", 0, "z"] == 24


keys = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
strings = st.text(alphabet='ab#[]{}=,". ', max_size=8).map(lambda s: '"' + s.replace('"', '\\"') + '"')
values = st.one_of(
    st.integers(-99, 99).map(str), strings, st.lists(strings, max_size=3).map(lambda v: f"[{', '.join(v)}]")
)


@given(
    st.lists(
        st.tuples(keys, st.dictionaries(keys, values, max_size=4), st.booleans()),
        max_size=6,
        unique_by=lambda t: t[0],
    )
)
def test_any_document(tables: list[tuple[str, dict[str, str], bool]]) -> None:
    text = ""
    for name, content, array in tables:
        for _ in range(2 if array else 1):
            text += f"[[{name}]]\n" if array else f"[{name}]  # {name}\n"
            text += "".join(f"{key} = {value}\n\n" for key, value in content.items())
    assert_located(text)
