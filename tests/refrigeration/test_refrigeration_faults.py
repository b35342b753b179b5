"""Each fault is found within the time that docs/refrigeration.md states; normal months stay quiet.

Rooms live two weeks without a fault first. Doors, deliveries, weather and season go on as before.
"""

import random
from array import array
from collections import Counter

import pytest
from gateway_core.refrigeration import Bank, Finding
from refrigeration_cases import DAY_S, feed, judged, live

from gateway.demo.hunting import HuntingPasteuriser
from gateway.demo.months import KINDS, Fault, Month

BEGINS_S = 14.3 * DAY_S

CASES = [
    # fault, size, room, sampling period, findings that tell of it, hours until one does
    ("no-defrost", 0.0, "cabinet", 60, {"defrost-missing"}, 20),
    ("no-defrost", 0.0, "freezer", 60, {"defrost-missing"}, 26),
    ("no-defrost", 0.0, "chill", 60, {"defrost-missing"}, 30),
    ("endless-defrost", 0.0, "chill", 60, {"no-return", "door-open"}, 8),
    ("endless-defrost", 0.0, "freezer", 60, {"no-return", "door-open"}, 10),
    ("endless-defrost", 0.0, "cabinet", 60, {"no-return"}, 8),
    ("endless-defrost", 0.0, "freezer", 900, {"no-return"}, 12),
    ("door", 0.0, "chill", 60, {"door-open"}, 3),
    ("door", 0.0, "freezer", 60, {"door-open"}, 3),
    ("door", 0.0, "freezer", 900, {"no-return"}, 4),
    ("weak", 0.0, "chill", 60, {"no-return", "door-open"}, 3),
    ("short-cycling", 0.3, "chill", 60, {"short-cycling"}, 24),
    ("short-cycling", 0.3, "cabinet", 60, {"short-cycling"}, 24),
    ("icing", 0.5, "chill", 60, {"icing"}, 96),
    ("icing", 0.5, "cabinet", 60, {"icing"}, 96),
    ("drift", 0.1, "chill", 60, {"drift"}, 24),
    ("drift", -0.1, "cabinet", 60, {"drift"}, 24),
    ("drift", 0.1, "cabinet", 900, {"drift"}, 30),
    ("stuck", 0.0, "chill", 60, {"stuck"}, 2),
    ("stuck", 0.0, "freezer", 900, {"stuck"}, 6),
    ("in-product", 0.0, "chill", 60, {"faded", "unsatisfied"}, 12),
    ("in-product", 0.0, "cabinet", 900, {"faded"}, 30),
    ("frequent", 3.0, "freezer", 60, {"defrosts-frequent"}, 24),
]


@pytest.mark.parametrize(("fault", "size", "kind", "period_s", "tells", "hours"), CASES)
def test_a_fault_is_found_in_time(
    fault: str, size: float, kind: str, period_s: float, tells: set[str], hours: float
) -> None:
    begun = Fault(kind=fault, at_s=BEGINS_S, size=size)
    month = live(kind, days=(BEGINS_S + hours * 3600.0) / DAY_S, seed=1, period_s=period_s, fault=begun)
    _, findings, _ = judged(month)
    after = [finding for finding in findings if finding.what in tells and finding.at_s >= BEGINS_S]
    assert after, [(finding.what, (finding.at_s - BEGINS_S) / 3600.0) for finding in findings]
    first = after[0]
    assert first.at_s - BEGINS_S <= hours * 3600.0
    assert first.since_s <= first.at_s
    assert first.learned > 0, "an explanation says what it was learned from"
    assert first.what not in {finding.what for finding in findings if finding.at_s < BEGINS_S}


def test_normal_months_give_at_most_one_advisory_a_channel() -> None:
    """Rooms that are used as rooms are; half have their setpoint changed. The bench has ten times as many."""
    said: Counter[tuple[str, str]] = Counter()
    months = 0.0
    for kind in KINDS:
        for seed, period_s in ((20, 60.0), (21, 300.0)):
            life = {} if seed % 2 else {"setpoints": {20.0: 1.0}}
            _, findings, _ = judged(live(kind, days=30, seed=seed, period_s=period_s, **life))
            said.update((kind, finding.what) for finding in findings)
            months += 1.0
    assert months == 12.0
    assert sum(said.values()) <= months, said
    by_kind = Counter(kind for kind, _ in said.elements())
    assert max(by_kind.values(), default=0) <= 2 * 2, said


