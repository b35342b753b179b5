"""Edits of a site file as text: exactly one thing changes, everything else stays byte for byte."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.change.edit import edited
from gateway.change.plan import ChangeError
from gateway.change.write import value_text
from gateway.config import sample_site

SAMPLE = sample_site()

SMALL = """\
# One plant.
title = "x"   # odd, but TOML

# Who we are
[gateway]
id = "g"      # the gateway

# The line in the cellar.
[[bus]]
id = "line-1"

# The first probe.
[[device]]
id = "probe-1"  # by the door
period_s = 10   # seconds
channels = [
    "temperature", # the one that matters
]

[device.calibration.temperature]  # by the laboratory
certificate = "K-1"
points = [[0.0, 0.1]]
# still of the certificate

# The second one.
[[device]]
id = "probe-2"
period_s = 20

#
# Section of the points
#

[[point]]
id = "room"
limits = { high = 5.0, low = { limit = 1.0, delay = "5min" } }
"""


def set_(*path: str | int, value: Any) -> dict[str, Any]:
    return {"op": "set", "path": list(path), "value": value}


def lines_gone(old: str, new: str) -> list[str]:
    kept = new.split("\n")
    return [line for line in old.split("\n") if line not in kept]


class TestSet:
    def test_a_value_is_replaced_and_its_comment_stays(self) -> None:
        assert edited(SMALL, [set_("device", "probe-1", "period_s", value=2.5)]) == SMALL.replace(
            "period_s = 10   # seconds", "period_s = 2.5   # seconds"
        )

    def test_a_list_over_several_lines_is_replaced_whole(self) -> None:
        new = edited(SMALL, [set_("device", "probe-1", "channels", value=["a", "b"])])
        assert new == SMALL.replace('[\n    "temperature", # the one that matters\n]', '["a", "b"]')

    def test_a_new_setting_comes_behind_the_others_of_its_table(self) -> None:
        new = edited(SMALL, [set_("device", "probe-2", "unit", value=7)])
        assert new == SMALL.replace("period_s = 20\n", "period_s = 20\nunit = 7\n")

    def test_a_new_setting_in_a_table_that_has_tables_below_it(self) -> None:
        new = edited(SMALL, [set_("device", "probe-1", "unit", value=7)])
        assert new == SMALL.replace("that matters\n]\n", "that matters\n]\nunit = 7\n")

    def test_a_value_inside_braces(self) -> None:
        new = edited(SMALL, [set_("point", "room", "limits", "low", "limit", value=2.0)])
        assert new == SMALL.replace("limit = 1.0", "limit = 2.0")

    def test_a_setting_of_a_table_that_is_not_there_yet(self) -> None:
        assert edited(SMALL, [set_("web", "listen", value=False)]) == SMALL + "\n[web]\nlisten = false\n"

    def test_a_setting_before_every_table(self) -> None:
        assert edited(SMALL, [set_("title", value="y")]) == SMALL.replace('"x"', '"y"', 1)
        assert edited('[web]\nlisten = "a"\n', [set_("x", value=1)]) == 'x = 1\n[web]\nlisten = "a"\n'

    def test_a_day_of_a_certificate_may_be_sent_as_a_text(self) -> None:
        new = edited(
            SMALL, [set_("device", "probe-1", "calibration", "temperature", "valid_until", value="2027-01-31")]
        )
        assert new == SMALL.replace("[[0.0, 0.1]]\n", "[[0.0, 0.1]]\nvalid_until = 2027-01-31\n")


class TestAdd:
    def test_a_device_comes_behind_the_last_one(self) -> None:
        new = edited(SMALL, [{"op": "add", "path": ["device"], "values": {"id": "probe-3", "period_s": 1.0}}])
        assert new == SMALL.replace(
            "period_s = 20\n", 'period_s = 20\n\n[[device]]\nid = "probe-3"\nperiod_s = 1.0\n'
        )

    def test_with_tables_of_its_own(self) -> None:
        calibration = {"temperature": {"certificate": "K-2", "valid_until": "2027-06-30", "points": [[0, 1]]}}
        values = {"id": "probe-3", "calibration": calibration}
        new = edited(SMALL, [{"op": "add", "path": ["device"], "values": values}])
        assert (
            '[[device]]\nid = "probe-3"\n\n[device.calibration.temperature]\ncertificate = "K-2"\n'
            "valid_until = 2027-06-30\npoints = [[0, 1]]\n"
        ) in new

    def test_a_calibration_comes_behind_its_device(self) -> None:
        edit = {
            "op": "add",
            "path": ["device", "probe-1", "calibration", "humidity"],
            "values": {"certificate": "H"},
        }
        assert edited(SMALL, [edit]) == SMALL.replace(
            "# still of the certificate\n",
            '# still of the certificate\n\n[device.calibration.humidity]\ncertificate = "H"\n',
        )

    def test_the_first_of_its_name_comes_at_the_end(self) -> None:
        new = edited(SMALL, [{"op": "add", "path": ["output"], "values": {"id": "mail"}}])
        assert new == SMALL + '\n[[output]]\nid = "mail"\n'

    def test_to_a_file_without_a_line_end_or_without_anything(self) -> None:
        edit = {"op": "add", "path": ["bus"], "values": {"id": "b"}}
        assert edited('[gateway]\nid = "g"', [edit]) == '[gateway]\nid = "g"\n\n[[bus]]\nid = "b"\n'
        assert edited("", [edit]) == '[[bus]]\nid = "b"\n'


class TestRemove:
    def test_a_device_goes_with_its_tables_and_the_comment_before_it(self) -> None:
        new = edited(SMALL, [{"op": "remove", "path": ["device", "probe-1"]}])
        start, end = SMALL.index("# The first probe."), SMALL.index("# The second one.")
        assert new == SMALL[:start] + SMALL[end:]

    def test_the_last_one_leaves_the_comments_of_what_follows(self) -> None:
        new = edited(SMALL, [{"op": "remove", "path": ["device", "probe-2"]}])
        start, end = SMALL.index("# The second one."), SMALL.index("#\n# Section of the points")
        assert new == SMALL[:start] + SMALL[end:]

    def test_a_calibration_alone(self) -> None:
        new = edited(SMALL, [{"op": "remove", "path": ["device", "probe-1", "calibration", "temperature"]}])
        start, end = SMALL.index("[device.calibration"), SMALL.index("# The second one.")
        assert new == SMALL[:start] + SMALL[end:]

    def test_a_setting_goes_with_its_line(self) -> None:
        new = edited(SMALL, [{"op": "remove", "path": ["device", "probe-1", "channels"]}])
        assert new == SMALL.replace('channels = [\n    "temperature", # the one that matters\n]\n', "")

    def test_everything_can_go(self) -> None:
        new = SMALL
        for path in (["device", 0], ["device", 0], ["point", "room"], ["bus", "line-1"], ["gateway"], ["title"]):
            new = edited(new, [{"op": "remove", "path": path}])
        assert tomllib.loads(new) == {}
        assert "# Section of the points" in new


class TestReplace:
    def test_only_what_differs_is_touched(self) -> None:
        values = {
            "id": "probe-1",
            "period_s": 10,
            "unit": 3,
            "calibration": {"temperature": {"certificate": "K-2"}},
        }
        new = edited(SMALL, [{"op": "replace", "path": ["device", "probe-1"], "values": values}])
        assert lines_gone(SMALL, new) == [
            "channels = [",
            '    "temperature", # the one that matters',
            "]",
            'certificate = "K-1"',
            "points = [[0.0, 0.1]]",
        ]
        assert "# still of the certificate" in new
        assert "period_s = 10   # seconds" in new


class TestFilesOfAllKinds:
    def test_line_ends_of_windows_stay(self) -> None:
        text = SMALL.replace("\n", "\r\n")
        new = edited(text, [set_("device", "probe-2", "unit", value=7), {"op": "remove", "path": ["bus", 0]}])
        assert new.count("\n") == new.count("\r\n")
        assert "period_s = 20\r\nunit = 7\r\n" in new

    def test_a_byte_order_mark_stays(self) -> None:
        new = edited("\ufeff" + SMALL, [set_("title", value="y")])
        assert new == "\ufeff" + edited(SMALL, [set_("title", value="y")])

    def test_what_looks_like_a_header_inside_a_text_is_none(self) -> None:
        text = 'note = """\n[[device]]\nid = "no"\n"""\nother = \'[gateway]\'\n[[device]]\nid = "d"\n'
        new = edited(text, [{"op": "remove", "path": ["device", "d"]}])
        assert new == text[: text.rindex("[[device]]")]

    def test_dotted_and_quoted_keys(self) -> None:
        text = 'web.listen = "a"\n"odd key".x = 1\n'
        assert edited(text, [set_("web", "listen", value=False)]) == 'web.listen = false\n"odd key".x = 1\n'
        assert edited(text, [set_("odd key", "x", value=2)]) == 'web.listen = "a"\n"odd key".x = 2\n'

    def test_a_device_between_other_tables(self) -> None:
        text = '[[device]]\nid = "a"\n[[point]]\nid = "p"\n[device.calibration.t]\nx = 1\n[[device]]\nid = "b"\n'
        new = edited(text, [{"op": "remove", "path": ["device", "a"]}])
        assert tomllib.loads(new) == {"device": [{"id": "b"}], "point": [{"id": "p"}]}


class TestRefusals:
    @pytest.mark.parametrize(
        ("edit", "what"),
        [
            ({"op": "set", "path": ["device", "nobody", "unit"], "value": 1}, "no device.nobody"),
            ({"op": "set", "path": ["device", 9, "unit"], "value": 1}, "no device"),
            ({"op": "set", "path": ["title", "x"], "value": 1}, "no table"),
            ({"op": "set", "path": ["device", "probe-1", "unit"]}, "no value"),
            ({"op": "set", "path": ["gateway", "id"], "value": float("nan")}, "no value of a site file"),
            ({"op": "set", "path": ["gateway", "id"], "value": None}, "no value of a site file"),
            ({"op": "set", "path": ["gateway", "id"], "value": "\ud800"}, "half a character"),
            ({"op": "set", "path": [], "value": 1}, "where"),
            ({"op": "set", "path": "gateway.id", "value": 1}, "where"),
            ({"op": "add", "path": ["gateway"], "values": {}}, "there already"),
            ({"op": "add", "path": ["device"], "values": 3}, "no object"),
            ({"op": "remove", "path": ["device", "probe-1", "nothing"]}, "no device"),
            ({"op": "remove", "path": ["point", "room", "limits", "low"]}, "braces"),
            ({"op": "burn", "path": ["gateway"]}, "no edit"),
            ("nonsense", "no object"),
        ],
    )  # fmt: skip
    def test_an_edit_that_cannot_be_made_says_why(self, edit: Any, what: str) -> None:
        with pytest.raises(ChangeError, match=what) as refused:
            edited(SMALL, [edit])
        assert refused.value.remedy

    def test_what_is_written_in_a_way_that_no_machine_should_touch(self) -> None:
        with pytest.raises(ChangeError, match=r"by machine|braces"):
            edited('bus = [{ id = "a" }, { id = "b" }]\n', [{"op": "add", "path": ["bus"], "values": {"id": "c"}}])

    def test_a_broken_file_is_not_edited(self) -> None:
        with pytest.raises(ChangeError, match="not TOML"):
            edited("a = \n", [set_("a", value=1)])


# properties

DOCUMENT = tomllib.loads(SAMPLE)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip


def settings_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all plain settings of a document."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in settings_of(inner, (*path, key))]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [found for key, inner in enumerate(value) for found in settings_of(inner, (*path, key))]
    return [path]


SETTINGS = settings_of(DOCUMENT)
TABLES = [
    (name, number) for name, value in DOCUMENT.items() if isinstance(value, list) for number in range(len(value))
]


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        document = document[name]
    return document


@given(VALUES)
def test_every_value_is_read_back_as_it_was_written(value: Any) -> None:
    assert tomllib.loads(f"x = {value_text(value)}")["x"] == value


@given(st.sampled_from(SETTINGS), st.one_of(st.integers(0, 99), st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_set_value_is_all_that_differs(path: tuple[Any, ...], value: Any) -> None:
    new = edited(SAMPLE, [{"op": "set", "path": list(path), "value": value}])
    old_value = at(DOCUMENT, path)
    assert at(tomllib.loads(new), path) == value
    if not isinstance(old_value, list):
        pairs = list(zip(SAMPLE.split("\n"), new.split("\n"), strict=True))
        assert sum(old != now for old, now in pairs) <= 1
    # And back: the text around the value was not touched.
    if not isinstance(old_value, dict | list) and not hasattr(old_value, "isoformat"):
        back = edited(new, [{"op": "set", "path": list(path), "value": old_value}])
        differing = [(a, b) for a, b in zip(SAMPLE.split("\n"), back.split("\n"), strict=True) if a != b]
        assert all(a.partition("#")[1:] == b.partition("#")[1:] for a, b in differing)
        assert tomllib.loads(back) == DOCUMENT


@given(st.sampled_from(TABLES))
def test_a_table_that_is_taken_out_leaves_every_other_line_as_it_was(path: tuple[Any, ...]) -> None:
    new = edited(SAMPLE, [{"op": "remove", "path": list(path)}])
    start = next(i for i, (a, b) in enumerate(zip(SAMPLE, new + "\0", strict=False)) if a != b)
    end = len(SAMPLE) - (len(new) - start)
    assert SAMPLE[:start] + SAMPLE[end:] == new, "one stretch is gone, and nothing else"
    assert SAMPLE[start:end].count("[[") <= 1 or "[[" in SAMPLE[start:end].split("\n", 1)[1]


@given(st.sampled_from(["bus", "device", "point", "output"]), st.integers(0, 10**6))
def test_what_is_added_can_be_taken_out_again_without_a_trace(name: str, number: int) -> None:
    values = {"id": f"new-{number}", "inner": {"a": {"b": 1}, "c": 2}}
    new = edited(SAMPLE, [{"op": "add", "path": [name], "values": values}])
    assert edited(new, [{"op": "remove", "path": [name, f"new-{number}"]}]) == SAMPLE
