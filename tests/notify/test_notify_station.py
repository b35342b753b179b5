"""From an alarm's event to the one who is told, and everything that can come between."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from notify_tools import (
    AWAY,
    HandClock,
    Probe,
    TestingProbe,
    alarm,
    notifying,
    output,
    rule,
    site_of,
    standing_alarm,
    until,
)

from gateway.api import Notice, OutputError
from gateway.model import AlarmState
from gateway.notify.station import Notifier, NotifyError


def told() -> list[tuple[str, str, str]]:
    return [(name, notice.recipient, notice.transition) for name, notice in Probe.told]


async def test_an_alarm_reaches_its_recipients_with_all_that_is_known(tmp_path: Path) -> None:
    site = site_of(tmp_path, [output(to=("a@x.example", "b@x.example"))], [rule()])
    async with notifying(site) as world:
        world.notifier.alarm(alarm())
        await until(lambda: len(Probe.told) == 2)
        await until(lambda: world.kinds() == ["notify.sent", "notify.sent"])
        sent = world.events[0].data
    (_, notice), _ = Probe.told
    assert [notice.recipient for _, notice in Probe.told] == ["a@x.example", "b@x.example"]
    assert (notice.name, notice.value, notice.limit, notice.unit) == ("Cold room 1", 8.2, 5.0, "degC")
    assert notice.subject == "CRITICAL: Cold room 1 8.2 °C (limit 5 °C)"
    assert "since: 2025-11-24 11:59 UTC" in notice.body
    assert "http://gw.local:8080/" in notice.body
    assert len(notice.short) <= 160
    assert (sent["output"], sent["recipient"], sent["occurrence"]) == ("mail", "a...@x.example", 1)
    assert sent["key"] == notice.key
    assert all("output mail" in name for name in Probe.threads), "a plugin works in its own thread"


async def test_the_same_transition_is_told_once_also_over_a_restart(tmp_path: Path) -> None:
    site = site_of(tmp_path, [output()], [rule()])
    async with notifying(site) as world:
        for _ in range(3):
            world.notifier.alarm(alarm())
        world.notifier.alarm(alarm("acknowledged", person="Ann"))
        await until(lambda: len(Probe.told) == 2)
    async with notifying(site, alarms=[standing_alarm(state=AlarmState.ACKNOWLEDGED)]) as world:
        await world.notifier.accept([alarm()])
        await world.idle()
    assert [transition for _, _, transition in told()] == ["raised", "acknowledged"]


async def test_another_occurrence_is_told_again(tmp_path: Path) -> None:
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([alarm(), alarm("returned"), alarm(occurrence=2, raised_ms=200_000)])
        await until(lambda: len(Probe.told) == 3)
    assert [(notice.occurrence, notice.transition) for _, notice in Probe.told] == [
        (1, "raised"),
        (1, "returned"),
        (2, "raised"),
    ]


async def test_an_alarm_whose_counter_began_anew_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([alarm(occurrence=7)])
        await world.notifier.accept([alarm(occurrence=1, raised_ms=300_000)])
        await world.notifier.accept([alarm(occurrence=1, raised_ms=400_000)])
        await until(lambda: len(Probe.told) == 3)
    assert len({notice.key for _, notice in Probe.told}) == 3


async def test_what_fails_is_tried_again_until_it_is_taken_and_recorded_once(tmp_path: Path) -> None:
    Probe.failure["mail"] = AWAY
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        world.notifier.alarm(alarm())
        await until(lambda: world.notifier.stats.outputs["mail"].failures >= 3)
        assert world.notifier.stats.outputs["mail"].last_error == "the server is away; wait for it"
        Probe.failure.clear()
        await until(lambda: Probe.told)
        await until(lambda: "notify.sent" in world.kinds())
        assert not world.notifier.stats.outputs["mail"].failing
    assert world.kinds() == ["notify.failed", "notify.sent"]
    assert (world.events[0].data["final"], world.events[1].data["tries"] >= 4) == (False, True)


async def test_what_is_refused_for_good_is_given_up_and_the_next_goes_out(tmp_path: Path) -> None:
    def refuse(notice: Notice) -> None:
        if notice.recipient == "gone@x.example":
            raise OutputError("no such mailbox", "correct it", retry=False, recipient=True)

    Probe.failure["mail"] = refuse
    site = site_of(tmp_path, [output(to=("gone@x.example", "b@x.example"))], [rule()])
    async with notifying(site) as world:
        world.notifier.alarm(alarm())
        await until(lambda: sorted(world.kinds()) == ["notify.failed", "notify.sent"])
        failed = next(event.data for event in world.events if event.kind == "notify.failed")
        assert world.notifier.stats.outputs["mail"].given_up == 1
    assert (failed["final"], failed["what"], failed["remedy"]) == (True, "no such mailbox", "correct it")
    assert told() == [("mail", "b@x.example", "raised")]


async def test_a_full_mailbox_of_one_recipient_does_not_hold_up_the_other(tmp_path: Path) -> None:
    def refuse(notice: Notice) -> None:
        if notice.recipient == "full@x.example":
            raise OutputError("mailbox full", "empty it", recipient=True)

    Probe.failure["mail"] = refuse
    site = site_of(tmp_path, [output(to=("full@x.example", "b@x.example"))], [rule()])
    async with notifying(site) as world:
        await world.notifier.accept([alarm(), alarm("returned")])
        await until(lambda: len(Probe.told) == 2)
    assert {recipient for _, recipient, _ in told()} == {"b@x.example"}


async def test_a_notice_that_an_output_cannot_stand_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    def choke(notice: Notice) -> None:
        if notice.alarm == "cold-room-1/high-critical":
            raise ValueError("what is this?")

    Probe.failure["mail"] = choke
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([alarm(), alarm(alarm="room-2/high-critical"), alarm(alarm="room-3/x")])
        await until(lambda: len(Probe.told) == 2)
        Probe.failure.clear()
        world.clock.pass_s(60)
        await until(lambda: len(Probe.told) == 3)


async def test_critical_goes_first_and_what_is_beyond_the_limit_comes_in_one(tmp_path: Path) -> None:
    Probe.failure["mail"] = AWAY
    site = site_of(tmp_path, [output(limit=3, per_s=3600.0)], [rule()])
    warnings = [alarm(alarm=f"room-{n}/high-alert", tier="alert", point=f"room-{n}") for n in range(8)]
    async with notifying(site) as world:
        await world.notifier.accept([*warnings, alarm()])
        Probe.failure.clear()
        await until(lambda: world.kinds().count("notify.sent") == 9)
        stats = world.notifier.stats.outputs["mail"]
        assert (stats.sent, stats.digests) == (9, 1)
    notices = [notice for _, notice in Probe.told]
    assert notices[0].tier == "critical"
    assert [notice.more for notice in notices] == [0, 0, 0, 5]
    assert notices[-1].subject.endswith("(and 5 more)")
    assert all(f"room-{n}" in notices[-1].body for n in (2, 3, 4, 5, 6, 7))


async def test_beyond_the_limit_a_critical_alarm_still_has_its_own_places(tmp_path: Path) -> None:
    site = site_of(tmp_path, [output(limit=1, per_s=3600.0)], [rule()])
    async with notifying(site) as world:
        await world.notifier.accept([alarm(alarm="a/high-alert", tier="alert", point="a")])
        await until(lambda: len(Probe.told) == 1)
        await world.notifier.accept([alarm(alarm="b/high-alert", tier="alert", point="b")])
        await world.idle()
        assert len(Probe.told) == 1, "the limit is reached"
        await world.notifier.accept([alarm()])
        await until(lambda: len(Probe.told) == 2)
    assert Probe.told[1][1].tier == "critical"
    assert Probe.told[1][1].more == 1, "and it takes along what waits"


async def test_what_could_not_be_told_in_time_says_so_and_is_given_up_in_the_end(tmp_path: Path) -> None:
    Probe.failure["mail"] = AWAY
    site = site_of(tmp_path, [output(late_s=600.0, give_up_s=7200.0)], [rule()])
    async with notifying(site) as world:
        await world.notifier.accept([alarm()])
        await until(lambda: world.notifier.stats.outputs["mail"].failures)
        world.clock.pass_s(3600)
        Probe.failure.clear()
        await until(lambda: Probe.told)
        assert Probe.told[0][1].late_s == pytest.approx(3600, abs=3)
        assert "Told late, after 1 h 0 min" in Probe.told[0][1].body
        Probe.failure["mail"] = AWAY
        await world.notifier.accept([alarm("returned")])
        await until(lambda: world.kinds().count("notify.failed") == 2)
        world.clock.pass_s(7300)
        await until(lambda: world.events[-1].data.get("final"))
    assert "not delivered within 2 h" in world.events[-1].data["what"]


@pytest.mark.parametrize(("known", "late_s"), [(True, 3600.0), (False, 5.0)])
async def test_a_notice_outlives_a_reboot_with_its_age_as_far_as_it_is_known(
    tmp_path: Path, known: bool, late_s: float
) -> None:
    Probe.failure["mail"] = AWAY
    site = site_of(tmp_path, [output(late_s=1.0)], [rule()])
    clock = HandClock()
    async with notifying(site, clock) as world:
        await world.notifier.accept([alarm()])
        await until(lambda: world.notifier.stats.outputs["mail"].failures)
    Probe.failure.clear()
    clock.reboot(off_s=3600.0, known=known)
    async with notifying(site, clock):
        await until(lambda: Probe.told)
    (_, notice), *_ = Probe.told
    assert notice.late_s == pytest.approx(late_s, abs=3)
    assert notice.raised_utc_ms is not None, "it was known when it was raised"
    assert (notice.sent_utc_ms is not None) == known


async def test_the_time_of_an_alarm_is_unknown_until_the_clock_is_trusted(tmp_path: Path) -> None:
    Probe.failure["mail"] = AWAY
    clock = HandClock(utc_ms=None)
    async with notifying(site_of(tmp_path, [output()], [rule()]), clock) as world:
        await world.notifier.accept([alarm()])
        Probe.failure.clear()
        await until(lambda: Probe.told)
        assert "since: time not known" in Probe.told[0][1].body
        clock.utc_ms = 1_763_985_600_000
        await world.notifier.accept([alarm("returned")])
        await until(lambda: len(Probe.told) == 2)
    assert Probe.told[1][1].raised_utc_ms == pytest.approx(1_763_985_600_000, abs=3000)


async def test_a_dead_output_holds_up_no_other(tmp_path: Path) -> None:
    outputs = [
        output("blocks", settings={"mode": "block"}, timeout_s=5.0),
        output("hangs", settings={"mode": "hang"}, timeout_s=5.0),
        output("exits", settings={"mode": "exit"}),
        output("boom", type="boom"),
        output("missing", type="not-installed"),
        output("good"),
    ]
    site = site_of(tmp_path, outputs, [rule(one.id) for one in outputs])
    async with notifying(site) as world:
        world.notifier.alarm(alarm())
        stats = world.notifier.stats.outputs
        await until(lambda: ("good", "a@x.example", "raised") in told())
        assert not stats["blocks"].failing
        assert not stats["hangs"].failing
        await until(lambda: all(stats[one.id].failing for one in outputs[:-1]), within_s=20.0)
        assert stats["exits"].faults.raised
        assert stats["hangs"].faults.late
        await until(lambda: stats["blocks"].faults.blocked)
        assert world.notifier.lanes["blocks"].cell.blocked
        assert "SystemExit" in stats["exits"].last_error
        assert "no such luck" in stats["boom"].last_error
        assert "there is no output 'not-installed'" in stats["missing"].last_error
        await world.notifier.accept([alarm("returned")])
        await until(lambda: ("good", "a@x.example", "returned") in told())
        Probe.release.set()


async def test_after_a_restart_what_was_missed_is_told(tmp_path: Path) -> None:
    site = site_of(tmp_path, [output()], [rule()])
    async with notifying(site, alarms=[standing_alarm()]):
        await until(lambda: len(Probe.told) == 1)
    async with notifying(site, alarms=[standing_alarm(escalation=1)]):
        await until(lambda: len(Probe.told) == 2)
    acknowledged = standing_alarm(escalation=1, state=AlarmState.ACKNOWLEDGED, person="Ann", text="door was open")
    async with notifying(site, alarms=[acknowledged]):
        await until(lambda: len(Probe.told) == 3)
    async with notifying(site, alarms=[]):
        await until(lambda: len(Probe.told) == 4)
    async with notifying(site, alarms=[]) as world:
        await world.idle()
    assert [transition for _, _, transition in told()] == ["raised", "escalated", "acknowledged", "returned"]
    assert "By: Ann door was open" in Probe.told[2][1].body


async def test_an_output_that_shows_a_state_is_brought_up_to_date_at_the_start_and_at_each_change(
    tmp_path: Path,
) -> None:
    site = site_of(tmp_path, [output("siren", to=(), sends=False, follows=True)], [rule("siren")])
    async with notifying(site, alarms=[standing_alarm()]) as world:
        await until(lambda: Probe.shown and Probe.shown[-1].unacknowledged)
        await world.notifier.accept([alarm("acknowledged")])
        await until(lambda: not Probe.shown[-1].unacknowledged)
        assert len(Probe.shown[-1].active) == 1
        await world.notifier.accept([alarm("returned", state=AlarmState.NORMAL.value)])
        await until(lambda: not Probe.shown[-1].active)
        assert len(Probe.shown[-1].over) == 1
        await world.notifier.accept([alarm(occurrence=2), alarm("shelved", occurrence=2)])
        await until(lambda: Probe.shown[-1].over and Probe.shown[-1].over[0].state == "shelved")
        assert not Probe.shown[-1].unacknowledged
    assert not Probe.told
    async with notifying(site, alarms=[standing_alarm(occurrence=2)]):
        await until(lambda: Probe.shown[-1].unacknowledged)


async def test_what_is_shown_is_shown_again_now_and_then_and_after_a_failure(tmp_path: Path) -> None:
    Probe.failure["siren"] = AWAY
    site = site_of(tmp_path, [output("siren", to=(), sends=False, follows=True)], [rule("siren")])
    async with notifying(site, alarms=[standing_alarm()], pace={"idle_s": 0.05}) as world:
        await until(lambda: world.notifier.stats.outputs["siren"].failures)
        Probe.failure.clear()
        await until(lambda: len(Probe.shown) >= 3)
    assert all(standing.unacknowledged for standing in Probe.shown)


async def test_nobody_can_be_reached_becomes_a_condition_and_ends(tmp_path: Path) -> None:
    Probe.failure.update(mail=AWAY, sms=AWAY)
    site = site_of(tmp_path, [output(), output("sms")], [rule(), rule("sms")])
    site = replace(site, notices=replace(site.notices, unreachable_s=0.2))
    async with notifying(site, pace={"idle_s": 0.05}) as world:
        world.notifier.alarm(alarm())
        await until(lambda: any(c.alarm == "outputs/nobody-reached" and c.active for c in world.conditions))
        assert world.notifier.stats.unreachable
        condition = next(c for c in world.conditions if c.alarm == "outputs/nobody-reached")
        assert (condition.tier, condition.rule) == ("maintenance", "nobody-reached")
        assert condition.at_ms - condition.since_ms >= 200
        del Probe.failure["sms"]
        world.clock.pass_s(60)
        await until(
            lambda: world.conditions[-1].alarm == "outputs/nobody-reached" and not world.conditions[-1].active
        )
        assert not world.notifier.stats.unreachable
        said = {c.alarm: c.active for c in world.conditions}
    assert said["output-mail/not-delivering"], "that one output still fails is said as well"
    assert not said["output-sms/not-delivering"]


async def test_a_silent_output_is_tried_without_telling_anybody(tmp_path: Path) -> None:
    Probe.failure["mail"] = AWAY
    site = site_of(tmp_path, [output(type="testing")], [rule()])
    async with notifying(site, pace={"probe_s": 0.0, "idle_s": 0.05}) as world:
        await until(lambda: len(TestingProbe.tried) == 1)
        await until(lambda: world.notifier.stats.outputs["mail"].failing)
    assert not Probe.told
    assert not world.events


async def test_a_sign_of_life_is_sent_regularly_and_not_at_every_restart(tmp_path: Path) -> None:
    site = site_of(tmp_path, [output(alive_s=3600.0)], [rule()])
    clock = HandClock()
    async with notifying(site, clock, pace={"idle_s": 0.05}) as world:
        await until(lambda: len(Probe.told) == 1)
        await world.idle()
        clock.pass_s(3601)
        await until(lambda: len(Probe.told) == 2)
        await world.idle()  # That it was sent is kept after it was sent: an end in between would send it once more.
    async with notifying(site, clock) as world:
        await world.idle()
        assert len(Probe.told) == 2
    clock.reboot(off_s=60.0)
    async with notifying(site, clock) as world:
        await world.idle()
        assert len(Probe.told) == 2
    assert {notice.transition for _, notice in Probe.told} == {"alive"}
    assert "If this message stays away" in Probe.told[0][1].body


async def test_the_test_button_sends_one_and_says_what_became_of_it(tmp_path: Path) -> None:
    site = site_of(tmp_path, [output(to=("a@x.example", "b@x.example"))], [rule(to=("c@x.example",))])
    async with notifying(site) as world:
        handlers = world.notifier.handlers()
        answer = await handlers["notify.test"]({"do": "notify.test", "output": "mail", "person": "Ann"})
        assert answer == {"told": ["a@x.example", "b@x.example"]}
        assert await world.notifier.test("mail", ["c@x.example"]) == ["c@x.example"]
        assert "This is a test" in Probe.told[0][1].body
        Probe.failure["mail"] = AWAY
        with pytest.raises(OutputError, match=r"the server is away; wait for it"):
            await world.notifier.test("mail")
        with pytest.raises(NotifyError, match=r"there is no output 'nail'; the site file has: mail"):
            await world.notifier.test("nail")
        with pytest.raises(NotifyError, match=r"is no recipient of 'mail'"):
            await world.notifier.test("mail", ["stranger@x.example"])
        with pytest.raises(NotifyError, match=r"not said which output"):
            await handlers["notify.test"]({"do": "notify.test"})
        listed = await handlers["notify.list"]({"do": "notify.list"})
    assert [event.data["ok"] for event in world.events] == [True, True, True, False]
    assert world.events[0].data["person"] == "Ann"
    assert listed["outputs"]["mail"]["to"] == ["a...@x.example", "b...@x.example"]
    assert listed["outputs"]["mail"]["failing"]


async def test_a_queue_without_room_takes_critical_alarms_only_and_says_so(tmp_path: Path) -> None:
    Probe.failure["mail"] = AWAY
    site = site_of(tmp_path, [output()], [rule()])
    async with notifying(site) as world:
        world.notifier._desk._most = 3
        many = [alarm(alarm=f"r{n}/high", tier="alert", point=f"r{n}") for n in range(5)]
        await world.notifier.accept([*many, alarm()])
        full = [event.data for event in world.events if event.data.get("final")]
        assert [data["what"] for data in full] == ["the queue of this output is full"] * 2
        Probe.failure.clear()
        await until(lambda: len(Probe.told) == 4)
    assert Probe.told[0][1].tier == "critical"


async def test_events_of_no_alarm_and_broken_ones_harm_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        broken = alarm()
        del broken.data["occurrence"]
        world.notifier.alarm(broken)
        world.notifier.alarm(alarm().__class__("gap.opened", 1, {}))
        world.notifier.alarm(alarm())
        await until(lambda: Probe.told)
    assert "cannot be understood" in caplog.text


async def test_an_output_that_left_the_site_file_takes_its_notices_along(tmp_path: Path) -> None:
    Probe.failure["mail"] = AWAY
    async with notifying(site_of(tmp_path, [output()], [rule()])) as world:
        await world.notifier.accept([alarm()])
    async with notifying(site_of(tmp_path, [output("other")], [rule("other")])) as world:
        await world.idle()
        rows = await world.notifier._db(lambda store: store.open_of("cold-room-1/high-critical"))
    assert rows == []


async def test_what_came_before_the_start_is_told_by_what_stands(tmp_path: Path) -> None:
    """Taken up before the outputs were there: nobody need be told. Come and gone unseen: somebody must."""
    site = site_of(tmp_path, [output()], [rule()])
    notifier = Notifier(site, HandClock(), lambda _: None, lambda _: None)
    await notifier.open()
    notifier.alarm(alarm(alarm="taken/up"))
    notifier.alarm(alarm("acknowledged", alarm="taken/up"))
    await notifier.resync([standing_alarm(state=AlarmState.RETURNED, active=False)])
    running = asyncio.create_task(notifier.run())
    await until(lambda: len(Probe.told) == 2)
    running.cancel()
    await asyncio.wait([running])
    assert [(notice.alarm, notice.transition) for _, notice in Probe.told] == [
        ("cold-room-1/high-critical", "raised"),
        ("cold-room-1/high-critical", "returned"),
    ]


async def test_closing_queues_what_has_come(tmp_path: Path) -> None:
    site = site_of(tmp_path, [output()], [rule()])
    notifier = Notifier(site, HandClock(), lambda _: None, lambda _: None)
    await notifier.open()
    notifier.alarm(alarm())
    await notifier.close()
    async with notifying(site):
        await until(lambda: Probe.told)
