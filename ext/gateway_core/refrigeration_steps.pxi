# cython: language_level=3
"""Written by ``python -m gateway_core.translate`` from refrigeration_base.py to _steps.py; change those."""

from libc.math cimport NAN

cdef extern from *:
    """
    #define R_DAY 86400.0
    #define R_DEFROST 2.0
    #define R_DOOR 1.0
    #define R_DOOR_OPEN 4.0
    #define R_DRIFT 7.0
    #define R_FADED 10.0
    #define R_FREQUENT 3.0
    #define R_HUNTING 12.0
    #define R_ICING 11.0
    #define R_JUMP 9.0
    #define R_LONGEST 12.0
    #define R_MISSING 2.0
    #define R_MOVED 4.0
    #define R_NONE 0.0
    #define R_NO_RETURN 1.0
    #define R_OTHER 3.0
    #define R_SHORT_CYCLES 5.0
    #define R_STUCK 8.0
    #define R_UNSATISFIED 6.0
    """
    double DAY "R_DAY"
    double DEFROST "R_DEFROST"
    double DOOR "R_DOOR"
    double DOOR_OPEN "R_DOOR_OPEN"
    double DRIFT "R_DRIFT"
    double FADED "R_FADED"
    double FREQUENT "R_FREQUENT"
    double HUNTING "R_HUNTING"
    double ICING "R_ICING"
    double JUMP "R_JUMP"
    double LONGEST "R_LONGEST"
    double MISSING "R_MISSING"
    double MOVED "R_MOVED"
    double NONE "R_NONE"
    double NO_RETURN "R_NO_RETURN"
    double OTHER "R_OTHER"
    double SHORT_CYCLES "R_SHORT_CYCLES"
    double STUCK "R_STUCK"
    double UNSATISFIED "R_UNSATISFIED"

cdef struct Kind:
    double room
    double bucket
    double block
    double floor

cdef struct Channel:
    double t_last
    double now
    double spacing
    double flag
    double b_t
    double flat_x
    double flat_since
    double flat_due
    double acc_sum
    double acc_n
    double b_x
    double b_d
    double noise
    double r_t
    double r_x
    double q_t
    double q_x
    double look
    double b_end
    double top
    double back
    double least
    double warm
    double hi
    double lo
    double mode
    double z_dir
    double z_x
    double z_t
    double fast_t
    double b_sum
    double b_w
    double b_min
    double b_max
    double step_max
    double jump_t
    double w_kind
    double skipped
    double backward
    double flat_max
    double hi_dev
    double n_hi
    double z_low
    double z_low_t
    double trough_x
    double trough_t
    double peak_x
    double peak_t
    double turned
    double quiet_max
    double ex_start
    double ex_base
    double ex_fast
    double ex_peak
    double ex_peak_t
    double ex_cross
    double ex_falls
    double ex_slope
    double ex_end
    double ex_fast_t
    double ex_mark
    double n_again
    double slow_end
    double w_start
    double w_peak_t
    double w_end
    double w_base
    double w_peak
    double w_slope
    double w_low
    double w_sure
    double n_defrost
    double df_above
    double df_above_dev
    double df_rise
    double slow_max
    double n_slow
    double n_door
    double door_max
    double last_cross
    double maybe
    double n_interval
    double iv_mean
    double iv_dev
    double iv_max
    double iv_min
    double n_close
    double n_pace
    double pace_ref
    double pace_dev
    double pace_now
    double pace_sum
    double seg_sum
    double seg_w
    double n_level
    double level
    double level_dev
    double up_n
    double up_from
    double up_most
    double n_cycle
    double period
    double duty
    double n_short
    double n_big
    double big_took
    double big_t
    double jump_from
    double jump_to
    double jump_on
    double slot
    double pairs
    double half
    double pair0
    double pair1
    double pair2
    double n_drift
    double drift_dev
    double span
    double span_min
    double n_span
    double n_faint
    double ring[12]
    unsigned int active
    int index

cdef struct Notices:
    double *rows
    Py_ssize_t count
    Py_ssize_t room
    Py_ssize_t lost

cdef enum:
    ROW = 12
    MOST = 65536

cdef void put(
    Notices *o, Channel *s, double code, double state, double at,
    double a, double b, double c, double d, double e, double f, double g, double h,
) noexcept nogil:
    cdef double *row
    cdef Py_ssize_t room
    if o.count == o.room:
        room = 2 * o.room if o.room else 64
        row = <double *>realloc(o.rows, room * ROW * sizeof(double)) if o.count < MOST else NULL
        if row == NULL:
            o.lost += 1
            return
        o.rows = row
        o.room = room
    row = o.rows + o.count * ROW
    o.count += 1
    row[0] = s.index
    row[1] = code
    row[2] = state
    row[3] = at
    row[4] = a
    row[5] = b
    row[6] = c
    row[7] = d
    row[8] = e
    row[9] = f
    row[10] = g
    row[11] = h


