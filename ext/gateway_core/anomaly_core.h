/* The arithmetic of the anomaly detectors, one value of one channel at a time; anomaly.py is its readable twin and
   says what everything means.

   Plain C, so that the very same text runs inside the Cython module and inside a small program compiled for other
   processors. Only + - * / sqrt and comparisons touch a score, and products must not be contracted to fused
   operations (-ffp-contract=off): then every machine gives the same bits. No memory is taken and no library called
   (sqrt is an instruction). State and settings are structs of doubles alone: a snapshot is the struct itself. */

#ifndef GATEWAY_ANOMALY_CORE_H
#define GATEWAY_ANOMALY_CORE_H

#include <math.h>
#include <stdint.h>

enum {
    A_LEVEL, A_MEAN, A_RATE, A_SPREAD, A_NOISE, A_DRIFT, A_CUSUM,
    A_DAILY, A_DAILY_MEAN, A_WEEKLY, A_CYCLE, A_PEAK, A_TROUGH, A_FLAT,
    A_STATISTICS
};

enum { A_NOT_JUDGED, A_WARMING, A_NORMAL, A_ADVISORY, A_HELD, A_EXPECTED };

enum { A_DAY_BINS = 24, A_WEEK_BINS = 56, A_CYCLE_BINS = 16 };

/* Statistics in which a single value shows: one step of the sensor's resolution beyond the band is nothing. */
#define A_DIRECT (1u << A_LEVEL | 1u << A_RATE | 1u << A_DAILY | 1u << A_WEEKLY | 1u << A_CYCLE | 1u << A_PEAK | 1u << A_TROUGH)

#define A_HOUR_S 3600.0
#define A_DAY_S 86400.0
#define A_WEEK_S 604800.0
#define A_UNSET 1e300
#define A_LARGEST 1e100
#define A_LARGEST_TIME 1e15
#define A_HIGHEST 1e9
#define A_THRESHOLD 0.5
#define A_GAP 3.0
#define A_NEAR 1.5
#define A_WORSE 2.0
#define A_CLAMP 4.0

typedef struct {
    double warm_up_s, short_s, medium_s, long_s, noise_s, peak_s, refractory_s, budget_s, mark_s, teach_s, flat_s;
    double threshold, breakthrough, budget, maturity, agreement, relevance, allowance, hysteresis, regularity;
    double floor, flat_weight, day_visits, week_visits, cycle_visits;
} anomaly_config;

typedef struct {
    double low[A_STATISTICS], high[A_STATISTICS], learned[A_STATISTICS];
    double mark[2 * A_STATISTICS], marked_at[2 * A_STATISTICS];
    double day[A_DAY_BINS], week[A_WEEK_BINS], cycle[A_CYCLE_BINS];
    double samples, first_t, t, observed, settled, interval;
    double shares_of, short_share, medium_share, long_share, noise_share, peak_share;
    double x, grain, held, mean, middle, base, spread, base_spread, noise, up, down, peak, trough, flat, day_mean;
    double hour, day_sum, day_s, week_sum, week_s, profile_s;
    double side, crossed_t, period, period_spread, crossings;
    double refractory_until, said, recent, recent_at, advisories, advisory_t, suppressed, explained;
    double skipped, duplicates, gaps, set_back;
    double verdict, score, exceedance, outside, outside_t;
    double fired, fired_value, fired_low, fired_high, fired_mark, fired_widths;
} anomaly_state;

/* What one value amounts to, statistic by statistic. */
typedef struct {
    double step, jump, floor, value[A_STATISTICS];
    int gap, near, day_bin, week_bin, cycle_bin;
    unsigned judged;
} anomaly_view;

static inline double anomaly_size(double x) { return fabs(x); }

static inline double anomaly_share(double dt, double tau) { return dt / (tau + dt); }

static inline double anomaly_larger(double a, double b) { return a > b ? a : b; }

/* Hours since the epoch, rounded down. */
static inline double anomaly_hour(double t) {
    double hours = t / A_HOUR_S;
    double whole = (double)(int64_t)hours;
    return whole > hours ? whole - 1.0 : whole;
}

