"""What the detectors do with awkward time, awkward values, labels, advisories; and what they say about it."""

import math
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.anomaly import THRESHOLD, Bank, Config, Explanation, PureBank, Verdict

HOUR = 3600.0
QUICK = Config.over(12.0 * HOUR)
"""Learns in twelve hours."""

Wave = Callable[[int], float]


def wave(minute: int) -> float:
    """Between 2 and 4, a turn of 40 minutes with a little noise, in steps of 0.01."""
    return round(3.0 + abs(minute % 40 - 20) / 10.0 - 1.0 + (minute * 7919 % 101) / 1000.0, 2)


def taught(hours: float = 30.0, config: Config = QUICK, kind: Any = Bank, shape: Wave = wave) -> tuple[Any, int]:
    """A bank that has seen only ordinary values, and the minute that comes next."""
    bank = kind(1, config)
    for minute in range(round(hours * 60)):
        score = bank.update(0, 60.0 * minute, shape(minute))
        assert score < THRESHOLD, bank.explain(0)
    return bank, round(hours * 60)


def run(bank: Any, minutes: range, shape: Wave = wave, expected: bool = False) -> list[float]:
    return [bank.update(0, 60.0 * minute, shape(minute), True, expected) for minute in minutes]


def state(bank: Any) -> Explanation:
    explanation: Explanation = bank.explain(0)
    return explanation


def test_memory_of_a_channel_is_small_and_the_same_in_both_twins() -> None:
    assert Bank(1).channel_bytes == PureBank(1).channel_bytes <= 2048
    assert len(Bank(3).snapshot()) - len(Bank(2).snapshot()) == Bank(1).channel_bytes


def test_nothing_is_said_before_the_warm_up_is_over() -> None:
    bank = Bank(1, QUICK)
    for minute in range(12 * 60):
        assert bank.update(0, 60.0 * minute, wave(minute) + (50.0 if minute == 700 else 0.0)) == 0.0
        assert bank.verdict(0) is Verdict.WARMING
    assert state(bank).warm_up_left_s <= 60.0
    assert "still learning" in state(bank).words
    run(bank, range(720, 722))
    assert bank.verdict(0) is Verdict.NORMAL


def test_an_excursion_is_explained() -> None:
    bank, minute = taught()
    assert bank.update(0, 60.0 * minute, 9.0) >= THRESHOLD
    told = state(bank)
    assert told.verdict is Verdict.ADVISORY
    assert told.detector in {"level", "rate", "peak"}
    assert told.value > told.high > told.low
    assert told.beyond == pytest.approx(told.value - told.high)
    assert told.widths > told.exceedance > told.threshold
    width = told.high - told.low + QUICK.relevance * 2.1  # the band of the level is from 2.0 to 4.1
    assert told.widths == pytest.approx(told.beyond / width, rel=0.05)
    assert 27 * HOUR < told.learned_s <= 30 * HOUR
    assert (told.samples, told.since_t, told.advisories) == (30 * 60 + 1, 0.0, 1)
    assert told.refractory_left_s == QUICK.refractory_s
    assert told.threshold == pytest.approx(2.0 * QUICK.threshold)
    assert "is outside" in told.words
    assert told.config == state(Bank(1, QUICK)).config != state(Bank(1)).config


def test_how_long_it_has_been_outside() -> None:
    bank, minute = taught()
    run(bank, range(minute, minute + 31), lambda _: 9.0)
    told = state(bank)
    assert told.verdict is Verdict.HELD
    assert 30 * 60.0 <= told.outside_s <= 40 * 60.0
    assert told.suppressed > 0
    assert "held" in told.words
    run(bank, range(minute + 31, minute + 900))
    assert state(bank).outside_s == 0.0


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1.1e100])
def test_what_is_no_measurement_is_not_judged_and_teaches_nothing(odd: float) -> None:
    bank, minute = taught()
    other, _ = taught()
    assert math.isnan(bank.update(0, 60.0 * minute, odd))
    assert math.isnan(bank.update(0, 60.0 * minute, 99.0, False))
    assert math.isnan(bank.update(0, math.nan, 3.0))
    assert (bank.verdict(0), state(bank).skipped) == (Verdict.NOT_JUDGED, 3)
    assert state(bank).words == "no usable value"
    later = range(minute + 1, minute + 200)
    assert run(bank, later) == run(other, later)


def test_a_second_value_for_the_same_instant_is_not_judged() -> None:
    bank, minute = taught()
    other, _ = taught()
    assert math.isnan(bank.update(0, 60.0 * (minute - 1), 50.0))
    assert state(bank).duplicates == 1
    later = range(minute, minute + 200)
    assert run(bank, later) == run(other, later)