cdef inline double larger(double a, double b) noexcept nogil:
    return b if b > a else a


cdef inline double absolute(double x) noexcept nogil:
    return larger(x, -x)


cdef inline double smaller(double a, double b) noexcept nogil:
    return b if b < a else a


cdef inline double within(double x, double low, double high) noexcept nogil:
    return smaller(larger(x, low), high)


cdef inline double width(Channel *s, const Kind *p) noexcept nogil:
    """Peak to trough of the usual cycle, never below what counts at all."""
    return larger(s.hi - s.lo, p.floor)


cdef inline double margin(Channel *s, const Kind *p) noexcept nogil:
    """How far above the usual peaks something has to be to count as a disturbance."""
    return larger(larger(0.12 * width(s, p), 3.0 * s.hi_dev), larger(1.2 * p.floor, 5.0 * s.noise))


cdef inline double reversal(Channel *s, const Kind *p) noexcept nogil:
    """How far a value has to turn back to be a turning point."""
    return larger(larger(0.35 * (s.hi - s.lo), p.floor), 4.0 * s.noise)


cdef void settle(Channel *s, const Kind *p) noexcept nogil:
    """Work out again what hangs on the learned peaks and troughs."""
    s.top = s.hi + margin(s, p)
    s.back = reversal(s, p)
    s.least = larger(larger(1.2 * p.floor, 0.12 * (s.hi - s.lo)), 6.0 * s.noise)


cdef bint cycling(Channel *s) noexcept nogil:
    """Whether the value goes up and down as a compressor makes it (air, not product)."""
    return s.n_cycle >= 20.0 and s.period <= 7200.0


cdef bint resolved(Channel *s) noexcept nogil:
    """Whether the samples are dense enough for the compressor's cycle."""
    return cycling(s) and 5.0 * s.spacing <= s.period


cdef inline bint active(Channel *s, double code) noexcept nogil:
    return (s.active & (1 << <int>code)) != 0


cdef void label(Channel *s, Notices *o) noexcept nogil:
    """Hand out the event that waits, with the undershoot that followed it."""
    back = s.t_last - s.now
    put(o, s, s.w_kind, 2.0, s.t_last, s.w_start + back, s.w_peak_t + back, s.w_end + back, s.w_base, s.w_peak,
          s.w_slope, s.lo - s.w_low, s.w_sure)
    s.w_kind = 0.0


cdef void tell(Channel *s, Notices *o, double code, bint on, double since, double value, double low, double high, double n) noexcept nogil:
    """A finding begins or ends; nothing is said while it stays as it is."""
    if on == active(s, code):
        return
    s.active ^= 1 << <int>code
    put(o, s, code, 1.0 if on else 0.0, s.t_last, since + (s.t_last - s.now), value, low, high, n, s.now, 0.0, 0.0)


cdef double follow(Channel *s, const Kind *p, double e) noexcept nogil:
    """How far a learned extreme moves towards a new one."""
    n = s.n_hi
    if n < 6.0:
        return e / (n + 1.0)
    limit = 4.0 * s.hi_dev + 0.25 * width(s, p)
    return 0.2 * within(e, -limit, limit)


cdef void move(Channel *s, const Kind *p, Notices *o, double high, double low) noexcept nogil:
    """The compressor cycles as ever, at another level: not a disturbance, the level has moved."""
    back = s.t_last - s.now
    put(o, s, MOVED, 2.0, s.t_last, s.ex_start + back, s.ex_peak_t + back, s.t_last, 0.5 * (s.hi + s.lo),
        0.5 * (high + low), 0.0, 0.0, 1.0)
    s.hi = high
    s.lo = low
    s.n_again = 0.0
    s.maybe = s.now
    s.last_cross = NAN
    settle(s, p)


cdef double longest(double record, double above, double fades, bint told) noexcept nogil:
    """Keep the record of a duration; what was reported as unusual moves it little."""
    if above > record:
        return record + 0.25 * (above - record) if told else above
    return record - fades * record