/* Where in a cycle of `hours` an hour is, from 0. */
static inline int anomaly_phase(double hour, int hours) {
    int phase = (int)((int64_t)hour % hours);
    return phase < 0 ? phase + hours : phase;
}

static inline void anomaly_forget_cycle(anomaly_state *s) {
    int i;
    for (i = 0; i < A_CYCLE_BINS; i++) s->cycle[i] = A_UNSET;
    s->side = s->period = s->period_spread = s->crossings = 0.0;
    s->crossed_t = A_UNSET;
}

static inline void anomaly_forget_profiles(anomaly_state *s) {
    int i;
    for (i = 0; i < A_DAY_BINS; i++) s->day[i] = A_UNSET;
    for (i = 0; i < A_WEEK_BINS; i++) s->week[i] = A_UNSET;
    s->profile_s = s->day_mean = 0.0;
}

static inline void anomaly_end_visits(anomaly_state *s) {
    s->hour = A_UNSET;
    s->day_sum = s->day_s = s->week_sum = s->week_s = 0.0;
}

static inline void anomaly_begin(anomaly_state *s) {
    double *field = (double *)s;
    int i;
    for (i = 0; i < (int)(sizeof(anomaly_state) / sizeof(double)); i++) field[i] = 0.0;
    for (i = 0; i < A_STATISTICS; i++) {
        s->low[i] = A_UNSET;
        s->high[i] = -A_UNSET;
    }
    anomaly_forget_profiles(s);
    anomaly_forget_cycle(s);
    anomaly_end_visits(s);
    s->fired = -1.0;
}

static inline void anomaly_first(anomaly_state *s, double t, double x, int expected) {
    s->samples = 1.0;
    s->first_t = s->t = t;
    s->x = s->mean = s->middle = s->base = s->peak = s->trough = x;
    s->held = expected ? 1.0 : 0.0;
    s->verdict = expected ? A_EXPECTED : A_WARMING;
}

/* Time goes on: how much of it counts, and whether the neighbours still speak for this value. */
static inline void anomaly_arrive(anomaly_state *s, anomaly_view *v, double t) {
    double dt = t - s->t;
    v->gap = 0;
    if (dt < 0.0) {
        s->set_back += 1.0;
        v->gap = 1;
        anomaly_end_visits(s);
        if (dt < -A_DAY_S / A_DAY_BINS - 1.0) anomaly_forget_profiles(s);
        s->outside = 0.0;
        dt = s->interval > 0.0 ? s->interval : 1.0;
    }
    if (s->interval == 0.0) s->interval = dt;
    v->step = dt;
    if (dt > A_GAP * s->interval) {
        v->step = A_GAP * s->interval;
        s->gaps += 1.0;
        v->gap = 1;
    }
    v->near = !v->gap && s->held == 0.0 && dt <= A_NEAR * s->interval;
    if (v->gap) {
        s->side = 0.0;
        s->crossed_t = A_UNSET;
    }
    s->interval += 0.02 * (v->step - s->interval);
    s->samples += 1.0;
    s->t = t;
    s->observed += v->step;
}

/* The share that a new value has in each average. While little is known it is that of a plain mean. */
static inline void anomaly_shares(const anomaly_config *c, anomaly_state *s, double dt) {
    double plain;
    if (s->settled < c->long_s) {
        plain = anomaly_share(dt, s->settled);
        s->short_share = anomaly_larger(anomaly_share(dt, c->short_s), plain);
        s->medium_share = anomaly_larger(anomaly_share(dt, c->medium_s), plain);
        s->long_share = anomaly_larger(anomaly_share(dt, c->long_s), plain);
        s->noise_share = anomaly_larger(anomaly_share(dt, c->noise_s), plain);
        s->peak_share = anomaly_larger(anomaly_share(dt, c->peak_s), plain);
        s->shares_of = 0.0;
    } else if (dt != s->shares_of) {
        s->short_share = anomaly_share(dt, c->short_s);
        s->medium_share = anomaly_share(dt, c->medium_s);
        s->long_share = anomaly_share(dt, c->long_s);
        s->noise_share = anomaly_share(dt, c->noise_s);
        s->peak_share = anomaly_share(dt, c->peak_s);
        s->shares_of = dt;
    }
}

