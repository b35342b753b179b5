"""Whatever stands in a file: a site, or mistakes with remedies; never a crash."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import check_file, check_site, sample_site
from gateway.config.quantities import Wrong, parse_broker, parse_duration_s, parse_listen, parse_size

SAMPLE = sample_site()
check_site(SAMPLE, "x", Path("/nowhere"))
"""Loads what is loaded lazily, so that no single example is charged with it."""
WORDS = [
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    '"',
    "'''",
    '"""',
    "\n",
    "#",
    ".",
    ",",
    "-1",
    "1e400",
    "nan",
    "true",
    "9" * 30,
]
WORDS += ["bus", "device", "[[bus]]\n", "unit = ", "2027-02-30", "\x00", "é", "1979-05-27T07:32:00Z", "[gateway]"]


def checked(text: str) -> None:
    site, problems = check_site(text, "x", Path("/nowhere"))
    assert site is not None or problems
    for problem in problems:
        assert problem.what
        assert problem.remedy
        assert problem.line is None or 1 <= problem.line <= text.count("\n") + 1


@given(st.text(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=20).map("".join))
def test_any_text(text: str) -> None:
    checked(text)


@given(
    st.integers(0, len(SAMPLE)), st.integers(0, 12), st.sampled_from(WORDS) | st.text(string.printable, max_size=4)
)
def test_any_small_change_of_a_right_file(at: int, cut: int, put: str) -> None:
    checked(SAMPLE[:at] + put + SAMPLE[at + cut :])


scalars = st.sampled_from(
    ["1", "-1", "1.5", '""', '"x"', "true", "[]", "{}", "[[]]", "nan", "inf", "1e300", "07:32:00"]
)
scalars |= st.sampled_from(
    ["2027-01-01", "2027-01-01T00:00:00", "9" * 400, '["x", 1]', "[{ x = 1 }]", '"a.b"', '"10s"']
)


@given(st.data())
def test_any_value_for_any_setting(data: st.DataObject) -> None:
    lines = SAMPLE.splitlines()
    settings = [n for n, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    for number in data.draw(st.lists(st.sampled_from(settings), min_size=1, max_size=4, unique=True)):
        lines[number] = f"{lines[number].partition(' = ')[0]} = {data.draw(scalars)}"
    checked("\n".join(lines))


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "a = " + "[" * 20_000, "a = " + "9" * 5000, "a = " + "{a=" * 5000, "a." * 5000 + "a = 1"]
)
def test_files_made_to_hurt(text: str) -> None:
    site, problems = check_site(text, "x", Path("/nowhere"))
    assert site is None
    assert problems


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    with path.open("wb") as file:
        file.truncate(10**10)
    assert "larger than 4 MB" in check_file(path)[1][0].what


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "directory" in check_file(tmp_path)[1][0].what.lower()


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,7})? ?(ms|s|min|h|GB|MB)", fullmatch=True))
@pytest.mark.parametrize("parse", [parse_duration_s, parse_size, parse_listen, parse_broker])
def test_a_quantity_is_understood_or_refused_in_words(parse: object, text: str) -> None:
    assert callable(parse)
    try:
        assert parse(text)
    except Wrong as wrong:
        words = (wrong.what, wrong.remedy)
    except AssertionError:
        words = ("zero", "is left to the range of the setting") if text.strip().startswith("0") else ("", "")
    else:
        words = ("understood", text)
    assert all(words)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("10 s", 10), ("1.5min", 90), ("1h", 3600), ("0.1s", 0.1)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("4 GB", 4 * 10**9), ("500MB", 5 * 10**8), ("1.5 KiB", 1536), ("7 B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