cdef bint alike(Channel *s, double above, double rise) noexcept nogil:
    """Whether a slow disturbance is of the size of most of them."""
    coarse = s.spacing if s.spacing > 330.0 else 0.0
    share = 0.4 if s.spacing <= 330.0 else 0.2
    return (
        share * s.df_rise < rise
        and share * rise < s.df_rise
        and 0.4 * s.df_above - coarse < above < 2.5 * s.df_above + coarse
    )


cdef bint plain(Channel *s, double above, double rise) noexcept nogil:
    """Whether it is a defrost without any doubt, however soon after the last one."""
    return s.n_slow >= 8.0 and alike(s, above, rise) and above > 0.6 * s.df_above and rise > 0.6 * s.df_rise


cdef void usual(Channel *s, double above, double rise) noexcept nogil:
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


cdef void defrosted(Channel *s, Notices *o) noexcept nogil:
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


cdef double missing_limit(Channel *s) noexcept nogil:
    """After how long without any defrost one is missing (s)."""
    return larger(larger(2.2 * s.iv_mean, s.iv_mean + 5.0 * s.iv_dev), 1.35 * s.iv_max)


cdef bint regular(Channel *s) noexcept nogil:
    """Whether defrosts come evenly enough to miss one."""
    return s.now > 5.0 * DAY and s.iv_dev < (0.35 if s.spacing <= 90.0 else 0.15) * s.iv_mean


cdef bint expected(Channel *s, double took) noexcept nogil:
    """Whether a defrost may have come after this time; where they come by the clock, that is known well."""
    if s.n_interval < 8.0 or s.iv_dev > 0.1 * s.iv_mean:
        return True
    late = took - s.iv_mean if took < 1.5 * s.iv_mean else took - 2.0 * s.iv_mean
    return absolute(late) < 0.2 * s.iv_mean


cdef void interval(Channel *s, Notices *o, double took) noexcept nogil:
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


cdef void recovery(Channel *s, Notices *o, double pace) noexcept nogil:
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


cdef void between(Channel *s, Notices *o, double level) noexcept nogil:
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


cdef void enter(Channel *s, Notices *o, double start, double base, double x, double fast) noexcept nogil:
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


cdef void excursion(Channel *s, const Kind *p, Notices *o, double x) noexcept nogil:
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
    again_cycling: bool = s.ex_falls > 0.0 and s.now - s.turned < 3.0 * s.period
    if s.ex_cross == s.ex_cross and not again_cycling and s.now > 3.0 * DAY and p.room > 0.0:
        overdue(s, o, x, abrupt)


cdef double slow_limit(Channel *s) noexcept nogil:
    """How long a slow disturbance (a defrost) may stay above the usual peaks (s)."""
    limit = larger(10800.0 if cycling(s) else DAY, 1.5 * s.slow_max)
    if s.n_defrost >= 6.0 and cycling(s):
        limit = larger(larger(2.0 * s.df_above, s.df_above + 6.0 * s.df_above_dev) + 600.0, 1.4 * s.slow_max)
        # It may begin just when the room is being loaded.
        limit = larger(limit, larger(2700.0, s.df_above + s.door_max))
    return limit


cdef double door_limit(Channel *s) noexcept nogil:
    """How long the effect of a door may stay above the usual peaks (s)."""
    return larger(2400.0, 1.5 * s.door_max)


cdef void overdue(Channel *s, Notices *o, double x, bint abrupt) noexcept nogil:
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


cdef void leave(Channel *s, const Kind *p, Notices *o, bint abrupt) noexcept nogil:
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
            s.door_max = longest(s.door_max, above, 0.0004, told)
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
        defrosted(s, o)
    elif kind != NONE and above > 0.0 and (s.n_slow < 8.0 or (above > 0.6 * s.df_above and rise > 0.4 * s.df_rise)):
        # Unlike the others, but it may have hidden one: the next interval proves nothing.
        if expected(s, s.ex_cross - s.maybe):
            s.maybe = s.now
        s.last_cross = NAN
    tell(s, o, DOOR_OPEN, False, s.ex_start, s.ex_peak, s.lo, s.hi, s.n_door)
    tell(s, o, NO_RETURN, False, s.ex_start, s.ex_peak, s.lo, s.hi, s.n_defrost)
    s.ex_end = s.now
    s.turned = s.now
    s.w_kind = kind
    s.w_start = s.ex_start
    s.w_peak_t = s.ex_peak_t
    s.w_end = s.now if above > 0.0 else larger(s.ex_fast_t, s.ex_peak_t)
    s.w_base = s.ex_base
    s.w_peak = s.ex_peak
    s.w_slope = s.ex_slope
    s.w_low = s.hi
    s.w_sure = sure


