"""The arithmetic of the anomaly detectors in readable words: the twin of ``anomaly_core.h``.

A value is turned into fourteen statistics (level, short mean, rate, spread, noise, drift, ...). Each has a band
that it has learned from the channel's own past. How far outside it lies, in widths of the band, is its exceedance;
all exceedances together become one score. docs/anomaly.md tells the reader of a score what it means.

Both twins return the same bits for the same values, on every processor: the arithmetic is + - * / sqrt and
comparisons in the order written here, and any change has to be made in both.
"""

from math import nan, sqrt

from gateway_core.anomaly_state import CYCLE_BINS, DAY_BINS, UNSET, WEEK_BINS, State
from gateway_core.anomaly_words import STATISTICS, THRESHOLD, Config, Verdict

__all__ = ["update"]

(LEVEL, MEAN, RATE, SPREAD, NOISE, DRIFT, CUSUM, DAILY, DAILY_MEAN, WEEKLY, CYCLE, PEAK, TROUGH, FLAT) = range(
    len(STATISTICS)
)

DIRECT = frozenset((LEVEL, RATE, DAILY, WEEKLY, CYCLE, PEAK, TROUGH))
"""Statistics in which a single value shows: one step of the sensor's resolution beyond the band is nothing."""

HOUR_S, DAY_S, WEEK_S = 3600.0, 86400.0, 604800.0
WEEK_HOURS, WEEK_BIN_HOURS = 168, 3
LARGEST = 1e100
"""Beyond this a value is no measurement."""
LARGEST_TIME = 1e15
HIGHEST = 1e9
"""Ceiling of an exceedance in widths."""
GAP = 3.0
"""After so many usual intervals something is missing."""
NEAR = 1.5
"""Up to so many usual intervals the change from value to value can be compared with others."""
WORSE = 2.0
"""In a refractory time only what is so many times as far outside as what was said is worth saying."""
CLAMP = 4.0
"""A single value counts at most so many spreads in the cumulative sum."""


class _View:
    """What one value amounts to: time that counts, change to the value before, and the statistics to be judged."""

    def __init__(self) -> None:
        self.gap = False
        self.near = False
        self.step = self.jump = self.floor = 0.0
        self.day_bin = self.week_bin = 0
        self.cycle_bin = -1
        self.value: dict[int, float] = {}


def update(c: Config, s: State, t: float, x: float, *, usable: bool, expected: bool) -> float:
    """Take one value in. Returns the score, NaN where the value is not judged."""
    if not usable or not abs(x) <= LARGEST or not abs(t) <= LARGEST_TIME:
        s.skipped += 1.0
        s.verdict = float(Verdict.NOT_JUDGED)
        return nan
    if s.samples == 0.0:
        _first(s, t, x, expected)
        return 0.0
    if t == s.t:
        s.duplicates += 1.0
        s.verdict = float(Verdict.NOT_JUDGED)
        return nan
    v = _View()
    _arrive(s, v, t)
    v.jump = x - s.x
    v.floor = c.floor * abs(x) + 1e-200
    size = abs(v.jump)
    if size != 0.0 and (s.grain == 0.0 or size < s.grain):
        s.grain = size
    s.flat = s.flat + v.step if v.jump == 0.0 else 0.0
    s.x = x
    s.held = 1.0 if expected else 0.0
    if expected:
        return _excuse(c, s, v, x)

    s.settled += v.step
    _shares(c, s, v.step)
    _measure(c, s, v, x)
    outside, worst, total = _hold(c, s, v)
    s.score = s.exceedance = 0.0
    if s.settled < c.warm_up_s:
        s.verdict = float(Verdict.WARMING)
    elif worst > 0.0:
        _note(c, s, v, worst)
        s.score = _decide(c, s, worst, total)
    else:
        s.verdict = float(Verdict.HELD if s.observed < s.refractory_until else Verdict.NORMAL)
    if worst == 0.0:
        s.outside = 0.0
    alarmed = s.verdict in {Verdict.ADVISORY, Verdict.HELD}
    _teach(c, s, v, outside, alarmed)
    if not (alarmed and outside):
        _learn(c, s, v, x)
    return s.score


def _share(dt: float, tau: float) -> float:
    """Share of a new value in an average with time constant tau: rational, so that no exponential is needed."""
    return dt / (tau + dt)


def _larger(a: float, b: float) -> float:
    """The larger of two, the second where they are equal: `max` would choose the other sign of zero."""
    return a if a > b else b


def _hour(t: float) -> float:
    """Hours since the epoch, rounded down."""
    hours = t / HOUR_S
    whole = float(int(hours))
    return whole - 1.0 if whole > hours else whole


