"""The page that Prometheus reads: right by an independent parser, whatever labels hold, written in slices."""

import asyncio
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import Exposition
from gateway.operations.exposition import CONTENT_TYPE, Row, TextPage
from gateway.operations.process import PROCESS_TABLE, process_samples

TABLE = {
    "a_total": Row("counter", "A count.", ("zone", "device")),
    "b": Row("gauge", 'With \\ and "quotes"\nand a line.'),
    "c_seconds": Row("histogram", "A spread.", ("device",)),
    "d_seconds": Row("summary", "A sum.", ()),
}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(), st.text()), unique=True, max_size=8),
    st.floats(allow_nan=False) | st.integers(-(2**53), 2**53),
)
def test_what_is_written_is_read_back(labels: list[tuple[str, str]], value: float) -> None:
    page = TextPage(TABLE)
    page.sample("b", (), value)
    for pair in labels:
        # The format has no other line break than \n; the parser of the client would split at a carriage return.
        page.sample("a_total", tuple(text.replace("\r", "") for text in pair), value)
    families = {family.name: family for family in text_string_to_metric_families(page.text().decode())}
    assert families["b"].samples[0].value == value
    if labels:
        found = [(s.labels["zone"], s.labels["device"]) for s in families["a"].samples]
        assert found == [(a.replace("\r", ""), b.replace("\r", "")) for a, b in labels]


def test_histograms_and_summaries() -> None:
    page = TextPage(TABLE)
    page.summary("d_seconds", (), 4, 2.5)
    page.histogram("c_seconds", ("x",), [("0.1", 1.0), ("+Inf", 3.0)], 1.25)
    text = page.text().decode()
    assert 'c_seconds_bucket{device="x",le="0.1"} 1.0\n' in text
    assert 'c_seconds_count{device="x"} 3.0\nc_seconds_sum{device="x"} 1.25\n' in text
    assert text.index("# TYPE c_seconds histogram") < text.index("# TYPE d_seconds summary")
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert kinds == {"c_seconds": "histogram", "d_seconds": "summary"}


@pytest.mark.parametrize(
    ("value", "text"), [(nan, "NaN"), (inf, "+Inf"), (-inf, "-Inf"), (True, "1.0"), (0.1, "0.1")]
)
def test_numbers_as_the_format_has_them(value: float, text: str) -> None:
    page = TextPage(TABLE)
    page.sample("b", (), value)
    assert page.text().decode().endswith(f"\nb {text}\n")


def test_a_name_or_label_that_is_not_in_the_table_is_a_defect() -> None:
    page = TextPage(TABLE)
    with pytest.raises(KeyError):
        page.sample("unknown", (), 1)
    with pytest.raises(ValueError, match="labels"):
        page.sample("a_total", ("only one",), 1)


def test_its_type_is_that_of_the_client_library() -> None:
    assert CONTENT_TYPE == CONTENT_TYPE_PLAIN_0_0_4


def test_of_a_process_that_cannot_be_read_nothing_is_said(tmp_path: Path) -> None:
    assert list(process_samples(tmp_path)) == []


def test_what_the_process_uses_has_its_customary_names() -> None:
    found = {name: value for name, _, value in process_samples()}
    assert found.keys() == PROCESS_TABLE.keys()
    assert 10**6 < found["process_resident_memory_bytes"] < found["process_virtual_memory_bytes"]
    assert found["process_open_fds"] < found["process_max_fds"]


class Slow(Exposition):
    """A page of which every line takes longer than a slice."""

    def __init__(self, lines: int) -> None:
        self.lines = lines

    def _steps(self, page: TextPage):  # type: ignore[no-untyped-def]
        from gateway.metrics import SLICE_S, perf_counter

        for _ in range(self.lines):
            end = perf_counter() + 1.5 * SLICE_S
            while perf_counter() < end:
                pass
            page.sample("aurora_journal_bytes", (), 1)
            yield


async def test_others_have_their_turn_between_the_slices() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    text, _ = await Slow(20).page()
    task.cancel()
    assert text.count(b"\naurora_journal_bytes") == 20
    assert turns >= 20