cdef void again(Channel *s, const Kind *p, Notices *o) noexcept nogil:
    """A cycle that goes a little higher: the usual peak follows, and moves for good when they all do."""
    s.hi += follow(s, p, s.ex_peak - s.hi)
    s.n_again += 1.0
    if s.n_again >= 4.0:
        move(s, p, o, s.ex_peak, s.trough_x)
    settle(s, p)


cdef void moved(Channel *s, const Kind *p, Notices *o) noexcept nogil:
    """Several cycles within a disturbance."""
    move(s, p, o, s.peak_x, s.trough_x)
    s.mode = 0.0
    s.flag = 0.0
    s.ex_end = s.now
    tell(s, o, DOOR_OPEN, False, s.ex_start, s.peak_x, s.lo, s.hi, s.n_door)
    tell(s, o, NO_RETURN, False, s.ex_start, s.peak_x, s.lo, s.hi, s.n_defrost)


cdef void turning(Channel *s, const Kind *p, Notices *o, double x) noexcept nogil:
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


cdef void turn(Channel *s) noexcept nogil:
    """Something turned: learn how long it may take until it does."""
    quiet = s.now - s.turned
    if not active(s, UNSATISFIED):
        if quiet > s.quiet_max and s.mode == 0.0 and s.ex_end <= s.turned:
            s.quiet_max = within(quiet, 0.0, 2.0 * s.quiet_max + 3600.0)
        else:
            s.quiet_max -= s.quiet_max * (within(quiet, 0.0, DAY) * 5.8e-7)
    s.turned = s.now


cdef void swing(Channel *s, const Kind *p, Notices *o, double size, double took) noexcept nogil:
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


cdef void peaked(Channel *s, const Kind *p, Notices *o) noexcept nogil:
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


cdef void troughed(Channel *s, const Kind *p, Notices *o) noexcept nogil:
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
        even: bool = 0.3 * s.period < took < 3.0 * s.period
        if even and before > s.ex_cross and s.ex_fast <= s.ex_mark + s.least:
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


cdef void cycle(Channel *s, const Kind *p, Notices *o, double took, double down) noexcept nogil:
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


cdef void push(Channel *s, double mean) noexcept nogil:
    """The mean of a block takes the place of the one a day before."""
    s.ring[<int>s.slot] = mean
    s.slot = 0.0 if s.slot >= 11.0 else s.slot + 1.0
    if mean != mean:
        s.pairs = 0.0


cdef void forget_day(Channel *s) noexcept nogil:
    """Yesterday is not known."""
    s.pairs = 0.0
    for i in range(12):
        s.ring[i] = NAN


cdef void watch(Channel *s, const Kind *p, Notices *o, double x) noexcept nogil:
    """What follows from time passing: a defrost that does not come, a compressor that never stops."""
    s.look = s.now + 300.0
    if s.mode == 0.0 and x <= s.hi:
        # Over already; after a gap nobody saw how it ended.
        tell(s, o, DOOR_OPEN, False, s.now, x, s.lo, s.hi, s.n_door)
        tell(s, o, NO_RETURN, False, s.now, x, s.lo, s.hi, s.n_defrost)
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
    if (
        s.mode == 0.0
        and resolved(s)
        and quiet > larger(larger(8.0 * s.period, 14400.0), 1.5 * s.quiet_max)
        and x > s.lo + 0.25 * (s.hi - s.lo)
    ):
        tell(s, o, UNSATISFIED, True, s.turned, quiet, 0.0, larger(8.0 * s.period, 14400.0), s.n_cycle)


cdef void patience(Channel *s) noexcept nogil:
    """How long a value may stand from now on."""
    s.flat_due = larger(larger(4.0 * s.flat_max, 3600.0), 20.0 * s.spacing)
    if s.now < 7.0 * DAY:
        # A week has a weekend.
        s.flat_due = larger(s.flat_due, DAY)


cdef void block(Channel *s, const Kind *p, Notices *o) noexcept nogil:
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
    # Records fade: half of them in two months.
    s.step_max -= s.step_max * (1.3e-7 * p.block)
    s.flat_max -= s.flat_max * (1.3e-7 * p.block)
    patience(s)
    while s.now >= s.b_end:
        s.b_end += p.block
    s.b_sum = 0.0
    s.b_w = 0.0
    s.b_min = s.b_x
    s.b_max = s.b_x


cdef void faded(Channel *s, const Kind *p, Notices *o) noexcept nogil:
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


