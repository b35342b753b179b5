"""One sample of one refrigerated channel, in readable words: the twin of ``refrigeration_steps.pxi``.

The two files hold the same functions in the same order and the same arithmetic (+ - * / and comparisons of
doubles), so that their results are the same bits. Times inside are seconds of the channel's own clock, which counts
the time between samples and outlives a restart; values are kelvins or degrees Celsius, rates K/s.
"""

from gateway_core.refrigeration_state import (
    DAY,
    DEFROST,
    DOOR,
    DOOR_OPEN,
    DRIFT,
    FADED,
    FREQUENT,
    HUNTING,
    ICING,
    JUMP,
    LONGEST,
    MISSING,
    MOVED,
    NAN,
    NONE,
    NO_RETURN,
    OTHER,
    SHORT_CYCLES,
    STUCK,
    UNSATISFIED,
    Channel,
    Kind,
    Notices,
    put,
)

__all__ = ["feed", "forget_clock"]


def absolute(x: float) -> float:
    return -x if x < 0.0 else x


def larger(a: float, b: float) -> float:
    return b if b > a else a


def within(x: float, low: float, high: float) -> float:
    return low if x < low else high if x > high else x


def width(s: Channel, p: Kind) -> float:
    """Peak to trough of the usual cycle, never below what counts at all."""
    return larger(s.hi - s.lo, p.floor)


def margin(s: Channel, p: Kind) -> float:
    """How far above the usual peaks something has to be to count as a disturbance."""
    return larger(larger(0.12 * width(s, p), 3.0 * s.hi_dev), larger(1.2 * p.floor, 5.0 * s.noise))


def reversal(s: Channel, p: Kind) -> float:
    """How far a value has to turn back to be a turning point."""
    return larger(larger(0.35 * (s.hi - s.lo), p.floor), 4.0 * s.noise)


def settle(s: Channel, p: Kind) -> None:
    """Work out again what hangs on the learned peaks and troughs."""
    s.top = s.hi + margin(s, p)
    s.back = reversal(s, p)
    s.least = larger(larger(1.2 * p.floor, 0.12 * (s.hi - s.lo)), 6.0 * s.noise)


def cycling(s: Channel) -> bool:
    """Whether the value goes up and down as a compressor makes it (air, not product)."""
    return s.n_cycle >= 20.0 and s.period <= 7200.0


def resolved(s: Channel) -> bool:
    """Whether the samples are dense enough for the compressor's cycle."""
    return cycling(s) and 5.0 * s.spacing <= s.period


def label(s: Channel, o: Notices) -> None:
    """Hand out the event that waits, with the undershoot that followed it."""
    back = s.t_last - s.now
    put(o, s, s.w_kind, 2.0, s.t_last, s.w_start + back, s.w_peak_t + back, s.w_end + back, s.w_base, s.w_peak,
          s.w_slope, s.lo - s.w_low, s.w_sure)  # fmt: skip
    s.w_kind = 0.0


def tell(
    s: Channel, o: Notices, code: float, on: bool, since: float, value: float, low: float, high: float, n: float
) -> None:
    """A finding begins or ends; nothing is said while it stays as it is."""
    if on == active(s, code):
        return
    s.active ^= 1 << int(code)
    put(o, s, code, 1.0 if on else 0.0, s.t_last, since + (s.t_last - s.now), value, low, high, n, s.now, 0.0, 0.0)


def active(s: Channel, code: float) -> bool:
    return (s.active & (1 << int(code))) != 0


def cut(s: Channel) -> None:
    """Time has passed unseen: what was under way is given up without a label, nothing learned is lost."""
    s.mode = 0.0
    s.flag = 0.0
    s.w_kind = 0.0
    s.z_dir = 0.0
    s.acc_n = 0.0
    s.acc_sum = 0.0
    s.b_t = NAN
    s.ex_end = s.now
    s.last_cross = NAN
    s.maybe = s.now
    s.turned = s.now
    s.flat_since = s.now
    s.look = s.now
    s.jump_t = NAN
    s.n_short = 0.0
    s.n_big = 0.0
    s.seg_w = 0.0
    s.seg_sum = 0.0
    s.b_w = 0.0
    s.b_sum = 0.0


def forget_clock(s: Channel) -> None:
    """The caller's clock starts anew (a restart): how long it stood is not known."""
    if s.t_last == s.t_last:
        cut(s)
        s.t_last = NAN