/* The running statistics of the stream take the value in. */
static inline void anomaly_follow(const anomaly_config *c, anomaly_state *s, const anomaly_view *v, double x) {
    double r, u;
    r = x - s->mean;
    s->mean += s->short_share * r;
    s->spread += s->short_share * (anomaly_size(r) - s->spread);
    if (v->judged >> A_DAILY & 1u) s->day_mean += s->short_share * (v->value[A_DAILY] - s->day_mean);

    s->middle += s->medium_share * (x - s->middle);

    r = x - s->base;
    u = r / (s->base_spread + v->floor);
    if (u > A_CLAMP) u = A_CLAMP;
    if (u < -A_CLAMP) u = -A_CLAMP;
    s->base += s->long_share * r;
    s->base_spread += s->long_share * (anomaly_size(r) - s->base_spread);
    s->up = anomaly_larger(s->up + s->medium_share * (u - c->allowance), 0.0);
    s->down = anomaly_larger(s->down - s->medium_share * (u + c->allowance), 0.0);

    s->peak = anomaly_larger(s->peak - s->peak_share * (s->peak - s->middle), x);
    s->trough += s->peak_share * (s->middle - s->trough);
    if (x < s->trough) s->trough = x;

    if (v->near) s->noise += s->noise_share * (anomaly_size(v->jump) - s->noise);
}

static inline void anomaly_merge(double *bin, double sum, double seconds, double visits, double most) {
    double mean = sum / seconds;
    if (*bin == A_UNSET) *bin = mean;
    else *bin += (mean - *bin) / (visits < most ? visits : most);
}

/* Which bins of the day and of the week this is; a visit that has ended becomes part of its bin. */
static inline void anomaly_visit(const anomaly_config *c, anomaly_state *s, anomaly_view *v) {
    double into = s->t - s->hour * A_HOUR_S;
    if (s->hour == A_UNSET) s->hour = anomaly_hour(s->t);
    else if (v->gap || into < 0.0 || into >= A_HOUR_S) {
        double hour = anomaly_hour(s->t);
        int week_bin = anomaly_phase(s->hour, 168) / 3;
        if (s->day_s > 0.0)
            anomaly_merge(&s->day[anomaly_phase(s->hour, A_DAY_BINS)], s->day_sum, s->day_s,
                          1.0 + s->profile_s / A_DAY_S, c->day_visits);
        s->day_sum = s->day_s = 0.0;
        if (v->gap || anomaly_phase(hour, 168) / 3 != week_bin) {
            if (s->week_s > 0.0)
                anomaly_merge(&s->week[week_bin], s->week_sum, s->week_s, 1.0 + s->profile_s / A_WEEK_S,
                              c->week_visits);
            s->week_sum = s->week_s = 0.0;
        }
        s->hour = hour;
    }
    v->day_bin = anomaly_phase(s->hour, A_DAY_BINS);
    v->week_bin = anomaly_phase(s->hour, 168) / 3;
}

/* The channel's own cycle: time between upward crossings of the base, and the phase of this value in it. */
static inline void anomaly_turn(const anomaly_config *c, anomaly_state *s, anomaly_view *v, double x) {
    double reach = c->hysteresis * s->base_spread, length, phase, weight;
    v->cycle_bin = -1;
    if (s->side >= 0.0 && x < s->base - reach) s->side = -1.0;
    else if (s->side <= 0.0 && x > s->base + reach) {
        if (s->side < 0.0) {
            if (s->crossed_t != A_UNSET) {
                length = s->t - s->crossed_t;
                s->crossings += 1.0;
                weight = s->crossings < c->cycle_visits ? s->crossings : c->cycle_visits;
                s->period_spread += (anomaly_size(length - s->period) - s->period_spread) / weight;
                s->period += (length - s->period) / weight;
            }
            s->crossed_t = s->t;
        }
        s->side = 1.0;
    }
    if (s->crossings >= 4.0 && s->crossed_t != A_UNSET && s->period_spread < c->regularity * s->period) {
        phase = (s->t - s->crossed_t) / s->period;
        if (phase >= 0.0 && phase < 1.0) v->cycle_bin = (int)(phase * A_CYCLE_BINS);
    }
}

