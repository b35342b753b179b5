"""Defrosts and doors of simulated rooms against what really happened there."""

import dataclasses
import math
import random
from array import array

import pytest
from gateway_core.refrigeration import Bank, Label
from refrigeration_cases import feed, judged, live

from gateway.demo.months import KINDS, Month, simulate
from gateway.demo.thermal import Room


def overlaps(start: float, end: float, events: list[tuple[float, float]], slack_s: float = 600.0) -> bool:
    return any(start < e + slack_s and end > s - slack_s for s, e in events)


def scored(month: Month, labels: list[Label], skip_s: float) -> tuple[float, float]:
    """Share of true defrosts that have a label, and of labels that have a true defrost, after ``skip_s``."""
    true = [(s, e) for s, e in month.defrosts if s > skip_s and not math.isnan(e)]
    named = [(label.start_s, label.end_s) for label in labels if label.kind == "defrost" and label.start_s > skip_s]
    assert true
    assert named
    recall = sum(overlaps(s, e, named, 0.0) for s, e in true) / len(true)
    precision = sum(overlaps(s, e, month.defrosts) for s, e in named) / len(named)
    return recall, precision


@pytest.mark.parametrize(
    ("kind", "period_s", "recall", "precision"),
    [
        ("freezer", 60.0, 0.75, 0.97),
        ("run-time-freezer", 60.0, 0.70, 0.90),
        ("cabinet", 60.0, 0.85, 0.93),
        # Its defrosts are short against its cycle: one that begins in the middle of it looks like a cycle.
        ("chill", 60.0, 0.55, 0.93),
        ("cabinet", 300.0, 0.80, 0.93),
        ("freezer", 300.0, 0.65, 0.93),
    ],
)
def test_defrosts_are_named(kind: str, period_s: float, recall: float, precision: float) -> None:
    month = live(kind, days=30, seed=11, period_s=period_s)
    labels, _, _ = judged(month)
    seen, right = scored(month, labels, 2 * 86400.0)
    assert seen >= recall
    assert right >= precision


def test_doors_are_named_and_hardly_anything_else_is_a_door() -> None:
    month = live("freezer", days=20, seed=7, period_s=60.0)
    labels, _, _ = judged(month)
    doors = [label for label in labels if label.kind == "door"]
    wide = [(s, e) for s, e in month.doors if e - s > 60.0]
    named = [(label.start_s, label.end_s) for label in doors]
    assert len(wide) > 50
    assert sum(overlaps(s, e, named, 120.0) for s, e in wide) / len(wide) > 0.6
    assert sum(overlaps(s, e, month.doors, 120.0) for s, e in named) / len(named) > 0.97
    assert all(label.sure for label in doors)


def test_at_a_quarter_of_an_hour_no_door_is_claimed() -> None:
    labels, _, bank = judged(live("busy-chill", days=10, seed=7, period_s=900.0))
    assert not [label for label in labels if label.kind == "door"]
    assert not any(label.sure for label in labels)
    assert any(line.startswith("doors") for line in bank.explain(0)["not_seen"])


def test_a_label_tells_where_it_began_where_it_peaked_and_when_it_was_over() -> None:
    month = live("freezer", days=12, seed=2, period_s=60.0)
    labels, _, bank = judged(month)
    defrosts = [label for label in labels if label.kind == "defrost" and label.sure]
    assert len(defrosts) > 8
    at = dict(zip(month.t_s, month.x, strict=True))
    high = bank.explain(0)["band"]["high"]
    for label in defrosts:
        assert label.start_s < label.peak_s < label.end_s
        assert at[label.start_s] == label.baseline
        assert at[label.peak_s] == label.peak
        assert label.peak == max(x for t, x in at.items() if label.start_s <= t <= label.end_s)
        assert at[label.end_s] <= high + 0.3 < label.peak
        assert 0.0 < label.slope < 0.02
        assert abs(label.undershoot) < 2.0


def test_a_flag_is_of_the_moment_and_the_label_is_final() -> None:
    month = live("freezer", days=12, seed=2, period_s=60.0)
    bank = Bank(["room"])
    flags = feed(bank, month.t_s, month.x)
    labels = [notice for notice in bank.take() if isinstance(notice, Label)]
    defrosts = [label for label in labels if label.kind == "defrost"]
    flagged = array("d", [t for t, flag in zip(month.t_s, flags, strict=True) if flag == 2])
    for label in defrosts:
        assert any(label.start_s <= t <= label.end_s for t in flagged)
    during = sum(any(label.start_s <= t <= label.end_s for label in labels) for t in flagged)
    # The rest went a little above the band and was a cycle after all.
    assert during / len(flagged) > 0.9
    quiet = sum(flag == 0 for flag in flags) / len(flags)
    assert 0.6 < quiet < 0.99


def test_the_long_rooms_live_like_the_demonstration_room() -> None:
    """The coarse simulation has the cycle of the fine one: same specification, no doors, no frost."""
    spec = dataclasses.replace(KINDS["chill"][0], door_every_s=1e12, defrost_first_s=1e12, frost_kg_s=0.0)
    life = dataclasses.replace(
        KINDS["chill"][1], busy=0.0, deliveries=0.0, day_k=0.0, season_k=0.0, weather_k=0.0, noise=0.0, tau_s=15.0
    )
    coarse = simulate(spec, life, days=1, seed=1, period_s=60.0)
    room = Room(spec, random.Random(1))
    fine = array("d")
    for second in range(86400):
        room.step(20.0)
        if second % 60 == 59:
            fine.append(round(room.air_c, 1))
    accounts = []
    for times, values in ((coarse.t_s, coarse.x), (array("d", [60.0 * k for k in range(1440)]), fine)):
        bank = Bank(["room"])
        feed(bank, times, values)
        accounts.append(bank.explain(0))
    for name in ("low", "high"):
        assert accounts[0]["band"][name] == pytest.approx(accounts[1]["band"][name], abs=0.4)
    assert accounts[0]["cycle"]["period_s"] == pytest.approx(accounts[1]["cycle"]["period_s"], rel=0.25)
    assert accounts[0]["cycle"]["duty"] == pytest.approx(accounts[1]["cycle"]["duty"], abs=0.08)