def _phase(hour: float, hours: int) -> int:
    """Where in a cycle of ``hours`` an hour is, from 0."""
    return int(hour) % hours


def _first(s: State, t: float, x: float, expected: bool) -> None:
    s.samples = 1.0
    s.first_t = s.t = t
    s.x = s.mean = s.middle = s.base = s.peak = s.trough = x
    s.held = 1.0 if expected else 0.0
    s.verdict = float(Verdict.EXPECTED if expected else Verdict.WARMING)


def _forget_profiles(s: State) -> None:
    s.day = [UNSET] * DAY_BINS
    s.week = [UNSET] * WEEK_BINS
    s.profile_s = s.day_mean = 0.0


def _end_visits(s: State) -> None:
    s.hour = UNSET
    s.day_sum = s.day_s = s.week_sum = s.week_s = 0.0


def _arrive(s: State, v: _View, t: float) -> None:
    """Time goes on: how much of it counts, and whether the neighbours still speak for this value.

    A gap counts as `GAP` usual intervals. A step back means that the time base was set anew: it counts as one
    interval, and if it is more than an hour, the time of day is another one and the profiles are void.
    """
    dt = t - s.t
    if dt < 0.0:
        s.set_back += 1.0
        v.gap = True
        _end_visits(s)
        if dt < -HOUR_S - 1.0:
            _forget_profiles(s)
        s.outside = 0.0
        dt = s.interval if s.interval > 0.0 else 1.0
    if s.interval == 0.0:
        s.interval = dt
    v.step = dt
    if dt > GAP * s.interval:
        v.step = GAP * s.interval
        s.gaps += 1.0
        v.gap = True
    v.near = not v.gap and s.held == 0.0 and dt <= NEAR * s.interval
    if v.gap:
        s.side = 0.0
        s.crossed_t = UNSET
    s.interval += 0.02 * (v.step - s.interval)
    s.samples += 1.0
    s.t = t
    s.observed += v.step


def _shares(c: Config, s: State, dt: float) -> None:
    """The share that a new value has in each average. While little is known it is that of a plain mean."""
    if s.settled < c.long_s:
        plain = _share(dt, s.settled)
        s.short_share = _larger(_share(dt, c.short_s), plain)
        s.medium_share = _larger(_share(dt, c.medium_s), plain)
        s.long_share = _larger(_share(dt, c.long_s), plain)
        s.noise_share = _larger(_share(dt, c.noise_s), plain)
        s.peak_share = _larger(_share(dt, c.peak_s), plain)
        s.shares_of = 0.0
    elif dt != s.shares_of:
        s.short_share = _share(dt, c.short_s)
        s.medium_share = _share(dt, c.medium_s)
        s.long_share = _share(dt, c.long_s)
        s.noise_share = _share(dt, c.noise_s)
        s.peak_share = _share(dt, c.peak_s)
        s.shares_of = dt


def _measure(c: Config, s: State, v: _View, x: float) -> None:
    """All statistics of this value that can be judged."""
    _visit(c, s, v)
    f = v.value
    if s.day[v.day_bin] != UNSET:
        f[DAILY] = x - s.day[v.day_bin]
    if s.week[v.week_bin] != UNSET:
        f[WEEKLY] = x - s.week[v.week_bin]
    _follow(c, s, v, x)
    _turn(c, s, v, x)
    if v.cycle_bin >= 0 and s.cycle[v.cycle_bin] != UNSET:
        f[CYCLE] = x - s.cycle[v.cycle_bin]
    f[LEVEL] = x
    f[MEAN] = s.mean
    f[FLAT] = s.flat
    if DAILY in f:
        f[DAILY_MEAN] = s.day_mean
    if v.near:
        f[RATE] = v.jump
    if s.settled > c.short_s:
        f[SPREAD] = s.spread
        f[DRIFT] = s.mean - s.middle
    if s.settled > c.noise_s:
        f[NOISE] = s.noise
    if s.settled > c.medium_s:
        f[CUSUM] = s.up if s.up > s.down else -s.down
    if s.settled > c.peak_s:
        f[PEAK] = s.peak
        f[TROUGH] = s.trough


