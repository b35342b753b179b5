"""Quality is lowered where care is due, never raised; a gap is opened once and closed once."""

from array import array
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from gateway.assess.gaps import GapTracker
from gateway.assess.quality import Care, ScanQuality
from gateway.model import ClockState, Column, Quality, Scan

COLUMN = Column("air", "°C", 1)
TODAY = date(2026, 11, 23)


def judged(care: Care, quality: Quality, state: ClockState, today: date | None = TODAY) -> Quality:
    judge = ScanQuality([care])
    judge.update(today, state)
    value = float("nan") if quality.bad else 3.1
    return Quality(judge.apply(Scan(0, 0, 0, array("d", [value]), bytes((quality,)))).quality[0])


def test_a_good_value_stays_good() -> None:
    assert judged(Care(COLUMN, False, None), Quality.GOOD, ClockState.TRUSTED) == Quality.GOOD


def test_a_critical_point_without_calibration_is_uncertain() -> None:
    assert judged(Care(COLUMN, True, None), Quality.GOOD, ClockState.TRUSTED) == Quality.UNCALIBRATED


def test_an_expired_certificate_lowers_quality_from_the_day_after() -> None:
    last_day = Care(COLUMN, True, TODAY)
    assert judged(last_day, Quality.GOOD, ClockState.TRUSTED) == Quality.GOOD
    day_after = Care(COLUMN, True, date(2026, 11, 22))
    assert judged(day_after, Quality.GOOD, ClockState.TRUSTED) == Quality.CALIBRATION_EXPIRED


def test_a_certificate_is_not_judged_by_a_clock_that_nobody_trusts() -> None:
    care = Care(COLUMN, True, date(2020, 1, 1))
    assert judged(care, Quality.GOOD, ClockState.UNTRUSTED, None) == Quality.CLOCK_UNTRUSTED


@given(st.sampled_from([q for q in Quality if q.bad]), st.sampled_from(ClockState), st.booleans())
def test_bad_stays_bad_and_keeps_its_cause(quality: Quality, state: ClockState, critical: bool) -> None:
    assert judged(Care(COLUMN, critical, None), quality, state) == quality


class TestGaps:
    def test_one_lost_answer_is_no_event(self) -> None:
        gaps = GapTracker("room", 1000)
        assert gaps.missed(5, 1, Quality.TIMEOUT, 5000) is None
        assert gaps.answered(6000) is None

    def test_a_gap_opens_at_the_third_slot_and_closes_with_its_causes(self) -> None:
        gaps = GapTracker("room", 1000)
        gaps.missed(5, 1, Quality.TIMEOUT, 5000)
        gaps.missed(6, 1, Quality.BACKED_OFF, 6000)
        opened = gaps.missed(7, 1, Quality.BACKED_OFF, 7000)
        assert opened is not None
        assert opened.kind == "gap.opened"
        assert opened.data["slot"] == 5
        assert gaps.open_since == 5
        assert gaps.cause == Quality.BACKED_OFF
        assert gaps.missed(8, 4, Quality.BACKED_OFF, 12_000) is None
        closed = gaps.answered(12_500)
        assert closed is not None
        assert closed.data == {
            "device": "room",
            "slot": 5,
            "count": 7,
            "causes": {str(int(Quality.TIMEOUT)): 1, str(int(Quality.BACKED_OFF)): 6},
        }
        assert gaps.open_since is None

    def test_a_device_that_is_asked_once_a_minute_opens_its_gap_at_the_first_miss(self) -> None:
        assert GapTracker("room", 60_000).missed(1, 1, Quality.TIMEOUT, 60_000) is not None

    @given(st.lists(st.tuples(st.integers(0, 5), st.booleans())))
    def test_opened_and_closed_alternate(self, steps: list[tuple[int, bool]]) -> None:
        gaps, kinds, slot = GapTracker("room", 1000), [], 0
        for count, answer in steps:
            if count:
                event = gaps.missed(slot, count, Quality.TIMEOUT, slot)
                slot += count
                kinds += [event.kind] if event else []
            if answer:
                event = gaps.answered(slot)
                slot += 1
                kinds += [event.kind] if event else []
        assert kinds == ["gap.opened" if i % 2 == 0 else "gap.closed" for i in range(len(kinds))]
