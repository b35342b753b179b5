"""What the status page and its API show: every value as a person reads it, and nothing where there is none."""

import json
from typing import Any

from web_tools import channel, pages_of, serving, status

from gateway.language import DASH, language
from gateway.web.words import age, size


def point(**changes: Any) -> dict[str, Any]:
    return {**status()["points"][0], **changes}


async def page_of(**changes: Any) -> str:
    async with serving(pages_of(lambda: status(**changes))) as (client, _):
        answer = await client.get("/")
    assert answer.status_code == 200
    return answer.text


async def test_the_page_shows_values_as_a_person_reads_them() -> None:
    page = await page_of()
    assert "\N{MINUS SIGN}18.4</span>&nbsp;°C" in page
    assert "CCP" in page
    assert "3 s ago" in page
    assert "2026-11-23 06:00:00 UTC" in page


async def test_no_value_is_a_dash_with_its_reason_and_never_a_zero() -> None:
    gone = channel(value=None, severity="bad", words="device did not answer in time")
    page = await page_of(points=[point(**gone)])
    assert "\N{EN DASH}" in page
    assert "No value</strong> device did not answer in time" in page
    assert 'class="v">0' not in page


async def test_a_device_that_never_answered_is_not_a_number_of_seconds_ago() -> None:
    page = await page_of(points=[point(value=None, severity="bad", words="gateway had not begun", age_s=None)])
    assert "has not answered yet" in page
    assert "never ago" not in page


async def test_an_uncertain_value_is_shown_with_the_care_it_needs() -> None:
    page = await page_of(points=[point(severity="uncertain", words="calibration certificate has expired")])
    assert "18.4" in page
    assert "Care</strong> calibration certificate has expired" in page


async def test_health_and_devices_are_shown_good_uncertain_and_bad() -> None:
    health = [
        {"name": "Clock", "words": "within 1 s", "state": "good"},
        {"name": "Cluster", "words": "no connection", "state": "uncertain"},
        {"name": "Journal", "words": "full", "state": "bad"},
    ]
    device = status()["devices"][0]
    devices = [{**device, "id": f"d-{state}", "state": state} for state in ("good", "uncertain", "bad")]
    page = await page_of(health=health, devices=devices, points=[])
    for state in ("good", "uncertain", "bad"):
        assert f'<li class="{state}">' in page
    assert "<span>d-bad</span>" in page
    assert "<span>d-uncertain</span>" in page
    assert "<span>d-good</span>" not in page, "what is well is only counted"
    assert "1 device is well" in page
    assert "[[point]]" in page, "without points the page says how to have some"


ALARM = {
    "id": "cold-room-1/high-critical",
    "place": "Cold room 1",
    "tier": "critical",
    "state": "unacknowledged",
    "active": True,
    "waits": True,
    "words": "Cold room 1: 9.1 °C, above 5.0 °C for 46 min",
    "sentence": None,
    "raised_ms": 700_000,
    "until_ms": None,
    "group": None,
    "occurrence": 2,
    "escalation": 1,
    "person": "",
    "text": "",
    "since_s": 3000.0,
    "raised_s": 300.0,
    "until_s": None,
}


async def test_alarms_stand_first_with_what_a_person_needs() -> None:
    held = {**ALARM, "id": "x/low", "tier": "alert", "state": "shelved", "waits": False, "until_s": 600.0}
    held["until_ms"] = 1_600_000
    page = await page_of(
        alarms=[ALARM, {**held, "person": "A. Smit", "text": "probe is being moved", "group": "y"}]
    )
    assert page.index("<strong>1</strong> alarm waits for a person") < page.index('id="alarms-head"')
    assert page.index('id="alarms-head"') < page.index('id="points-head"')
    assert '<li class="critical waits">' in page
    assert '<span lang="en">Cold room 1: 9.1 °C, above 5.0 °C for 46 min</span>' in page
    assert "raised 5 min ago" in page
    assert "escalated once" in page
    assert '<li class="alert">' in page
    assert "A. Smit: probe is being moved" in page
    assert "for another 10 min" in page
    assert "follows from y" in page


async def test_what_is_recognised_as_going_on_is_said_beside_the_value() -> None:
    assert "defrost</span> recognised" in await page_of(points=[point(going_on="defrost")])
    assert "recognised from" not in await page_of()


async def test_what_the_page_has_words_for_is_said_in_them() -> None:
    page = await page_of(alarms=[{**ALARM, "sentence": "trop chaud : 9,1 °C"}])
    assert "trop chaud : 9,1 °C" in page
    assert "above 5.0" not in page


async def test_points_are_found_by_name_and_by_state_without_a_script() -> None:
    points = [point(id=f"p{n}", name=f"Room {n}", critical=n == 3) for n in range(12)]
    points[7] |= {"severity": "bad", "value": None, "words": "device did not answer in time"}
    async with serving(pages_of(lambda: status(points=points))) as (client, _):
        found = {
            query: (await client.get(f"/?{query}")).text.count("<article")
            for query in ("", "q=room+1", "q=nothing", "state=care", "state=critical")
        }
    assert found == {"": 12, "q=room+1": 3, "q=nothing": 0, "state=care": 1, "state=critical": 1}


async def test_without_alarms_there_is_no_list_of_them() -> None:
    assert 'id="alarms-head"' not in await page_of()


HOSTILE = "\"><script>alert(1)</script>'&"


async def test_names_from_outside_are_text_wherever_they_stand() -> None:
    bad = channel(name=HOSTILE, unit=HOSTILE, words=HOSTILE)
    page = await page_of(
        gateway={"member": HOSTILE, "site": HOSTILE, "id": HOSTILE, "version": "1", "running_s": 5},
        points=[{**point(**bad), "name": HOSTILE, "severity": "bad"}],
        health=[{"name": HOSTILE, "words": HOSTILE, "state": "bad"}],
        alarms=[{**ALARM, **dict.fromkeys(("id", "place", "state", "words", "group", "person", "text"), HOSTILE)}],
        devices=[
            {
                **status()["devices"][0],
                **dict.fromkeys(("id", "bus", "model", "words", "last_fault"), HOSTILE),
                "channels": [bad],
            }
        ],
    )
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;") >= 16


async def test_a_line_break_in_a_name_cannot_forge_an_event() -> None:
    pages = pages_of(lambda: status(points=[point(name="x\r\n\r\nevent: status\rdata: forged")]))
    async with serving(pages) as (client, _), client.stream("GET", "/events") as stream:
        event = []
        async for line in stream.aiter_lines():
            if not line:
                break
            event.append(line)
    assert event[0] == "event: status"
    assert len(event) == 2
    assert "forged" in json.loads(event[1].removeprefix("data: "))["cards"]["p"][1]


async def test_the_api_returns_the_status_and_metrics_their_text() -> None:
    async with serving(pages_of()) as (client, _):
        assert (await client.get("/api/status")).json() == json.loads(json.dumps(status()))
        metrics = await client.get("/metrics")
    assert metrics.text == "up 1\n"
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4"


def test_ages_and_sizes_for_the_eye() -> None:
    en, fr = language("en"), language("fr")
    assert [age(s, en) for s in (0, 119, 120, 7200, 200_000, None)] == ["0 s", "119 s", "2 min", "2 h", "2 d", DASH]
    assert age(200_000, fr) == "2 j"
    assert [size(n, en) for n in (999, 1000, 2_500_000, 4e9)] == ["999 B", "1.0 kB", "2.5 MB", "4.0 GB"]