def feed(s: Channel, p: Kind, o: Notices, t: float, x: float, usable: bool) -> int:
    """Take one sample; the flag of this moment (NONE, DOOR, DEFROST, OTHER)."""
    if not (usable and -1e6 < x < 1e6 and -1e15 < t < 1e15):
        s.skipped += 1.0
        return int(s.flag)
    if s.t_last == s.t_last:
        dt = t - s.t_last
        if dt <= 0.0:
            if dt == 0.0:
                return int(s.flag)
            s.backward += 1.0
            if s.backward < 3.0:
                return int(s.flag)
            cut(s)
            dt = 0.0
        elif dt > 1800.0 and dt > 4.0 * s.spacing:
            s.now += dt
            cut(s)
        else:
            s.now += dt
            s.spacing += (within(dt, 0.5 * s.spacing, 2.0 * s.spacing) - s.spacing) * 0.0625
    s.t_last = t
    s.backward = 0.0
    if x != s.flat_x:
        unstick(s, o, x)
    elif s.now - s.flat_since > s.flat_due:
        stick(s, o, x)
    s.acc_sum += x
    s.acc_n += 1.0
    if not (s.now - s.b_t < p.bucket):
        x = s.acc_sum / s.acc_n
        s.acc_sum = 0.0
        s.acc_n = 0.0
        if s.b_t == s.b_t:
            advance(s, p, o, x)
        else:
            begin_anew(s, p, x)
    return int(s.flag)


def unstick(s: Channel, o: Notices, x: float) -> None:
    """The value moves: learn how long it had stood."""
    run = s.now - s.flat_since
    if run > s.flat_due and active(s, STUCK):
        tell(s, o, STUCK, False, s.flat_since, x, 0.0, s.flat_max, s.now)
    elif run > s.flat_max:
        s.flat_max = run
    else:
        s.flat_max -= s.flat_max * (within(run, 0.0, DAY) * 3.9e-7)
    s.flat_x = x
    s.flat_since = s.now
    s.flat_due = larger(larger(3.0 * s.flat_max, 1800.0), 20.0 * s.spacing)
    if s.now < 2.0 * DAY:
        s.flat_due = larger(s.flat_due, DAY)


def stick(s: Channel, o: Notices, x: float) -> None:
    """The value stands longer than it ever did."""
    tell(s, o, STUCK, True, s.flat_since, x, s.now - s.flat_since, s.flat_due, s.now)


def begin_anew(s: Channel, p: Kind, x: float) -> None:
    """First value after the start or after a gap."""
    s.b_t = s.now
    s.b_x = x
    s.b_d = 0.0
    s.r_t = s.now
    s.r_x = x
    s.q_t = s.now
    s.q_x = x
    s.z_dir = 0.0
    s.z_x = x
    s.z_t = s.now
    s.z_low = x
    s.z_low_t = s.now
    s.trough_x = x
    s.trough_t = s.now
    s.peak_x = x
    s.peak_t = s.now
    s.b_min = x
    s.b_max = x
    if s.n_hi == 0.0:
        s.hi = x
        s.lo = x
    if s.b_end != s.b_end or s.now - s.b_end >= LONGEST * p.block:
        s.b_end = s.now + p.block
        forget_day(s)
    while s.now >= s.b_end:
        push(s, NAN)
        s.b_end += p.block
    settle(s, p)


def forget_day(s: Channel) -> None:
    """Yesterday is not known."""
    s.pairs = 0.0
    for i in range(12):
        s.ring[i] = NAN


def push(s: Channel, mean: float) -> None:
    """The mean of a block takes the place of the one a day before."""
    s.ring[int(s.slot)] = mean
    s.slot = 0.0 if s.slot >= 11.0 else s.slot + 1.0
    if mean != mean:
        s.pairs = 0.0


