"""Tables ``[[process]]``: right ones become nouns, and every mistake is named with its line and what would be
right."""

from pathlib import Path

import pytest

from gateway.config import check_site, explain, sample_site
from gateway.errors import Problem
from gateway.site import ProcessSpec, Site

BASE = """\
[gateway]
member = "dairy"
site = "plant"
id = "gw-1"

[[bus]]
id = "plant"
type = "modbus-tcp"
host = "10.0.0.1"

[[device]]
id = "room"
bus = "plant"
model = "xy-md02"
unit = 1
period_s = 10

[[point]]
id = "cold"
name = "Cold room"
channel = "room.temperature"
critical = true

[[process]]
id = "cook"
calculation = "heat-table"
point = "cold"
start_above = 50.0
end_below = 45.0
[process.parameters]
table = "fsis-a-6.5log"
"""


def check(text: str) -> tuple[Site | None, list[Problem]]:
    return check_site(text, "site.toml", Path("/nowhere"))


def process(text: str) -> ProcessSpec:
    site, problems = check(text)
    assert problems == []
    assert site is not None
    return site.processes[0]


def test_a_right_process_becomes_a_noun() -> None:
    spec = process(BASE)
    assert (spec.id, spec.calculation, spec.point) == ("cook", "heat-table", "cold")
    assert (spec.device, spec.channel) == ("room", "temperature")
    assert spec.tier == "critical", "as the point is"
    assert spec.parameters == {"table": "fsis-a-6.5log"}
    assert (spec.start_above, spec.end_below) == (50.0, 45.0)


def test_a_channel_with_a_further_input() -> None:
    text = BASE.replace('calculation = "heat-table"', 'calculation = "moisture"').replace(
        'table = "fsis-a-6.5log"', ""
    )
    text = text.replace(
        'point = "cold"\nstart', 'channel = "room.temperature"\ninputs = { rh = "room.humidity" }\nstart'
    )
    spec = process(text)
    assert spec.inputs == {"rh": ("room", "humidity")}
    assert spec.point is None
    assert spec.tier == "alert"


def test_the_sample_has_one_and_explains_it() -> None:
    site, problems = check(sample_site())
    assert problems == []
    assert site is not None
    assert site.processes[0].calculation == "time-outside"
    assert "process cold-room-1-warm: time-outside on cold-room-1, critical" in explain(site)


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "hint"),
    [
        ('"heat-table"', '"heat-tabel"', 26, "process[1].calculation", "did you mean 'heat-table'?"),
        ('"fsis-a-6.5log"', '"fsis-a-65log"', 31, "process[1].parameters.table", "did you mean 'fsis-a-6.5log'?"),
        ("table =", "tabel =", 31, "process[1].parameters.tabel", "did you mean 'table'?"),
        ('point = "cold"', 'point = "clod"', 27, "process[1].point", "did you mean 'cold'?"),
        ('point = "cold"', 'channel = "room.temprature"', 27, "process[1].channel", "room.temperature"),
        ('point = "cold"', 'channel = "rom.temperature"', 27, "process[1].channel", "did you mean 'room'?"),
        ('point = "cold"', 'channel = "temperature"', 27, "process[1].channel", "device-id.channel"),
        ('point = "cold"', 'channel = "room.humidity"', 27, "process[1].channel", "measures temperature"),
        ('point = "cold"\n', "", 24, "process[1].point", "device.channel"),
        (
            'point = "cold"\n',
            'point = "cold"\nchannel = "room.temperature"\n',
            28,
            "process[1].channel",
            "one of both",
        ),
        ("end_below = 45.0\n", "", 24, "process[1].end_below", "end_after_s"),
        ("start_above = 50.0\n", "", 28, "process[1].end_below", "start_above"),
        ("end_below = 45.0", "end_below = 55.0", 29, "process[1].end_below", "50 or less"),
        (
            "start_above = 50.0",
            "start_above = 50.0\nstart_below = 3.0",
            29,
            "process[1].start_below",
            "one of both",
        ),
        ("start_above = 50.0", 'start_above = "50"', 28, "process[1].start_above", "start_above = 60.0"),
        ("start_above = 50.0", "start_abve = 50.0", 28, "process[1].start_abve", "start_above"),
        (
            "start_above = 50.0",
            'inputs = { flow = "room.humidity" }\nstart_above = 50.0',
            28,
            "inputs.flow",
            "no further inputs",
        ),
        ('table = "fsis-a-6.5log"', 'table = "fsis-a-6.5log"\nunit = "F"', 32, "parameters.unit", "degC"),
        ('table = "fsis-a-6.5log"', 'table = "us-milk"\nrule = "sum"', 32, "parameters.rule", "hold"),
        ('table = "fsis-a-6.5log"', "table = 3", 31, "parameters.table", "for example"),
    ],
)
def test_mistakes_are_named_with_line_and_remedy(old: str, new: str, line: int, path: str, hint: str) -> None:
    assert old in BASE
    head, tail = BASE.split("[[process]]")
    site, problems = check(head + "[[process]]" + tail.replace(old, new, 1))
    assert site is None
    found = [problem for problem in problems if path in problem.path]
    assert found, problems
    assert found[0].line == line
    assert hint in str(found[0])


def test_a_calculation_that_needs_an_input_says_which() -> None:
    text = BASE.replace('"heat-table"', '"htst"').replace(
        'table = "fsis-a-6.5log"',
        "legal_c = 72.0\nlegal_s = 15.0\ncut_in_c = 72.5\ncut_out_c = 72.2\nholding_s = 16.0",
    )
    site, problems = check(text)
    assert site is None
    assert "inputs.forward" in str(problems[0])
    assert "position of the flow-diversion device" in str(problems[0])


def test_two_processes_of_one_name() -> None:
    text = BASE + BASE[BASE.index("[[process]]") :]
    site, problems = check(text)
    assert site is None
    assert "another process" in str(problems[0])


def test_all_mistakes_of_a_process_are_named_together() -> None:
    text = BASE.replace('"heat-table"', '"growth"').replace(
        'table = "fsis-a-6.5log"', 'model = "gropin-36"\nlimt = 1.0\nlow_c = 3'
    )
    _, problems = check(text.replace("end_below = 45.0\n", ""))
    words = "\n".join(map(str, problems))
    assert "'gropin-3" in words
    assert "did you mean 'limit'?" in words
    assert "add end_below" in words
