"""The bank's borders: bad samples, gaps, clocks that start anew, snapshots, mistakes of the caller."""

import math
from array import array

import pytest
from gateway_core import compiled
from gateway_core.refrigeration import Bank, Finding, Label, PureCore, exchanged
from gateway_core.refrigeration_words import FINDINGS
from refrigeration_cases import DAY_S, feed, judged, live

CORES = [pytest.param(PureCore, id="pure")]
if (compiled_module := compiled("_refrigeration")) is not None:
    CORES.append(pytest.param(compiled_module.Core, id="compiled"))


@pytest.fixture(scope="module")
def week() -> "tuple[array[float], array[float]]":
    month = live("chill", days=7, seed=3, period_s=60.0)
    return month.t_s, month.x


@pytest.mark.parametrize("core", CORES)
def test_mistakes_of_the_caller_are_refused(core: object) -> None:
    with pytest.raises(ValueError, match="'oven' is no kind of channel: room or process"):
        Bank(["oven"], core=core)
    bank = Bank(["room"], core=core)
    with pytest.raises(IndexError, match="channel 1 is not one of 1"):
        bank.update(1, 0.0, 2.0)
    with pytest.raises(IndexError, match="channel -1 is not one of 1"):
        bank.explain(-1)
    flags = array("B", b"\0\0")
    with pytest.raises(ValueError, match="one length"):
        bank.update_many(array("i", [0, 0]), array("d", [0.0]), array("d", [1.0, 2.0]), array("B", b"\1\1"), flags)
    before = bank.snapshot()
    with pytest.raises(IndexError, match="channel 7 is not one of 1"):
        bank.update_many(array("i", [0, 7]), array("d", [0, 1]), array("d", [1, 2]), array("B", b"\1\1"), flags)
    assert bank.snapshot() == before, "a refused call takes nothing"


@pytest.mark.parametrize("core", CORES)
def test_worthless_samples_change_nothing_that_was_learned(core: object) -> None:
    bank, clean = Bank(["room"], core=core), Bank(["room"], core=core)
    for k in range(500):
        t, x = 60.0 * k, 2.0 + (k % 20 if k % 20 < 10 else 20 - k % 20) * 0.2
        assert bank.update(0, t, x) == clean.update(0, t, x)
        bank.update(0, t + 1, math.nan)
        bank.update(0, t + 1, math.inf)
        bank.update(0, t + 1, -25.0, False)
        bank.update(0, math.nan, 2.0)
        bank.update(0, t, 50.0)  # a duplicate in time
        if k > 2:
            bank.update(0, t - 100, 50.0)  # older than the newest
    assert bank.explain(0).pop("skipped") == 4 * 500
    left, right = bank.explain(0), clean.explain(0)
    assert left.pop("skipped") != right.pop("skipped")
    assert left == right


def test_a_clock_that_went_back_for_good_is_followed(week: "tuple[array[float], array[float]]") -> None:
    bank = Bank(["room"])
    feed(bank, *week)
    learned = bank.explain(0)
    bank.take()
    for k in range(400):
        bank.update(0, 60.0 * k, week[1][k])
    after = bank.explain(0)
    assert after["observed_s"] - learned["observed_s"] == pytest.approx(400 * 60, abs=300)
    assert after["defrost"]["of"] >= learned["defrost"]["of"]
    assert all(notice.start_s >= 0 for notice in bank.take() if isinstance(notice, Label))


def test_a_gap_gives_up_what_is_under_way_and_keeps_what_is_learned(
    week: "tuple[array[float], array[float]]",
) -> None:
    bank = Bank(["room"])
    feed(bank, *week)
    bank.take()
    end = week[0][-1]
    for k in range(1, 20):
        flag = bank.update(0, end + 60 * k, 5.0 + k)
    assert flag != 0
    assert bank.explain(0)["under_way"] is not None
    learned = bank.explain(0)["band"]
    assert bank.update(0, end + 3 * DAY_S, 25.0) == 0, "nothing is known of the time between"
    assert bank.explain(0)["under_way"] is None
    assert bank.explain(0)["band"] == learned
    assert bank.take() == [], "no label for an event whose end was not seen"


def test_a_restart_is_a_gap_of_unknown_length(week: "tuple[array[float], array[float]]") -> None:
    bank = Bank(["room"])
    feed(bank, *week)
    bank.take()
    observed = bank.explain(0)["observed_s"]
    bank.restart()
    again = Bank(["room"])
    again.restore(bank.snapshot())
    again.update(0, 5.0, 3.0)
    again.update(0, 65.0, 3.1)
    assert again.explain(0)["observed_s"] == observed + 60.0
    assert again.explain(0)["defrost"]["of"] == bank.explain(0)["defrost"]["of"]


@pytest.mark.parametrize("core", CORES)
def test_a_snapshot_goes_on_to_the_last_bit(core: object, week: "tuple[array[float], array[float]]") -> None:
    times, values = week[0][:3000], week[1][:3000]
    whole = Bank(["room", "process"], core=core)
    feed(whole, times, values)
    feed(whole, times, values, channel=1)
    for cut in (1, 700, 1999):
        first = Bank(["room", "process"], core=core)
        for channel in (0, 1):
            feed(first, times[:cut], values[:cut], channel)
        second = Bank(["room", "process"], core=core)
        second.restore(first.snapshot())
        for channel in (0, 1):
            feed(second, times[cut:], values[cut:], channel)
        assert second.snapshot() == whole.snapshot()


