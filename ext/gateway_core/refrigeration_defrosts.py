"""What is learned from defrosts: size, interval, recovery, the level between them."""

from gateway_core.refrigeration_base import absolute, larger, tell, within
from gateway_core.refrigeration_state import DAY, FREQUENT, ICING, MISSING, Channel, Notices

__all__ = [
    "alike",
    "between",
    "defrosted",
    "expected",
    "interval",
    "longest",
    "missing_limit",
    "plain",
    "recovery",
    "regular",
    "usual",
]


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


def defrosted(s: Channel, o: Notices) -> None:
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
    return larger(larger(2.2 * s.iv_mean, s.iv_mean + 5.0 * s.iv_dev), 1.35 * s.iv_max)


def regular(s: Channel) -> bool:
    """Whether defrosts come evenly enough to miss one."""
    return s.now > 5.0 * DAY and s.iv_dev < (0.35 if s.spacing <= 90.0 else 0.15) * s.iv_mean


def expected(s: Channel, took: float) -> bool:
    """Whether a defrost may have come after this time; where they come by the clock, that is known well."""
    if s.n_interval < 8.0 or s.iv_dev > 0.1 * s.iv_mean:
        return True
    late = took - s.iv_mean if took < 1.5 * s.iv_mean else took - 2.0 * s.iv_mean
    return absolute(late) < 0.2 * s.iv_mean


def interval(s: Channel, o: Notices, took: float) -> None:
    """Time from one defrost to the next."""
    n = s.n_interval
    if n >= 6.0 and took < 0.62 * s.iv_min:
        s.n_close += 1.0
        if s.n_close >= 3.0 and regular(s):
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
    if s.spacing > 330.0:
        return
    n = s.n_pace
    if n >= 8.0:
        z = within(
            (pace - s.pace_ref) / larger(s.pace_dev, (0.15 if s.spacing <= 90.0 else 0.3) * s.pace_ref), -2.0, 3.0
        )
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
    limit = (1.3 if s.spacing <= 90.0 else 1.5) * s.pace_ref
    slow: bool = s.pace_sum >= 6.0 and s.pace_now > limit
    if slow:
        tell(s, o, ICING, True, s.ex_start, s.pace_now, 0.0, limit, n)
    elif s.pace_sum < 1.0 and s.pace_now < 1.15 * s.pace_ref and s.up_n < 3.0:
        tell(s, o, ICING, False, s.ex_start, s.pace_now, 0.0, limit, n)


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