/* All statistics of this value, and which of them can be judged. */
static inline void anomaly_measure(const anomaly_config *c, anomaly_state *s, anomaly_view *v, double x) {
    unsigned judged = 1u << A_LEVEL | 1u << A_MEAN | 1u << A_FLAT;
    double *f = v->value;
    f[A_DAILY] = f[A_WEEKLY] = f[A_CYCLE] = 0.0;
    anomaly_visit(c, s, v);
    if (s->day[v->day_bin] != A_UNSET) {
        f[A_DAILY] = x - s->day[v->day_bin];
        judged |= 1u << A_DAILY | 1u << A_DAILY_MEAN;
    }
    if (s->week[v->week_bin] != A_UNSET) {
        f[A_WEEKLY] = x - s->week[v->week_bin];
        judged |= 1u << A_WEEKLY;
    }
    v->judged = judged;
    anomaly_follow(c, s, v, x);
    anomaly_turn(c, s, v, x);
    if (v->cycle_bin >= 0 && s->cycle[v->cycle_bin] != A_UNSET) {
        f[A_CYCLE] = x - s->cycle[v->cycle_bin];
        judged |= 1u << A_CYCLE;
    }
    if (v->near) judged |= 1u << A_RATE;
    if (s->settled > c->short_s) judged |= 1u << A_SPREAD | 1u << A_DRIFT;
    if (s->settled > c->noise_s) judged |= 1u << A_NOISE;
    if (s->settled > c->medium_s) judged |= 1u << A_CUSUM;
    if (s->settled > c->peak_s) judged |= 1u << A_PEAK | 1u << A_TROUGH;
    v->judged = judged;
    f[A_LEVEL] = x;
    f[A_MEAN] = s->mean;
    f[A_RATE] = v->jump;
    f[A_SPREAD] = s->spread;
    f[A_NOISE] = s->noise;
    f[A_DRIFT] = s->mean - s->middle;
    f[A_CUSUM] = s->up > s->down ? s->up : -s->down;
    f[A_DAILY_MEAN] = s->day_mean;
    f[A_PEAK] = s->peak;
    f[A_TROUGH] = s->trough;
    f[A_FLAT] = s->flat;
}

/* How far outside its band a statistic lies (negative or zero: inside). */
static inline double anomaly_beyond(const anomaly_state *s, int k, double f) {
    return f > s->high[k] ? f - s->high[k] : s->low[k] - f;
}

/* Each statistic has two marks, below its band and above: how far outside it was when it was alarmed. It
   holds for a time and fades then. */
static inline int anomaly_side(const anomaly_state *s, int k, double f) { return 2 * k + (f > s->high[k]); }

static inline double anomaly_mark(const anomaly_config *c, const anomaly_state *s, int side) {
    double mark = s->mark[side], age = s->observed - s->marked_at[side];
    return age > c->mark_s ? mark * (c->mark_s / age) : mark;
}

static inline double anomaly_widths(const anomaly_config *c, const anomaly_state *s, const anomaly_view *v, int k,
                                    double beyond) {
    double z, width, whole;
    if (k == A_FLAT) z = c->flat_weight * (beyond / (s->high[k] + c->flat_s));
    else {
        width = k == A_SPREAD || k == A_NOISE ? s->high[k] : s->high[k] - s->low[k];
        whole = k == A_CUSUM ? 2.0 * A_CLAMP : s->high[A_LEVEL] - s->low[A_LEVEL];
        z = beyond / (width + c->relevance * whole + v->floor);
    }
    return z < A_HIGHEST ? z : A_HIGHEST;
}

/* The statistics that lie outside their bands; those without a band yet are among them. No branches: this is where
   nearly every value ends. */
