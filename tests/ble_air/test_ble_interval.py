"""How often a sensor measures, and what follows when it is heard less often."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.acquire.interval import FEWEST_GAPS, Interval


def learned(times: list[float], numbers: "list[int | None] | None" = None) -> Interval:
    interval = Interval()
    for at, number in zip(times, numbers or [None] * len(times), strict=True):
        interval.heard(at, number)
    return interval


def test_it_is_learned_after_a_few() -> None:
    assert learned([10.0 * n for n in range(FEWEST_GAPS)]).seconds is None
    assert learned([10.0 * n for n in range(FEWEST_GAPS + 1)]).seconds == 10.0


def test_numbers_tell_what_was_not_heard() -> None:
    numbers: list[int | None] = [3 * n for n in range(12)]
    assert learned([30.0 * n for n in range(12)], numbers).seconds == pytest.approx(10.0)


def test_without_numbers_lost_ones_do_not_move_it() -> None:
    times = [10.0 * n for n in range(30) if n % 4]
    assert learned(times).seconds == 10.0


def test_a_counter_that_began_anew_says_nothing() -> None:
    numbers: list[int | None] = [*range(100, 112), 0, *range(1, 12)]
    assert learned([10.0 * n for n in range(24)], numbers).seconds == 10.0


def test_what_is_set_is_not_learned() -> None:
    interval = Interval(60.0)
    for n in range(20):
        interval.heard(float(n))
    assert interval.seconds == 60.0
    assert interval.overdue(181.0)
    assert not interval.overdue(180.0)


def test_nothing_is_overdue_that_is_not_known() -> None:
    assert not Interval().overdue(1e9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.integers(0, 65535))))
def test_any_order_of_news(news: list[tuple[float, int | None]]) -> None:
    interval = Interval()
    for at, number in news:
        interval.heard(at, number)
    assert interval.seconds is None or interval.seconds > 0