def test_defrosts_by_run_time_may_be_uneven() -> None:
    """Defrosts by run time come 38 to 42 hours apart and once after 25: nothing is missing or too frequent."""
    rng = random.Random(6)
    times, values = array("d"), array("d")
    due, defrost, number, value, down = 20.0 * 3600.0, -1.0, 0, -20.0, True
    for minute in range(60 * 24 * 45):
        t = 60.0 * minute
        if t >= due and defrost < 0:
            defrost, number = t, number + 1
            due = t + (25.0 if number == 18 else rng.uniform(38.0, 42.0)) * 3600.0
        if defrost >= 0 and t - defrost < 1500.0:
            value += 0.3
        else:
            if t - defrost >= 1500.0:
                defrost = -1.0
            down = value > -22.0 if down else value >= -19.0
            value += -0.25 if down else 0.15
        times.append(t)
        values.append(round(value + rng.gauss(0, 0.05), 1))
    labels, findings, bank = judged(Month(60.0, times, values, [], []))
    assert number >= 25
    assert sum(label.kind == "defrost" for label in labels) >= number - 2
    assert findings == []
    assert bank.explain(0)["defrost"]["interval_s"] == pytest.approx(40 * 3600, rel=0.1)


@pytest.mark.parametrize(("period_s", "seed"), [(5, 1), (10, 2)])
def test_a_pasteuriser_that_hunts_is_found_and_a_steam_dip_is_not_hunting(period_s: int, seed: int) -> None:
    line = HuntingPasteuriser(random.Random(seed), hunts_at_s=30 * 3600.0)
    noise = random.Random(9)
    times, values = array("d"), array("d")
    for second in range(33 * 3600):
        line.step()
        if second % period_s == 0:
            times.append(float(second))
            values.append(round(line.holding_c + noise.gauss(0.0, 0.03), 1))
    labels, findings, bank = judged(Month(period_s, times, values, [], []), kind="process")
    assert [finding for finding in findings if finding.at_s < 30 * 3600] == []
    assert min(values[: 30 * 3600 // period_s][len(values) // 10 :]) < 73.0, "there were dips"
    hunting = [finding for finding in findings if finding.what == "hunting"]
    assert hunting
    assert hunting[0].at_s <= 32.5 * 3600
    assert hunting[0].value > hunting[0].high
    assert {label.kind for label in labels} == {"other"}
    assert bank.explain(0)["not_seen"]


def test_a_finding_ends_when_its_cause_is_gone() -> None:
    bank = Bank(["room"])
    month = live("chill", days=16, seed=3, period_s=60.0)
    cut, back = int(14.2 * 1440), int(14.4 * 1440)
    held = array("d", [month.x[cut]]) * (back - cut)
    feed(bank, month.t_s, month.x[:cut] + held + month.x[back:])
    stuck = [notice for notice in bank.take() if isinstance(notice, Finding) and notice.what == "stuck"]
    assert [finding.active for finding in stuck] == [True, False]
    assert 3600.0 <= stuck[0].at_s - month.t_s[cut] <= 7200.0
    assert stuck[1].at_s == month.t_s[back]
    assert "stuck" not in bank.explain(0)["findings"]


def test_a_room_that_is_warmer_after_each_defrost_is_found_by_its_level() -> None:
    """From the twelfth day on each defrost leaves the room 0.25 K warmer; its recovery stays as quick as ever."""
    noise = random.Random(2)
    times, values = array("d"), array("d")
    value, down, raised = -20.0, True, 0.0
    for minute in range(60 * 24 * 15):
        into = minute % 360
        if into == 0 and minute > 12 * 1440:
            raised += 0.25
        if into < 25:
            value += 0.3
        elif value > -19.0 + raised:
            value -= 0.4
        else:
            down = value > -22.0 + raised if down else value >= -19.1 + raised
            value += -0.25 if down else 0.15
        times.append(60.0 * minute)
        values.append(round(value + noise.gauss(0.0, 0.05), 1))
    _, findings, _ = judged(Month(60.0, times, values, [], []))
    assert [finding for finding in findings if finding.at_s < 12 * DAY_S] == []
    icing = [finding for finding in findings if finding.what == "icing"]
    assert icing
    assert icing[0].at_s - 12 * DAY_S <= 2 * DAY_S
    assert icing[0].low < icing[0].high < icing[0].value