cdef void drift(Channel *s, Notices *o, double mean) noexcept nogil:
    """Block means against those of the day before: three rises in a row over twelve hours and more are a drift."""
    d = mean - s.ring[<int>s.slot]
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
            limit = larger(0.8, (4.0 if s.spacing <= 330.0 else 5.0) * s.drift_dev)
            each = larger(larger(0.15, 0.75 * s.drift_dev), 0.18 * total)
            if (
                a * sign > each
                and b * sign > each
                and c * sign > each
                and total > limit
                and now * sign > limit
                and s.n_drift > 30.0
            ):
                tell(s, o, DRIFT, True, s.now - 57600.0, now, -limit, limit, s.n_drift)
            elif now * sign < 0.4:
                tell(s, o, DRIFT, False, s.now, now, -limit, limit, s.n_drift)
            if not active(s, DRIFT):
                s.drift_dev += (dev - s.drift_dev) * (1.0 / s.n_drift if s.n_drift < 20.0 else 0.05)
        return
    s.pairs = 1.0
    s.half = d


cdef void cut(Channel *s) noexcept nogil:
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


cdef void finish(Channel *s, Notices *o) noexcept nogil:
    """A finished event need not wait for its undershoot any longer."""
    if s.w_kind > 0.0:
        label(s, o)


cdef void forget_clock(Channel *s, Notices *o) noexcept nogil:
    """The caller's clock starts anew (a restart): how long it stood is not known."""
    if s.t_last == s.t_last:
        finish(s, o)
        cut(s)
        s.t_last = NAN


cdef int feed(Channel *s, const Kind *p, Notices *o, double t, double x, bint usable) noexcept nogil:
    """Take one sample; the flag of this moment (NONE, DOOR, DEFROST, OTHER)."""
    if not (usable and -1e6 < x < 1e6 and -1e15 < t < 1e15):
        s.skipped += 1.0
        return <int>s.flag
    if s.t_last == s.t_last:
        dt = t - s.t_last
        if dt <= 0.0:
            if dt == 0.0:
                return <int>s.flag
            s.backward += 1.0
            if s.backward < 3.0:
                return <int>s.flag
            finish(s, o)
            cut(s)
            dt = 0.0
        elif dt > 1800.0 and dt > 4.0 * s.spacing:
            finish(s, o)
            s.now += dt
            # One gap changes little; a channel that is slower than half an hour is soon known to be so.
            s.spacing += (within(dt, 0.5 * s.spacing, 2.0 * s.spacing) - s.spacing) * 0.25
            cut(s)
        else:
            s.now += dt
            if dt != s.spacing:
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
        if s.acc_n > 1.0:
            x = s.acc_sum / s.acc_n
        s.acc_sum = 0.0
        s.acc_n = 0.0
        if s.b_t == s.b_t:
            advance(s, p, o, x)
        else:
            begin_anew(s, p, x)
    return <int>s.flag


cdef void unstick(Channel *s, Notices *o, double x) noexcept nogil:
    """The value moves: learn how long it had stood."""
    run = s.now - s.flat_since
    if run > s.flat_max:
        if active(s, STUCK):
            tell(s, o, STUCK, False, s.flat_since, x, 0.0, s.flat_max, s.now)
        else:
            s.flat_max = run
            patience(s)
    s.flat_x = x
    s.flat_since = s.now


cdef void stick(Channel *s, Notices *o, double x) noexcept nogil:
    """The value stands longer than it ever did."""
    tell(s, o, STUCK, True, s.flat_since, x, s.now - s.flat_since, s.flat_due, s.now)


cdef void begin_anew(Channel *s, const Kind *p, double x) noexcept nogil:
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


cdef void advance(Channel *s, const Kind *p, Notices *o, double x) noexcept nogil:
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
    fast: bool = rise >= s.least and dt <= 330.0 and p.room > 0.0 and rise >= 4.0 * s.warm * (s.now - since)
    if fast:
        s.fast_t = s.now
    size = absolute(d)
    if size > s.step_max or s.jump_t == s.jump_t:
        jumped(s, p, o, x, size)
    if s.mode == 0.0:
        s.b_sum += x * dt
        s.b_w += dt
        s.b_min = smaller(s.b_min, x)
        s.b_max = larger(s.b_max, x)
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


cdef void jumped(Channel *s, const Kind *p, Notices *o, double x, double size) noexcept nogil:
    """A step that no room makes: the probe hangs elsewhere now, or it is another probe."""
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
    if s.now > DAY and size > 2.5 * s.step_max and size > 2.0 * width(s, p) and size > 5.0 * p.floor:
        s.jump_t = s.now
        s.jump_from = s.b_x
        s.jump_to = x
    else:
        s.step_max = size