static inline unsigned anomaly_outside(const anomaly_state *s, const anomaly_view *v) {
    unsigned outside = 0;
    int k;
    for (k = 0; k < A_STATISTICS; k++)
        outside |= (unsigned)((v->value[k] > s->high[k]) | (v->value[k] < s->low[k])) << k;
    return outside & v->judged;
}

/* Begin the bands of statistics that had none, and find the worst exceedance and the sum of squares of the others.
   Returns what is still outside. */
static inline unsigned anomaly_hold(const anomaly_config *c, anomaly_state *s, const anomaly_view *v, double *worst,
                                    double *total) {
    unsigned outside = anomaly_outside(s, v), rest;
    int k, warm = s->settled < c->warm_up_s;
    double z;
    s->fired = -1.0;
    for (k = 0, rest = outside; rest; k++, rest >>= 1) {
        if (!(rest & 1u)) continue;
        if (s->learned[k] == 0.0) {
            s->low[k] = k == A_FLAT ? 0.0 : v->value[k];
            s->high[k] = v->value[k];
            s->learned[k] = v->step;
            outside &= ~(1u << k);
        } else if (!warm && s->learned[k] >= c->warm_up_s) {
            z = anomaly_beyond(s, k, v->value[k]) - anomaly_mark(c, s, anomaly_side(s, k, v->value[k]));
            if (A_DIRECT >> k & 1u) z -= s->grain;
            if (z > 0.0) {
                z = anomaly_widths(c, s, v, k, z);
                *total += z * z;
                if (z > *worst) {
                    *worst = z;
                    s->fired = k;
                }
            }
        }
    }
    return outside;
}

/* What lies outside and was not alarmed is the stream's own record: the band gives way, at once while it is still
   learning, slowly later, so that what creeps is not followed. What was alarmed only leaves a mark. */
static inline void anomaly_teach(const anomaly_config *c, anomaly_state *s, const anomaly_view *v, unsigned outside,
                                 int alarmed) {
    int k, side;
    double beyond, mark, share;
    for (k = 0; outside >> k; k++) {
        if (!(outside >> k & 1u)) continue;
        beyond = anomaly_beyond(s, k, v->value[k]);
        side = anomaly_side(s, k, v->value[k]);
        mark = anomaly_mark(c, s, side);
        if (alarmed) mark = anomaly_larger(mark, beyond);
        else {
            share = s->learned[k] < c->warm_up_s ? 1.0 : anomaly_share(v->step, c->teach_s);
            beyond *= share;
            mark = anomaly_larger(mark - beyond, 0.0);
            if (v->value[k] > s->high[k]) s->high[k] += beyond;
            else s->low[k] -= beyond;
        }
        s->mark[side] = mark;
        s->marked_at[side] = s->observed;
    }
}

/* Values that are neither alarmed nor expected teach the profiles. */
static inline void anomaly_learn(const anomaly_config *c, anomaly_state *s, const anomaly_view *v, double x) {
    double *bin;
    int k;
    for (k = 0; k < A_STATISTICS; k++) s->learned[k] += v->judged >> k & 1u ? v->step : 0.0;
    s->profile_s += v->step;
    s->day_sum += x * v->step;
    s->day_s += v->step;
    s->week_sum += x * v->step;
    s->week_s += v->step;
    if (v->cycle_bin >= 0) {
        bin = &s->cycle[v->cycle_bin];
        if (*bin == A_UNSET) *bin = x;
        else *bin += anomaly_share(v->step, c->cycle_visits * (s->period / A_CYCLE_BINS)) * (x - *bin);
    }
}

static inline void anomaly_note(const anomaly_config *c, anomaly_state *s, const anomaly_view *v, double worst) {
    int k = (int)s->fired;
    s->fired_value = v->value[k];
    s->fired_low = s->low[k];
    s->fired_high = s->high[k];
    s->fired_mark = anomaly_mark(c, s, anomaly_side(s, k, v->value[k]));
    s->fired_widths = worst;
    if (s->outside == 0.0) {
        s->outside = 1.0;
        s->outside_t = s->t;
    }
}