def advance(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """One value of the thinned series."""
    dt = s.now - s.b_t
    d = x - s.b_x
    if dt <= 120.0:
        # The turns of a quick cycle are no noise.
        e = within(absolute(d - s.b_d), 0.0, larger(0.1, 0.16 * (s.hi - s.lo)))
        s.noise += (0.5 * e - s.noise) * 0.015625
    since = s.b_t if dt >= 60.0 else s.r_t
    origin = s.b_x if dt >= 60.0 else s.r_x
    rise = x - origin
    fast: bool = (
        p.room > 0.0
        and dt <= 330.0
        and rise >= s.least
        and rise >= 4.0 * s.warm * (s.now - since)
    )
    if fast:
        s.fast_t = s.now
    jumped(s, p, o, x, d, dt)
    if s.mode == 0.0:
        s.b_sum += x * dt
        s.b_w += dt
        if x < s.b_min:
            s.b_min = x
        if x > s.b_max:
            s.b_max = x
        if fast:
            enter(s, o, since, origin, x, rise)
        elif x > s.top and s.n_hi >= 4.0:
            if s.z_dir > 0.0:
                enter(s, o, s.trough_t, s.trough_x, x, 0.0)
            else:
                enter(s, o, since, origin, x, 0.0)
    else:
        if fast:
            s.ex_fast_t = s.now
        if d > 0.0 and (fast or x - s.r_x >= 3.0 * s.warm * (s.now - s.r_t)):
            s.ex_fast += d
        excursion(s, p, o, x)
    turning(s, p, o, x)
    if s.w_kind > 0.0:
        if x < s.w_low:
            s.w_low = x
        if s.now - s.w_end > 3600.0:
            label(s, o)
    if s.now >= s.look:
        watch(s, p, o, x)
    if s.now >= s.b_end:
        block(s, p, o)
    if s.now - s.q_t >= 60.0:
        s.r_t = s.q_t
        s.r_x = s.q_x
        s.q_t = s.now
        s.q_x = x
    s.b_t = s.now
    s.b_x = x
    s.b_d = d


def jumped(s: Channel, p: Kind, o: Notices, x: float, d: float, dt: float) -> None:
    """A step that no room makes: the probe hangs elsewhere now, or it is another probe."""
    size = absolute(d)
    if s.jump_t == s.jump_t:
        if s.now - s.jump_t >= 900.0 and s.now - s.jump_t >= 2.5 * s.spacing:
            step = s.jump_to - s.jump_from
            if (x - s.jump_from) * step > 0.6 * step * step:
                tell(s, o, JUMP, True, s.jump_t, x, s.lo, s.hi, s.now)
                s.hi += step
                s.lo += step
                s.mode = 0.0
                s.flag = 0.0
                s.ex_end = s.now
                s.z_dir = 0.0
                s.z_x = x
                s.z_t = s.now
                s.z_low = x
                s.z_low_t = s.now
                s.pairs = 0.0
                settle(s, p)
                s.jump_on = s.now
            s.jump_t = NAN
        return
    if size > s.step_max:
        if s.now > DAY and size > 2.5 * s.step_max and size > 2.0 * width(s, p) and size > 5.0 * p.floor:
            s.jump_t = s.now
            s.jump_from = s.b_x
            s.jump_to = x
        else:
            s.step_max = size
    else:
        s.step_max -= s.step_max * (within(dt, 0.0, DAY) * 1.9e-7)


def enter(s: Channel, o: Notices, start: float, base: float, x: float, fast: float) -> None:
    """A disturbance begins (its start lies a little back)."""
    if s.w_kind > 0.0:
        label(s, o)
    s.mode = 1.0
    s.ex_start = start
    s.ex_base = base
    s.ex_fast = fast
    s.ex_peak = x
    s.ex_peak_t = s.now
    s.ex_cross = NAN
    s.ex_falls = 0.0
    s.ex_slope = 0.0
    s.ex_mark = 0.0
    s.ex_fast_t = s.now
    s.flag = DOOR if fast > 0.0 else DEFROST


def excursion(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """A disturbance goes on: what is it by now, and is it over?"""
    if x > s.ex_peak:
        s.ex_peak = x
        s.ex_peak_t = s.now
    slope = (x - s.r_x) / (s.now - s.r_t) if s.now > s.r_t else 0.0
    if slope > s.ex_slope:
        s.ex_slope = slope
    abrupt: bool = s.spacing <= 330.0 and s.ex_fast >= 0.4 * (s.ex_peak - s.ex_base)
    if s.ex_cross != s.ex_cross:
        if s.n_hi >= 4.0 and x > s.top:
            s.ex_cross = s.now
        elif s.now - s.ex_fast_t >= 90.0:
            leave(s, p, o, abrupt)
            return
    elif x <= s.hi:
        leave(s, p, o, abrupt)
        return
    if p.room == 0.0:
        s.flag = OTHER
    elif abrupt:
        s.flag = DOOR if s.now - s.ex_start <= 1800.0 or active(s, DOOR_OPEN) else OTHER
    else:
        s.flag = DEFROST if s.ex_falls == 0.0 else OTHER
    if s.ex_cross == s.ex_cross and s.ex_falls == 0.0 and s.now > 3.0 * DAY and p.room > 0.0:
        overdue(s, p, o, x, abrupt)


def slow_limit(s: Channel) -> float:
    """How long a slow disturbance (a defrost) may stay above the usual peaks (s)."""
    limit = larger(10800.0 if cycling(s) else DAY, 1.5 * s.slow_max)
    if s.n_defrost >= 6.0 and cycling(s):
        limit = larger(larger(2.0 * s.df_above, s.df_above + 6.0 * s.df_above_dev) + 600.0, 1.4 * s.slow_max)
        limit = larger(limit, 2700.0)
    return limit


def door_limit(s: Channel) -> float:
    """How long the effect of a door may stay above the usual peaks (s)."""
    return larger(2400.0, 1.4 * s.door_max)


def overdue(s: Channel, p: Kind, o: Notices, x: float, abrupt: bool) -> None:
    """Does the disturbance last longer than one of its kind may? A value that is on its way back has more time."""
    above = s.now - s.ex_cross
    falling: bool = x < s.ex_peak - 0.4 * (s.ex_peak - s.hi)
    door: bool = abrupt and cycling(s) and s.n_door >= 5.0
    limit = door_limit(s) if door else slow_limit(s)
    if falling:
        limit *= 2.0
    if above > limit and not active(s, DOOR_OPEN) and not active(s, NO_RETURN):
        if door:
            tell(s, o, DOOR_OPEN, True, s.ex_start, x, s.lo, s.hi, s.n_door)
        else:
            tell(s, o, NO_RETURN, True, s.ex_start, x, s.lo, s.hi, s.n_defrost)


def leave(s: Channel, p: Kind, o: Notices, abrupt: bool) -> None:
    """A disturbance is over: name it, learn from it, and let its label wait for the undershoot."""
    s.mode = 0.0
    s.flag = 0.0
    above = s.now - s.ex_cross if s.ex_cross == s.ex_cross else 0.0
    up = s.ex_peak_t - s.ex_start
    rise = s.ex_peak - s.hi
    kind = OTHER
    sure = 0.0
    told: bool = active(s, DOOR_OPEN) or active(s, NO_RETURN)
    if p.room > 0.0:
        if abrupt:
            if up <= 900.0 and s.now - s.ex_start <= 3600.0:
                kind = DOOR
                s.n_door += 1.0
                if s.spacing <= 120.0:
                    sure = 1.0
            s.door_max = longest(s.door_max, above, 0.001, told)
        elif cycling(s) and not told and s.ex_start - s.slow_end < 2.5 * s.period and not plain(s, above, rise):
            # Soon after the last one: cycles that go higher than they used to.
            kind = NONE
            again(s, p, o)
        elif above >= 300.0:
            if s.ex_falls == 0.0 and up >= 480.0 and not told:
                if s.n_slow < 4.0 or alike(s, above, rise):
                    kind = DEFROST
                    if s.n_slow >= 8.0 and s.spacing <= 330.0:
                        sure = 1.0
                usual(s, above, rise)
            s.slow_max = longest(s.slow_max, above, 0.01, told)
            s.n_again = 0.0
        else:
            # Barely above, soon back, slowly: a cycle like others.
            kind = NONE
            again(s, p, o)
    if above > 0.0 and not abrupt:
        s.slow_end = s.now
    if kind == DEFROST:
        defrosted(s, o, above)
    elif kind != NONE and above > 0.0 and (s.n_slow < 8.0 or (above > 0.6 * s.df_above and rise > 0.4 * s.df_rise)):
        # Unlike the others, but it may have hidden one: the next interval proves nothing.
        s.maybe = s.now
        s.last_cross = NAN
    tell(s, o, DOOR_OPEN, False, s.ex_start, s.ex_peak, s.lo, s.hi, s.n_door)
    tell(s, o, NO_RETURN, False, s.ex_start, s.ex_peak, s.lo, s.hi, s.n_defrost)
    s.ex_end = s.now
    s.turned = s.now
    s.w_kind = kind
    s.w_start = s.ex_start
    s.w_peak_t = s.ex_peak_t
    s.w_end = s.now if above > 0.0 else s.ex_fast_t
    s.w_base = s.ex_base
    s.w_peak = s.ex_peak
    s.w_slope = s.ex_slope
    s.w_low = s.hi
    s.w_sure = sure


def again(s: Channel, p: Kind, o: Notices) -> None:
    """A cycle that goes a little higher: the usual peak follows, and moves for good when they all do."""
    s.hi += follow(s, p, s.ex_peak - s.hi)
    s.n_again += 1.0
    if s.n_again >= 4.0:
        move(s, p, o, s.ex_peak, s.trough_x)
    settle(s, p)


def longest(record: float, above: float, fades: float, told: bool) -> float:
    """Keep the record of a duration; what was reported as unusual moves it little."""
    if above > record:
        return record + 0.25 * (above - record) if told else above
    return record - fades * record


def alike(s: Channel, above: float, rise: float) -> bool:
    """Whether a slow disturbance is of the size of most of them."""
    coarse = s.spacing if s.spacing > 330.0 else 0.0
    share = 0.4 if s.spacing <= 330.0 else 0.2
    return (
        share * s.df_rise < rise
        and share * rise < s.df_rise
        and 0.4 * s.df_above - coarse < above < 2.5 * s.df_above + coarse
    )


def plain(s: Channel, above: float, rise: float) -> bool:
    """Whether it is a defrost without any doubt, however soon after the last one."""
    return s.n_slow >= 8.0 and alike(s, above, rise) and above > 0.6 * s.df_above and rise > 0.6 * s.df_rise


def usual(s: Channel, above: float, rise: float) -> None:
    """Height and duration of most slow disturbances: steps of one size, so that few strange ones count little."""
    n = s.n_slow
    s.n_slow = n + 1.0
    if n == 0.0:
        s.df_above = above
        s.df_rise = rise
        return
    share = 0.25 if n < 8.0 else 0.12 if n < 24.0 else 0.06
    s.df_above += within(above - s.df_above, -share * s.df_above, share * s.df_above)
    s.df_rise += within(rise - s.df_rise, -share * s.df_rise, share * s.df_rise)
    if n >= 3.0:
        s.df_above_dev += (within(absolute(above - s.df_above), 0.0, s.df_above) - s.df_above_dev) * 0.1


def defrosted(s: Channel, o: Notices, above: float) -> None:
    """Learn from a finished defrost: interval, recovery, level since the one before."""
    s.n_defrost += 1.0
    if s.last_cross == s.last_cross:
        interval(s, o, s.ex_cross - s.last_cross)
    s.last_cross = s.ex_cross
    s.maybe = s.ex_cross
    tell(s, o, MISSING, False, s.maybe, 0.0, 0.0, missing_limit(s), s.n_interval)
    recovery(s, o, (s.now - s.ex_peak_t) / larger(s.ex_peak - s.hi, 0.1))
    if s.seg_w > 3600.0:
        between(s, o, s.seg_sum / s.seg_w)
    s.seg_sum = 0.0
    s.seg_w = 0.0


def missing_limit(s: Channel) -> float:
    """After how long without any defrost one is missing (s)."""
    return larger(larger(1.6 * s.iv_mean, s.iv_mean + 5.0 * s.iv_dev), 1.35 * s.iv_max)


def regular(s: Channel) -> bool:
    """Whether defrosts come evenly enough to miss one."""
    return s.now > 5.0 * DAY and s.iv_dev < (0.35 if s.spacing <= 330.0 else 0.15) * s.iv_mean


def interval(s: Channel, o: Notices, took: float) -> None:
    """Time from one defrost to the next."""
    n = s.n_interval
    if n >= 6.0 and took < 0.62 * s.iv_min:
        s.n_close += 1.0
        if s.n_close >= 3.0:
            tell(s, o, FREQUENT, True, s.last_cross, took, 0.62 * s.iv_min, s.iv_max, n)
        if s.n_close < 24.0:
            return
        # It has been so for long: somebody wants it so.
        s.iv_min = took
    s.n_close = 0.0
    tell(s, o, FREQUENT, False, s.last_cross, took, 0.62 * s.iv_min, s.iv_max, n)
    if n >= 6.0:
        took = within(took, 0.4 * s.iv_mean, 2.5 * s.iv_mean)
    weight = 1.0 / (n + 1.0) if n < 15.0 else 0.0625
    s.n_interval = n + 1.0
    s.iv_dev += (absolute(took - s.iv_mean) - s.iv_dev) * (weight if n >= 1.0 else 0.0)
    s.iv_mean += (took - s.iv_mean) * weight
    s.iv_max = took if took > s.iv_max else s.iv_max - 0.01 * s.iv_max
    if n == 0.0:
        s.iv_min = took
    else:
        s.iv_min += (took - s.iv_min) * (0.4 if took < s.iv_min else 0.03)


def recovery(s: Channel, o: Notices, pace: float) -> None:
    """Seconds for each kelvin of the way back after a defrost; they grow when the coil ices up."""
    n = s.n_pace
    if n >= 8.0:
        z = within((pace - s.pace_ref) / larger(s.pace_dev, 0.15 * s.pace_ref), -2.0, 3.0)
        s.pace_sum = larger(s.pace_sum + z - 0.75, 0.0)
        s.pace_now += (pace - s.pace_now) * 0.25
        pace = within(pace, 0.4 * s.pace_ref, 2.0 * s.pace_ref)
        weight = 0.05 if s.pace_sum < 2.0 else 0.01
        if n < 20.0:
            weight = 1.0 / (n + 1.0)
    else:
        weight = 1.0 / (n + 1.0)
        s.pace_now = pace
    s.n_pace = n + 1.0
    s.pace_dev += (absolute(pace - s.pace_ref) - s.pace_dev) * (weight if n >= 1.0 else 0.0)
    s.pace_ref += (pace - s.pace_ref) * weight
    slow: bool = s.pace_sum >= 6.0 and s.pace_now > 1.3 * s.pace_ref
    if slow:
        tell(s, o, ICING, True, s.ex_start, s.pace_now, 0.0, 1.3 * s.pace_ref, n)
    elif s.pace_sum < 1.0 and s.pace_now < 1.15 * s.pace_ref and s.up_n < 3.0:
        tell(s, o, ICING, False, s.ex_start, s.pace_now, 0.0, 1.3 * s.pace_ref, n)


def between(s: Channel, o: Notices, level: float) -> None:
    """Level between two defrosts: a rise with each of them, not in one step."""
    s.n_level += 1.0
    if s.n_level <= 1.0:
        s.level = level
        s.up_from = level
        return
    d = level - s.level
    s.level = level
    if d < -0.05:
        s.up_n = 0.0
        s.up_from = level
        s.up_most = 0.0
    else:
        if d > 0.05:
            s.up_n += 1.0
        if d > s.up_most:
            s.up_most = d
    rise = level - s.up_from
    if s.up_n >= 4.0 and rise > larger(0.6, 6.0 * s.level_dev) and s.up_most < 0.6 * rise and s.n_level > 8.0:
        tell(s, o, ICING, True, s.ex_start, level, s.up_from, s.up_from + larger(0.6, 6.0 * s.level_dev), s.n_level)
    s.level_dev += (within(absolute(d), 0.0, 0.5) - s.level_dev) * (1.0 / s.n_level if s.n_level < 20.0 else 0.05)


def turning(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """Find turning points: a value that has come back far enough confirms the extreme before it."""
    if s.z_dir > 0.0:
        if x > s.z_x:
            s.z_x = x
            s.z_t = s.now
        elif x < s.z_x - s.back:
            s.z_dir = -1.0
            peaked(s, p, o)
            s.z_x = x
            s.z_t = s.now
    elif s.z_dir < 0.0:
        if x < s.z_x:
            s.z_x = x
            s.z_t = s.now
        elif x > s.z_x + s.back:
            s.z_dir = 1.0
            troughed(s, p, o)
            s.z_x = x
            s.z_t = s.now
    else:
        if x > s.z_x:
            s.z_x = x
            s.z_t = s.now
        if x < s.z_low:
            s.z_low = x
            s.z_low_t = s.now
        if x < s.z_x - s.back:
            s.z_dir = -1.0
            s.peak_x = s.z_x
            s.peak_t = s.z_t
            s.z_x = x
            s.z_t = s.now
        elif x > s.z_low + s.back:
            s.z_dir = 1.0
            s.trough_x = s.z_low
            s.trough_t = s.z_low_t
            s.z_x = x
            s.z_t = s.now


def turn(s: Channel) -> None:
    """Something turned: learn how long it may take until it does."""
    quiet = s.now - s.turned
    if not active(s, UNSATISFIED):
        if quiet > s.quiet_max and s.mode == 0.0 and s.ex_end <= s.turned:
            s.quiet_max = within(quiet, 0.0, 2.0 * s.quiet_max + 3600.0)
        else:
            s.quiet_max -= s.quiet_max * (within(quiet, 0.0, DAY) * 5.8e-7)
    s.turned = s.now


def swing(s: Channel, p: Kind, o: Notices, size: float, took: float) -> None:
    """Half an oscillation: several in a row that are far too large, at an even pace, are hunting."""
    held = width(s, p)
    even: bool = 0.5 * s.big_took < took < 2.0 * s.big_took and s.now - s.fast_t > 2.0 * took
    known: bool = s.n_hi >= 20.0 or s.n_span >= 24.0
    if size > 2.2 * held and size > held + 6.0 * s.hi_dev and known:
        s.big_t = s.now
        if even:
            s.n_big += 1.0
            if s.n_big >= 8.0:
                s.n_big = 8.0
                tell(s, o, HUNTING, True, s.now - 8.0 * took, size, 0.0, 2.2 * held, s.n_hi)
    elif s.n_big > 0.0:
        s.n_big = larger(s.n_big - 2.0, 0.0)
    s.big_took = took


def follow(s: Channel, p: Kind, e: float) -> float:
    """How far a learned extreme moves towards a new one."""
    n = s.n_hi
    if n < 6.0:
        return e / (n + 1.0)
    limit = 4.0 * s.hi_dev + 0.25 * width(s, p)
    return 0.2 * within(e, -limit, limit)


def peaked(s: Channel, p: Kind, o: Notices) -> None:
    """A peak is certain."""
    s.peak_x = s.z_x
    s.peak_t = s.z_t
    turn(s)
    rise = s.peak_x - s.trough_x
    up = s.peak_t - s.trough_t
    swing(s, p, o, rise, up)
    if s.mode != 0.0 or s.n_big >= 3.0 or s.peak_t - s.ex_end < 300.0:
        return
    e = s.peak_x - s.hi
    s.n_again = 0.0
    s.hi += follow(s, p, e)
    if s.n_hi >= 4.0:
        s.hi_dev += (within(absolute(e), 0.0, 2.0 * s.hi_dev + 0.1 * width(s, p)) - s.hi_dev) * 0.0625
    s.n_hi += 1.0
    settle(s, p)
    if s.trough_t > s.ex_end and up > 0.0:
        pace = rise / up
        if s.n_cycle < 6.0:
            s.warm += (pace - s.warm) * 0.3
        else:
            s.warm += (within(pace, 0.3 * s.warm, 2.0 * s.warm) - s.warm) * 0.0625


def troughed(s: Channel, p: Kind, o: Notices) -> None:
    """A trough is certain: a cycle is complete."""
    before = s.trough_t
    s.trough_x = s.z_x
    s.trough_t = s.z_t
    turn(s)
    fall = s.peak_x - s.trough_x
    down = s.trough_t - s.peak_t
    took = s.trough_t - before
    swing(s, p, o, fall, down)
    if s.mode != 0.0:
        if s.ex_fast <= s.ex_mark + s.least:
            s.ex_falls += 1.0
            if s.ex_falls >= 4.0:
                moved(s, p, o)
        s.ex_mark = s.ex_fast
        return
    if s.w_kind > 0.0:
        if s.trough_x < s.w_low:
            s.w_low = s.trough_x
        label(s, o)
    if s.n_big >= 3.0:
        return
    s.lo += follow(s, p, s.trough_x - s.lo)
    settle(s, p)
    if before < s.ex_end or took <= 0.0:
        s.n_short = 0.0
        return
    cycle(s, p, o, took, down)


def cycle(s: Channel, p: Kind, o: Notices, took: float, down: float) -> None:
    """A cycle without any disturbance: period, duty, and whether it is far too short."""
    n = s.n_cycle
    if p.room > 0.0 and n >= 30.0 and 3.0 * s.spacing < took < 0.45 * s.period:
        s.n_short += 1.0
        if s.n_short >= 8.0:
            tell(s, o, SHORT_CYCLES, True, s.trough_t - 8.0 * took, took, 0.45 * s.period, s.period, n)
        return
    s.n_short = 0.0
    tell(s, o, SHORT_CYCLES, False, s.trough_t, took, 0.45 * s.period, s.period, n)
    weight = 1.0 / (n + 1.0) if n < 32.0 else 0.03125
    if n >= 10.0:
        took = within(took, 0.4 * s.period, 2.5 * s.period)
        down = within(down, 0.0, took)
    s.period += (took - s.period) * weight
    s.duty += (down / took - s.duty) * weight
    s.n_cycle = n + 1.0


def move(s: Channel, p: Kind, o: Notices, high: float, low: float) -> None:
    """The compressor cycles as ever, at another level: not a disturbance, the level has moved."""
    back = s.t_last - s.now
    put(o, s, MOVED, 2.0, s.t_last, s.ex_start + back, s.ex_peak_t + back, s.t_last, 0.5 * (s.hi + s.lo),
        0.5 * (high + low), 0.0, 0.0, 1.0)  # fmt: skip
    s.hi = high
    s.lo = low
    s.n_again = 0.0
    s.maybe = s.now
    s.last_cross = NAN
    settle(s, p)


def moved(s: Channel, p: Kind, o: Notices) -> None:
    """Several cycles within a disturbance."""
    move(s, p, o, s.peak_x, s.trough_x)
    s.mode = 0.0
    s.flag = 0.0
    s.ex_end = s.now
    tell(s, o, DOOR_OPEN, False, s.ex_start, s.peak_x, s.lo, s.hi, s.n_door)
    tell(s, o, NO_RETURN, False, s.ex_start, s.peak_x, s.lo, s.hi, s.n_defrost)


def watch(s: Channel, p: Kind, o: Notices, x: float) -> None:
    """What follows from time passing: a defrost that does not come, a compressor that never stops."""
    s.look = s.now + 300.0
    if active(s, JUMP) and s.now - s.jump_on > DAY:
        tell(s, o, JUMP, False, s.jump_on, x, s.lo, s.hi, s.now)
    if active(s, HUNTING) and s.now - s.big_t > (7200.0 if p.room > 0.0 else 1800.0):
        s.n_big = 0.0
        tell(s, o, HUNTING, False, s.big_t, x, 0.0, 2.2 * width(s, p), s.n_hi)
    if p.room == 0.0 or s.now - s.flat_since > 1800.0:
        return
    if s.now - s.maybe > missing_limit(s) and s.n_interval >= 8.0 and s.mode == 0.0 and regular(s):
        tell(s, o, MISSING, True, s.maybe, s.now - s.maybe, 0.0, missing_limit(s), s.n_interval)
    quiet = s.now - s.turned
    if quiet < 7200.0:
        if s.mode == 0.0:
            tell(s, o, UNSATISFIED, False, s.turned, x, s.lo, s.hi, s.n_cycle)
        return
    if s.mode == 0.0 and resolved(s) and quiet > larger(larger(8.0 * s.period, 14400.0), 1.5 * s.quiet_max):
        if x > s.lo + 0.25 * (s.hi - s.lo):
            tell(s, o, UNSATISFIED, True, s.turned, quiet, 0.0, larger(8.0 * s.period, 14400.0), s.n_cycle)


def block(s: Channel, p: Kind, o: Notices) -> None:
    """Two hours (a room) are over: their mean, their range."""
    mean = NAN
    if s.b_w > 0.4 * p.block:
        mean = s.b_sum / s.b_w
        faded(s, p, o)
        if s.now - s.turned > 2.0 * p.block and s.mode == 0.0:
            # Nothing turns: a product, a process at rest. The band follows the blocks.
            s.hi += 0.3 * (s.b_max - s.hi)
            s.lo += 0.3 * (s.b_min - s.lo)
            if s.n_hi < 4.0:
                s.n_hi += 1.0
            settle(s, p)
    s.seg_sum += s.b_sum
    s.seg_w += s.b_w
    if p.room > 0.0:
        drift(s, o, mean)
    push(s, mean)
    while s.now >= s.b_end:
        s.b_end += p.block
    s.b_sum = 0.0
    s.b_w = 0.0
    s.b_min = s.b_x
    s.b_max = s.b_x


def faded(s: Channel, p: Kind, o: Notices) -> None:
    """The range of a block far below all that was: a probe in the product, or covered."""
    span = s.b_max - s.b_min
    if span == 0.0 or active(s, HUNTING):
        return
    if s.n_span >= 24.0 and span < 0.5 * s.span_min and span < 0.35 * s.span:
        s.n_faint += 1.0
        if s.n_faint >= 4.0 and not active(s, STUCK):
            tell(s, o, FADED, True, s.now - s.n_faint * p.block, span, 0.5 * s.span_min, s.span, s.n_span)
        return
    s.n_faint = 0.0
    tell(s, o, FADED, False, s.now, span, 0.5 * s.span_min, s.span, s.n_span)
    n = s.n_span
    s.n_span = n + 1.0
    s.span += (span - s.span) * (1.0 / (n + 1.0) if n < 24.0 else 0.0417)
    s.span_min = span if span < s.span_min else s.span_min + 0.004 * (s.span - s.span_min)


def drift(s: Channel, o: Notices, mean: float) -> None:
    """Block means against those of the day before: three rises in a row over twelve hours and more are a drift."""
    d = mean - s.ring[int(s.slot)]
    if d != d:
        s.pairs = 0.0
        return
    if s.pairs == 0.0:
        s.half = d
        s.pairs = 1.0
        s.pair0 = NAN
        s.pair1 = NAN
        s.pair2 = NAN
        return
    if s.pairs == 1.0:
        s.pairs = 2.0
        now = 0.5 * (s.half + d)
        a = now - s.pair2
        b = s.pair2 - s.pair1
        c = s.pair1 - s.pair0
        s.pair0 = s.pair1
        s.pair1 = s.pair2
        s.pair2 = now
        if a == a:
            s.n_drift += 1.0
            dev = within(absolute(a), 0.0, 0.6)
            sign = 1.0 if now > 0.0 else -1.0
            total = (a + b + c) * sign
            each = larger(larger(0.15, 0.75 * s.drift_dev), 0.18 * total)
            if (
                a * sign > each
                and b * sign > each
                and c * sign > each
                and total > larger(0.8, 4.0 * s.drift_dev)
                and now * sign > larger(0.8, 4.0 * s.drift_dev)
                and s.n_drift > 6.0
            ):
                tell(s, o, DRIFT, True, s.now - 57600.0, now, -0.8, larger(0.8, 4.0 * s.drift_dev), s.n_drift)
            elif now * sign < 0.4:
                tell(s, o, DRIFT, False, s.now, now, -0.8, larger(0.8, 4.0 * s.drift_dev), s.n_drift)
            s.drift_dev += (dev - s.drift_dev) * (1.0 / s.n_drift if s.n_drift < 20.0 else 0.05)
        return
    s.pairs = 1.0
    s.half = d