def _visit(c: Config, s: State, v: _View) -> None:
    """Which bins of the day and of the week this is; a visit that has ended becomes part of its bin."""
    into = s.t - s.hour * HOUR_S
    if s.hour == UNSET:
        s.hour = _hour(s.t)
    elif v.gap or into < 0.0 or into >= HOUR_S:
        hour = _hour(s.t)
        week_bin = _phase(s.hour, WEEK_HOURS) // WEEK_BIN_HOURS
        if s.day_s > 0.0:
            _merge(s.day, _phase(s.hour, DAY_BINS), s.day_sum / s.day_s, 1.0 + s.profile_s / DAY_S, c.day_visits)
        s.day_sum = s.day_s = 0.0
        if v.gap or _phase(hour, WEEK_HOURS) // WEEK_BIN_HOURS != week_bin:
            if s.week_s > 0.0:
                _merge(s.week, week_bin, s.week_sum / s.week_s, 1.0 + s.profile_s / WEEK_S, c.week_visits)
            s.week_sum = s.week_s = 0.0
        s.hour = hour
    v.day_bin = _phase(s.hour, DAY_BINS)
    v.week_bin = _phase(s.hour, WEEK_HOURS) // WEEK_BIN_HOURS


def _merge(bins: list[float], bin_: int, mean: float, visits: float, most: float) -> None:
    if bins[bin_] == UNSET:
        bins[bin_] = mean
    else:
        bins[bin_] += (mean - bins[bin_]) / min(visits, most)


def _follow(c: Config, s: State, v: _View, x: float) -> None:
    """The running statistics of the stream take the value in."""
    r = x - s.mean
    s.mean += s.short_share * r
    s.spread += s.short_share * (abs(r) - s.spread)
    if DAILY in v.value:
        s.day_mean += s.short_share * (v.value[DAILY] - s.day_mean)

    s.middle += s.medium_share * (x - s.middle)

    r = x - s.base
    u = r / (s.base_spread + v.floor)
    u = CLAMP if u > CLAMP else -CLAMP if u < -CLAMP else u
    s.base += s.long_share * r
    s.base_spread += s.long_share * (abs(r) - s.base_spread)
    s.up = _larger(s.up + s.medium_share * (u - c.allowance), 0.0)
    s.down = _larger(s.down - s.medium_share * (u + c.allowance), 0.0)

    s.peak = _larger(s.peak - s.peak_share * (s.peak - s.middle), x)
    s.trough += s.peak_share * (s.middle - s.trough)
    s.trough = min(s.trough, x)

    if v.near:
        s.noise += s.noise_share * (abs(v.jump) - s.noise)


def _turn(c: Config, s: State, v: _View, x: float) -> None:
    """The channel's own cycle: time between upward crossings of the base, and the phase of this value in it."""
    reach = c.hysteresis * s.base_spread
    if s.side >= 0.0 and x < s.base - reach:
        s.side = -1.0
    elif s.side <= 0.0 and x > s.base + reach:
        if s.side < 0.0:
            if s.crossed_t != UNSET:
                length = s.t - s.crossed_t
                s.crossings += 1.0
                weight = min(s.crossings, c.cycle_visits)
                s.period_spread += (abs(length - s.period) - s.period_spread) / weight
                s.period += (length - s.period) / weight
            s.crossed_t = s.t
        s.side = 1.0
    if s.crossings >= 4.0 and s.crossed_t != UNSET and s.period_spread < c.regularity * s.period:
        phase = (s.t - s.crossed_t) / s.period
        if 0.0 <= phase < 1.0:
            v.cycle_bin = int(phase * CYCLE_BINS)


def _beyond(s: State, k: int, f: float) -> float:
    """How far outside its band a statistic lies (zero or less: inside)."""
    return f - s.high[k] if f > s.high[k] else s.low[k] - f


def _side(s: State, k: int, f: float) -> int:
    """Place of the mark of a statistic: below its band, or above."""
    return 2 * k + (1 if f > s.high[k] else 0)


def _mark(c: Config, s: State, side: int) -> float:
    """How far outside it was when it was alarmed. It holds for a time and fades then."""
    mark, age = s.mark[side], s.observed - s.marked_at[side]
    return mark * (c.mark_s / age) if age > c.mark_s else mark


def _widths(c: Config, s: State, v: _View, k: int, beyond: float) -> float:
    """Exceedance in widths. Sizes (spread, noise) are held against their own size; and no band counts as narrower
    than a share of the band of the level, for what is small beside it does not matter.
    """
    if k == FLAT:
        z = c.flat_weight * (beyond / (s.high[k] + c.flat_s))
    else:
        width = s.high[k] if k in {SPREAD, NOISE} else s.high[k] - s.low[k]
        whole = 2.0 * CLAMP if k == CUSUM else s.high[LEVEL] - s.low[LEVEL]
        z = beyond / (width + c.relevance * whole + v.floor)
    return min(z, HIGHEST)