def test_a_gap_is_no_jump() -> None:
    """The room may have warmed while nobody looked: inside the band of the level that is nothing."""
    bank, _ = taught(shape=lambda minute: round(3.0 + math.sin(minute / 100.0), 2))
    low, high = 2.05, 3.95
    bank.update(0, 60.0 * 1801, low)
    rate = Bank(1, QUICK)
    rate.restore(bank.snapshot())
    assert rate.update(0, 60.0 * 1802, high) >= THRESHOLD, "within a minute it is a jump"
    assert bank.update(0, 60.0 * 1860, high) < THRESHOLD
    assert state(bank).gaps == 1


def test_a_step_over_a_restart_is_still_found() -> None:
    bank, minute = taught()
    assert bank.update(0, 60.0 * (minute + 300), 9.0) >= THRESHOLD


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    bank, minute = taught(60.0)
    scores = [bank.update(0, 60.0 * (place - 1000), wave(place)) for place in range(minute, minute + 1500)]
    assert max(scores) < THRESHOLD
    assert state(bank).set_back == 1
    assert bank.update(0, 60.0 * (minute + 501), 9.0) >= THRESHOLD


def test_a_constant_is_normal_and_its_end_is_not() -> None:
    bank, minute = taught(shape=lambda _: 4.0)
    assert bank.update(0, 60.0 * minute, 4.0 + 1e-9) < THRESHOLD, "that is rounding"
    bank, minute = taught(shape=lambda _: 4.0)
    assert bank.update(0, 60.0 * minute, 4.5) >= THRESHOLD
    assert bank.update(0, 60.0 * minute + 60.0, math.nan) != 0.0


def test_one_step_of_the_resolution_beyond_the_band_is_nothing() -> None:
    def coarse(minute: int) -> float:
        return float(round(wave(minute)))

    bank, minute = taught(shape=coarse)
    assert bank.update(0, 60.0 * minute, 5.0) < THRESHOLD
    assert bank.update(0, 60.0 * minute + 60.0, 7.0) >= THRESHOLD


def test_what_is_alarmed_does_not_teach() -> None:
    bank, minute = taught()
    assert bank.update(0, 60.0 * minute, 9.0) >= THRESHOLD
    before = state(bank)
    run(bank, range(minute + 1, minute + 60), lambda _: 9.0)
    after = state(bank)
    assert (after.detector, before.detector) != (None, None)
    level = PureBank(1, QUICK)
    level.restore(bank.snapshot())
    assert level._states[0].high[0] < 4.2, "the band of the level is as it was"


def test_the_same_again_is_not_said_twice_but_more_is() -> None:
    bank, minute = taught()
    assert bank.update(0, 60.0 * minute, 7.0) >= THRESHOLD
    run(bank, range(minute + 1, minute + 360))
    assert bank.update(0, 60.0 * (minute + 360), 7.0) < THRESHOLD
    run(bank, range(minute + 361, minute + 800))
    assert bank.update(0, 60.0 * (minute + 800), 12.0) >= THRESHOLD


def test_in_the_refractory_time_only_far_worse_is_said() -> None:
    bank, minute = taught()
    assert bank.update(0, 60.0 * minute, 5.0) >= THRESHOLD
    assert bank.update(0, 60.0 * (minute + 1), 5.5) < THRESHOLD
    assert bank.update(0, 60.0 * (minute + 2), 500.0) >= THRESHOLD


def test_what_stays_is_accepted_in_the_end() -> None:
    """Advice ends where a new usual begins (limits do not): a room that was set to another temperature."""
    bank, minute = taught()
    week = [bank.update(0, 60.0 * place, wave(place) + 2.0) for place in range(minute, minute + 5 * 1440)]
    assert max(week[:60]) >= THRESHOLD
    assert max(week[-1440:]) < THRESHOLD


def test_a_labelled_excursion_is_neither_alarmed_nor_learned() -> None:
    bank, minute = taught()
    plain = Bank(1, QUICK)
    plain.restore(bank.snapshot())
    peak = range(minute, minute + 20)
    assert run(bank, peak, lambda _: 9.0, expected=True) == [0.0] * 20
    assert bank.verdict(0) is Verdict.EXPECTED
    assert state(bank).explained == 20
    assert "labelled" in state(bank).words
    assert max(run(bank, range(minute + 20, minute + 400))) < THRESHOLD, "nothing of it lingers"
    assert max(run(bank, range(minute + 400, minute + 401), lambda _: 9.0)) >= THRESHOLD
    assert max(run(plain, peak, lambda _: 9.0)) >= THRESHOLD, "without the label it is one"


