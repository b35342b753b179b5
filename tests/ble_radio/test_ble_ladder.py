"""The recovery ladder under an injected clock."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_interfaces.ble.ladder import Ladder, Step

ORDER = [Step.RESTART, Step.POWER_CYCLE, Step.RESET]


def test_steps_in_their_order_each_after_its_silence() -> None:
    ladder = Ladder(silence_s=90, longest_s=900)
    assert ladder.due_at() is None
    assert ladder.next(1e9) is None
    ladder.started(10)
    assert ladder.due_at() == 100
    assert ladder.next(99.9) is None
    assert [ladder.next(now) for now in (100, 190, 280)] == ORDER
    assert ladder.due_at() == 280 + 180
    assert ladder.next(459) is None
    assert ladder.next(460) is Step.RESTART


def test_a_voice_ends_the_climb() -> None:
    ladder = Ladder(silence_s=90)
    ladder.started(0)
    assert ladder.next(90) is Step.RESTART
    assert ladder.rung == 1
    ladder.heard(95)
    assert (ladder.rung, ladder.due_at()) == (0, 185)
    assert ladder.next(185) is Step.RESTART


def test_starting_again_does_not_forgive_the_silence() -> None:
    ladder = Ladder(silence_s=90)
    ladder.started(0)
    ladder.started(80)
    assert ladder.due_at() == 90


def test_a_known_reason_is_no_silence() -> None:
    ladder = Ladder(silence_s=90)
    ladder.started(0)
    ladder.stopped()
    assert ladder.next(1000) is None
    ladder.started(1000)
    assert ladder.next(1089) is None


def test_the_watchdog_is_earlier_than_bluez_forgets() -> None:
    assert Ladder().silence_s < 180


Action = st.tuples(st.sampled_from(["heard", "started", "stopped", "next"]), st.floats(0, 2000))


@given(st.lists(Action, max_size=60))
def test_whatever_happens(actions: list[tuple[str, float]]) -> None:
    ladder = Ladder(silence_s=90, longest_s=900)
    now, quiet_since, expected = 0.0, None, 0
    for action, after in actions:
        now += after
        if action == "next":
            before = ladder.due_at()
            step = ladder.next(now)
            assert (step is not None) == (before is not None and now >= before)
            if step is not None:
                assert quiet_since is not None
                assert now - quiet_since >= 90
                assert step is ORDER[expected % 3]
                expected += 1
                quiet_since = now
        else:
            getattr(ladder, action)(*([] if action == "stopped" else [now]))
            if action == "started":
                quiet_since = now if quiet_since is None else quiet_since
            else:
                quiet_since = now if action == "heard" else None
                expected = 0
        assert 0 <= ladder.rung < 3
        assert 90 <= ladder.patience_s <= 900
    assert sum(ladder.taken.values()) <= len(actions)