def _hold(c: Config, s: State, v: _View) -> tuple[list[int], float, float]:
    """Hold every statistic against its band: which are outside, the worst in widths, and the sum of squares."""
    outside: list[int] = []
    worst = total = 0.0
    warm = s.settled < c.warm_up_s
    s.fired = -1.0
    for k, f in sorted(v.value.items()):
        if s.learned[k] == 0.0:
            s.low[k] = 0.0 if k == FLAT else f
            s.high[k] = f
            s.learned[k] = v.step
            continue
        beyond = _beyond(s, k, f)
        if beyond > 0.0:
            outside.append(k)
            if not warm and s.learned[k] >= c.warm_up_s:
                z = beyond - _mark(c, s, _side(s, k, f))
                if k in DIRECT:
                    z -= s.grain
                if z > 0.0:
                    z = _widths(c, s, v, k, z)
                    total += z * z
                    if z > worst:
                        worst = z
                        s.fired = float(k)
    return outside, worst, total


def _note(c: Config, s: State, v: _View, worst: float) -> None:
    k = int(s.fired)
    s.fired_value = v.value[k]
    s.fired_low = s.low[k]
    s.fired_high = s.high[k]
    s.fired_mark = _mark(c, s, _side(s, k, v.value[k]))
    s.fired_widths = worst
    if s.outside == 0.0:
        s.outside = 1.0
        s.outside_t = s.t


def _excuse(c: Config, s: State, v: _View, x: float) -> float:
    """A labelled excursion: neither alarmed nor taught; only whether its level would have fired is counted."""
    beyond = _beyond(s, LEVEL, x) - _mark(c, s, _side(s, LEVEL, x)) - s.grain
    s.fired = -1.0
    s.outside = s.exceedance = s.score = 0.0
    s.verdict = float(Verdict.EXPECTED)
    if s.learned[LEVEL] >= c.warm_up_s and beyond > 0.0 and _widths(c, s, v, LEVEL, beyond) >= c.threshold:
        s.explained += 1.0
    return 0.0


def _decide(c: Config, s: State, worst: float, total: float) -> float:
    """From exceedances to a verdict: maturity, budget, refractory time. Returns the score."""
    q = s.settled / c.warm_up_s
    held = s.observed < s.refractory_until
    s.verdict = float(Verdict.HELD if held else Verdict.NORMAL)
    z = worst + c.agreement * (sqrt(total) - worst)
    z = z * (q / (q + c.maturity))
    s.exceedance = z
    recent = s.recent * (c.budget_s / (c.budget_s + (s.observed - s.recent_at)))
    z = z / (1.0 + c.budget * recent)
    if held:
        if z >= c.threshold:
            s.suppressed += 1.0
        z = z / _larger(c.breakthrough, WORSE * s.said / c.threshold)
    score = 1.0 - c.threshold / (z + c.threshold)
    if score >= THRESHOLD:
        s.verdict = float(Verdict.ADVISORY)
        s.advisories += 1.0
        s.advisory_t = s.t
        s.said = s.exceedance
        s.recent = recent + 1.0
        s.recent_at = s.observed
        s.refractory_until = s.observed + c.refractory_s
    return score


def _teach(c: Config, s: State, v: _View, outside: list[int], alarmed: bool) -> None:
    """What lies outside and was not alarmed is the stream's own record: the band gives way, at once while it is
    still learning, slowly later, so that what creeps is not followed. What was alarmed only leaves a mark.
    """
    for k in outside:
        f = v.value[k]
        beyond = _beyond(s, k, f)
        side = _side(s, k, f)
        mark = _mark(c, s, side)
        if alarmed:
            mark = _larger(mark, beyond)
        else:
            beyond *= 1.0 if s.learned[k] < c.warm_up_s else _share(v.step, c.teach_s)
            mark = _larger(mark - beyond, 0.0)
            if f > s.high[k]:
                s.high[k] += beyond
            else:
                s.low[k] -= beyond
        s.mark[side] = mark
        s.marked_at[side] = s.observed


def _learn(c: Config, s: State, v: _View, x: float) -> None:
    """Values that are neither alarmed nor expected teach the profiles."""
    for k in v.value:
        s.learned[k] += v.step
    s.profile_s += v.step
    s.day_sum += x * v.step
    s.day_s += v.step
    s.week_sum += x * v.step
    s.week_s += v.step
    if v.cycle_bin >= 0:
        if s.cycle[v.cycle_bin] == UNSET:
            s.cycle[v.cycle_bin] = x
        else:
            share = _share(v.step, c.cycle_visits * (s.period / CYCLE_BINS))
            s.cycle[v.cycle_bin] += share * (x - s.cycle[v.cycle_bin])