/* A labelled excursion: neither alarmed nor taught; only whether it would have fired is counted. */
static inline double anomaly_excuse(const anomaly_config *c, anomaly_state *s, const anomaly_view *v, double x) {
    double beyond = anomaly_beyond(s, A_LEVEL, x) - anomaly_mark(c, s, anomaly_side(s, A_LEVEL, x)) - s->grain;
    s->fired = -1.0;
    s->outside = s->exceedance = s->score = 0.0;
    s->verdict = A_EXPECTED;
    if (s->learned[A_LEVEL] >= c->warm_up_s && beyond > 0.0 &&
        anomaly_widths(c, s, v, A_LEVEL, beyond) >= c->threshold)
        s->explained += 1.0;
    return 0.0;
}

/* From exceedances to a verdict: maturity, budget, refractory time. Returns the score. */
static inline double anomaly_decide(const anomaly_config *c, anomaly_state *s, double worst, double total) {
    double q = s->settled / c->warm_up_s, z, recent, score;
    int held = s->observed < s->refractory_until;
    s->verdict = held ? A_HELD : A_NORMAL;
    z = worst + c->agreement * (sqrt(total) - worst);
    z = z * (q / (q + c->maturity));
    s->exceedance = z;
    recent = s->recent * (c->budget_s / (c->budget_s + (s->observed - s->recent_at)));
    z = z / (1.0 + c->budget * recent);
    if (held) {
        if (z >= c->threshold) s->suppressed += 1.0;
        z = z / anomaly_larger(c->breakthrough, A_WORSE * s->said / c->threshold);
    }
    score = 1.0 - c->threshold / (z + c->threshold);
    if (score >= A_THRESHOLD) {
        s->verdict = A_ADVISORY;
        s->advisories += 1.0;
        s->advisory_t = s->t;
        s->said = s->exceedance;
        s->recent = recent + 1.0;
        s->recent_at = s->observed;
        s->refractory_until = s->observed + c->refractory_s;
    }
    return score;
}

/* One value. `expected` marks a labelled excursion. Returns the score; NaN where the value is not judged. */
static inline double anomaly_update(const anomaly_config *c, anomaly_state *s, double t, double x, int usable,
                                    int expected) {
    anomaly_view v;
    double worst = 0.0, total = 0.0;
    unsigned outside;
    int alarmed;
    if (!usable || !(anomaly_size(x) <= A_LARGEST) || !(anomaly_size(t) <= A_LARGEST_TIME)) {
        s->skipped += 1.0;
        s->verdict = A_NOT_JUDGED;
        return NAN;
    }
    if (s->samples == 0.0) {
        anomaly_first(s, t, x, expected);
        return 0.0;
    }
    if (t == s->t) {
        s->duplicates += 1.0;
        s->verdict = A_NOT_JUDGED;
        return NAN;
    }
    anomaly_arrive(s, &v, t);
    v.jump = x - s->x;
    v.floor = c->floor * anomaly_size(x) + 1e-200;
    if (v.jump != 0.0 && (s->grain == 0.0 || anomaly_size(v.jump) < s->grain)) s->grain = anomaly_size(v.jump);
    s->flat = v.jump == 0.0 ? s->flat + v.step : 0.0;
    s->x = x;
    s->held = expected ? 1.0 : 0.0;
    if (expected) return anomaly_excuse(c, s, &v, x);

    s->settled += v.step;
    anomaly_shares(c, s, v.step);
    anomaly_measure(c, s, &v, x);
    outside = anomaly_hold(c, s, &v, &worst, &total);
    s->score = s->exceedance = 0.0;
    if (s->settled < c->warm_up_s) s->verdict = A_WARMING;
    else if (worst > 0.0) {
        anomaly_note(c, s, &v, worst);
        s->score = anomaly_decide(c, s, worst, total);
    } else s->verdict = s->observed < s->refractory_until ? A_HELD : A_NORMAL;
    if (worst == 0.0) s->outside = 0.0;
    alarmed = s->verdict == A_ADVISORY || s->verdict == A_HELD;
    if (outside) anomaly_teach(c, s, &v, outside, alarmed);
    if (!(alarmed && outside)) anomaly_learn(c, s, &v, x);
    return s->score;
}

#endif