def test_foreign_memory_is_refused() -> None:
    bank = Bank(["room", "process"])
    bank.update(0, 0.0, 2.0)
    good = bank.snapshot()
    damaged = bytearray(good)
    damaged[30] ^= 1
    for data, why in (
        (b"", "damaged"),
        (bytes(damaged), "damaged"),
        (good[:-1], "damaged"),
        (Bank(["room"]).snapshot(), "another number of channels"),
        (Bank(["process", "room"]).snapshot(), "other kinds"),
    ):
        before = bank.snapshot()
        with pytest.raises(ValueError, match=why):
            bank.restore(data)
        assert bank.snapshot() == before


def test_notices_nobody_fetches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_core.refrigeration_state.MOST", 3)
    bank = Bank(["room"], core=PureCore)
    month = live("freezer", days=5, seed=1, period_s=60.0)
    feed(bank, month.t_s, month.x)
    assert bank.lost > 10
    assert len(bank.take()) == 3
    assert bank.take() == []


@pytest.mark.parametrize("core", CORES)
def test_a_finished_event_is_told_before_a_gap_or_a_restart(core: object) -> None:
    for restart in (False, True):
        bank = Bank(["room"], core=core)
        month = live("freezer", days=3, seed=1, period_s=60.0)
        for k, (t, x) in enumerate(zip(month.t_s, month.x, strict=True)):
            before = bank.explain(0)["under_way"]
            bank.update(0, t, x)
            if k > 3000 and before is not None and bank.explain(0)["under_way"] is None:
                break
        bank.take()
        if restart:
            bank.restart()
        else:
            bank.update(0, t + DAY_S, x)
        (label,) = bank.take()
        assert isinstance(label, Label)
        assert label.start_s == before["since_s"]
        assert label.end_s <= t


def test_a_room_that_cools_during_a_gap_is_not_warm_for_ever() -> None:
    bank = Bank(["room"])
    month = live("chill", days=14, seed=3, period_s=60.0)
    feed(bank, month.t_s, month.x)
    end = month.t_s[-1]
    for k in range(1, 240):
        bank.update(0, end + 60.0 * k, min(15.0, 3.0 + 0.05 * k))
    assert bank.explain(0)["findings"] in (["no-return"], ["door-open"])
    for k in range(30):
        bank.update(0, end + DAY_S + 60.0 * k, month.x[k])
    assert bank.explain(0)["findings"] == []


def test_channels_do_not_disturb_each_other(week: "tuple[array[float], array[float]]") -> None:
    alone = Bank(["room"])
    feed(alone, *week)
    bank = Bank(["room", "room"])
    count = len(week[0])
    channel = array("i", [0, 1] * count)
    times = array("d", [t for t in week[0] for _ in range(2)])
    values = array("d", [x for pair in zip(week[1], reversed(week[1]), strict=True) for x in pair])
    bank.update_many(channel, times, values, array("B", b"\1" * 2 * count), array("B", bytes(2 * count)))
    assert bank.explain(0) == alone.explain(0)
    mine = [notice for notice in bank.take() if notice.channel == 0]
    assert mine == alone.take()


def test_one_second_and_one_minute_tell_the_same_story() -> None:
    """Samples closer than half a minute are averaged first: more of them give no other defrosts."""
    dense, _, _ = judged(live("cabinet", days=3, seed=8, period_s=1.0))
    wide, _, _ = judged(live("cabinet", days=3, seed=8, period_s=60.0))
    defrosts = [[label.peak_s for label in labels if label.kind == "defrost"] for labels in (dense, wide)]
    assert len(defrosts[1]) >= 8
    for peak in defrosts[1]:
        assert any(abs(peak - other) < 300 for other in defrosts[0])


def test_the_account_of_a_channel_says_what_cannot_be_seen() -> None:
    _, _, bank = judged(live("chill", days=6, seed=1, period_s=900.0))
    account = bank.explain(0)
    assert any("doors" in line for line in account["not_seen"])
    assert any("period and duty" in line for line in account["not_seen"])
    assert account["cycle"]["period_s"] is None
    _, _, bank = judged(live("chill", days=6, seed=1, period_s=60.0))
    account = bank.explain(0)
    assert not any("doors" in line for line in account["not_seen"])
    assert 1200 < account["cycle"]["period_s"] < 3000
    assert 0.1 < account["cycle"]["duty"] < 0.6
    assert account["band"]["low"] == pytest.approx(1.7, abs=0.3)
    assert account["band"]["high"] == pytest.approx(4.0, abs=0.3)
    assert account["defrost"]["interval_s"] == pytest.approx(6 * 3600, rel=0.5)


def test_a_swap_of_two_probes_names_both() -> None:
    rooms = [live(kind, days=12, seed=4, period_s=60.0) for kind in ("chill", "freezer")]
    bank = Bank(["room", "room"])
    cut = int(10.4 * 1440)
    for channel, other in ((0, 1), (1, 0)):
        feed(bank, rooms[0].t_s, rooms[channel].x[:cut] + rooms[other].x[cut:], channel)
    jumps = [notice for notice in bank.take() if isinstance(notice, Finding) and notice.what == "jump"]
    begun = [finding for finding in jumps if finding.active]
    assert {finding.channel for finding in begun} == {0, 1}
    assert all(0 <= finding.at_s - rooms[0].t_s[cut] <= 20 * 60 for finding in begun)
    assert exchanged(jumps) == [(0, 1)]
    assert exchanged([finding for finding in jumps if finding.channel == 0]) == []
    assert all(what in FINDINGS for what in {finding.what for finding in jumps})


def test_a_channel_that_answers_once_an_hour_is_not_one_long_gap() -> None:
    month = live("product", days=40, seed=2, period_s=3600.0)
    _, _, bank = judged(month)
    account = bank.explain(0)
    assert account["period_s"] == pytest.approx(3600.0, rel=0.05)
    assert account["band"]["low"] is not None
    assert account["band"]["low"] == pytest.approx(2.7, abs=1.0)