def test_a_warm_up_of_labelled_values_alone_teaches_nothing() -> None:
    bank = Bank(1, QUICK)
    run(bank, range(2000), expected=True)
    assert bank.update(0, 60.0 * 2000, 99.0) == 0.0
    assert bank.verdict(0) is Verdict.WARMING


def test_a_day_that_lacks_its_peak_is_found() -> None:
    """All values are within the range of every day; only the time of day makes them wrong."""

    def day(minute: int) -> float:
        hour = minute / 60.0 % 24.0
        return round(3.0 + (2.0 if 10.0 <= hour < 12.0 else 0.0) + (minute * 7919 % 101) / 200.0, 2)

    bank, minute = taught(24 * 9.0, Config.over(3 * 24 * HOUR), shape=day)
    quiet = run(bank, range(minute, minute + 1440), lambda place: day(place % 60))
    assert max(quiet) >= THRESHOLD
    first = next(place for place, score in enumerate(quiet) if score >= THRESHOLD)
    assert 10 * 60 <= first <= 13 * 60


def test_noise_that_grows_is_found() -> None:
    bank, minute = taught(shape=lambda place: round(3.0 + (place * 7919 % 101) / 500.0 + math.sin(place / 20.0), 2))
    scores = run(
        bank,
        range(minute, minute + 60),
        lambda place: round(3.0 + (place * 7919 % 101) / 100.0 - 0.4 + math.sin(place / 20.0), 2),
    )
    assert max(scores) >= THRESHOLD


def test_a_slow_shift_of_the_mean_inside_the_band_is_found() -> None:
    bank, minute = taught(72.0)
    scores = run(bank, range(minute, minute + 600), lambda place: min(4.0, wave(place) + 0.4 * (place % 3)))
    told = state(bank)
    assert max(scores) >= THRESHOLD, told


def test_the_score_of_a_value_depends_on_no_later_one() -> None:
    one, minute = taught()
    other, _ = taught()
    ahead = [wave(place) + (3.0 if place % 50 == 0 else 0.0) for place in range(minute, minute + 200)]
    first = [one.update(0, 60.0 * place, x) for place, x in enumerate(ahead, minute)]
    second = [other.update(0, 60.0 * place, x) for place, x in enumerate(ahead[:100], minute)]
    assert first[:100] == second


def test_channels_do_not_touch_each_other() -> None:
    bank, alone = Bank(2, QUICK), Bank(1, QUICK)
    for minute in range(2000):
        bank.update(1, 60.0 * minute, 1e6 * wave(minute * 7))
        assert bank.update(0, 60.0 * minute, wave(minute)) == alone.update(0, 60.0 * minute, wave(minute))
    bank.forget(1)
    assert state(bank).samples == 2000
    assert bank.explain(1).samples == 0


@pytest.mark.parametrize("kind", [PureBank, Bank])
def test_wrong_calls_are_refused(kind: Any) -> None:
    bank = kind(2, QUICK)
    with pytest.raises(ValueError, match="at least one channel"):
        kind(0)
    with pytest.raises(ValueError, match="there is no channel 2"):
        bank.update(2, 0.0, 1.0)
    for call in (bank.verdict, bank.explain, bank.forget):
        with pytest.raises(ValueError, match="there is no channel -1"):
            call(-1)
    t, x, usable, score = array("d", [1.0, 2.0]), array("d", [1.0, 2.0]), array("B", [1, 1]), array("d", [7.0, 7.0])
    with pytest.raises(ValueError, match="there is no channel 5"):
        bank.update_many(array("i", [0, 5]), t, x, usable, score)
    with pytest.raises(ValueError, match="equally long"):
        bank.update_many(array("i", [0, 1]), t, x[:1], usable, score)
    with pytest.raises(ValueError, match="equally long"):
        bank.update_many(array("i", [0, 1]), t, x, usable, score, expected=array("B", [0]))
    assert list(score) == [7.0, 7.0]
    assert bank.explain(0).samples == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"short_s": 0.0}, "short_s is 0"),
        ({"threshold": math.nan}, "threshold is nan"),
        ({"budget": -1.0}, "budget is -1"),
        ({"day_visits": 0.5}, "day_visits is 0.5"),
        ({"long_s": 60.0}, "long_s has to be the longest"),
    ],
)
def test_settings_that_do_not_hold_are_refused(change: dict[str, float], said: str) -> None:
    for kind in (PureBank, Bank):
        with pytest.raises(ValueError, match=said):
            kind(1, Config()._replace(**change))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_time_scale_has_to_be_one(scale: float) -> None:
    with pytest.raises(ValueError, match="time scale"):
        Config.over(scale)
