"""What is kept of a refrigerated channel, and the names of what is recognised; shared by both twins."""

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["FIELDS", "KINDS", "RING", "Channel", "Kind", "Notices", "put"]

NAN = float("nan")
DAY = 86400.0

# Flags of a sample and kinds of a label.
NONE, DOOR, DEFROST, OTHER, MOVED = 0.0, 1.0, 2.0, 3.0, 4.0

# Findings, numbered as their bits.
NO_RETURN, MISSING, FREQUENT, DOOR_OPEN, SHORT_CYCLES, UNSATISFIED = 1.0, 2.0, 3.0, 4.0, 5.0, 6.0
DRIFT, STUCK, JUMP, FADED, ICING, HUNTING = 7.0, 8.0, 9.0, 10.0, 11.0, 12.0

RING = 12
"""Blocks in the ring of means: a day of a room."""
LONGEST = 12.0


class Kind(NamedTuple):
    """What differs between a refrigerated place and a controlled process.

    ``bucket`` (s): samples are averaged so that one value at most comes out in this time; ``block`` (s): span of a
    mean of the level; ``floor`` (K): what is smaller than this never counts.
    """

    room: float
    bucket: float
    block: float
    floor: float


KINDS = {"room": Kind(1.0, 30.0, 7200.0, 0.3), "process": Kind(0.0, 5.0, 600.0, 0.15)}


@dataclass(slots=True)
class Channel:
    """One channel's memory. Times are of its own clock (s), values in its unit, rates per second.

    The order is that of the compiled struct and of a snapshot: what each sample needs stands together.
    """

    index: int

    # each sample
    t_last: float = NAN  # the caller's time of the newest sample
    now: float = 0.0  # the channel's own clock: time seen, and gaps whose length is known
    spacing: float = 60.0  # usual time between samples
    flag: float = 0.0  # what is known at this moment: NONE, DOOR, DEFROST, OTHER
    b_t: float = NAN  # own time of the newest value of the thinned series
    flat_x: float = NAN  # the value that stands
    flat_since: float = 0.0  # since when
    flat_due: float = DAY  # how long a value may stand
    acc_sum: float = 0.0  # samples that wait to be averaged
    acc_n: float = 0.0  # and how many

    # the thinned series
    b_x: float = 0.0  # its newest value
    b_d: float = 0.0  # its newest difference
    noise: float = 0.03  # half of what second differences usually are
    r_t: float = 0.0  # a value one to two minutes older, for slopes: its time
    r_x: float = 0.0  # and the value
    q_t: float = 0.0  # the next one to take that place
    q_x: float = 0.0  # and its value
    look: float = 0.0  # when to look again at what follows from time passing
    b_end: float = NAN  # end of the block
    top: float = 0.0  # above this a value is a disturbance
    back: float = 0.3  # how far back makes a turning point
    least: float = 0.4  # least rise of a door
    warm: float = 0.0016666666666666668  # usual rate of warming between compressor runs
    hi: float = 0.0  # usual peaks
    lo: float = 0.0  # usual troughs
    mode: float = 0.0  # 1 while a disturbance is under way
    z_dir: float = 0.0  # 1 rising, -1 falling, 0 not known
    z_x: float = 0.0  # the extreme that is not certain yet
    z_t: float = 0.0  # and its time
    fast_t: float = -DAY  # newest abrupt rise
    b_sum: float = 0.0  # integral of the undisturbed value over the block
    b_w: float = 0.0  # undisturbed time in it
    b_min: float = 0.0  # least value in it
    b_max: float = 0.0  # largest
    step_max: float = 0.3  # largest step from value to value, slowly forgotten
    jump_t: float = NAN  # a step that is too large, and may stay
    w_kind: float = 0.0  # a finished event waits for its undershoot

    # now and then
    skipped: float = 0.0  # samples that were passed over
    backward: float = 0.0  # samples in a row that were older than the newest
    flat_max: float = 0.0  # longest a value stood, slowly forgotten

    # learned peaks and troughs, turning points
    hi_dev: float = 0.15  # how far peaks are usually from the usual peak
    n_hi: float = 0.0  # peaks learned from
    z_low: float = 0.0  # lowest value while the direction is not known
    z_low_t: float = 0.0  # and its time
    trough_x: float = 0.0  # newest trough
    trough_t: float = 0.0  # and its time
    peak_x: float = 0.0  # newest peak
    peak_t: float = 0.0  # and its time
    turned: float = 0.0  # when the newest turning point was certain
    quiet_max: float = 0.0  # longest time without one, slowly forgotten

    # the disturbance under way
    ex_start: float = 0.0  # where the rise began
    ex_base: float = 0.0  # value there
    ex_fast: float = 0.0  # how much of the rise was abrupt
    ex_peak: float = 0.0  # highest value
    ex_peak_t: float = 0.0  # and its time
    ex_cross: float = NAN  # when it left the band
    ex_falls: float = 0.0  # turns within it
    ex_slope: float = 0.0  # steepest rise over one to two minutes
    ex_end: float = -DAY  # end of the newest finished one
    ex_fast_t: float = 0.0  # newest abrupt rise in it
    ex_mark: float = 0.0  # ex_fast at the newest trough
    n_again: float = 0.0  # cycles in a row that went a little too high
    slow_end: float = -DAY  # end of the newest one that was not abrupt

    # the finished event that waits for its undershoot
    w_start: float = 0.0  # its start
    w_peak_t: float = 0.0  # time of its peak
    w_end: float = 0.0  # its end
    w_base: float = 0.0  # value at its start
    w_peak: float = 0.0  # highest value
    w_slope: float = 0.0  # steepest rise
    w_low: float = 0.0  # lowest value since its end
    w_sure: float = 0.0  # whether it agrees with what was learned

    # defrosts and doors
    n_defrost: float = 0.0  # defrosts named
    df_above: float = 0.0  # how long most slow disturbances stay above the band
    df_above_dev: float = 0.0  # how far others differ
    df_rise: float = 0.0  # how far most rise above the usual peaks
    slow_max: float = 0.0  # longest time above the band, slowly forgotten
    n_slow: float = 0.0  # slow disturbances learned from
    n_door: float = 0.0  # doors named
    door_max: float = 0.0  # longest time above the band after an abrupt rise, slowly forgotten
    last_cross: float = NAN  # when the newest defrost left the band
    maybe: float = 0.0  # when there was, or may have been, a defrost
    n_interval: float = 0.0  # intervals learned from
    iv_mean: float = 0.0  # their mean
    iv_dev: float = 0.0  # their mean deviation
    iv_max: float = 0.0  # the longest, slowly forgotten
    iv_min: float = 0.0  # the shortest that is usual
    n_close: float = 0.0  # far shorter ones in a row

    # recovery and level from one defrost to the next
    n_pace: float = 0.0  # recoveries learned from
    pace_ref: float = 0.0  # usual seconds per kelvin
    pace_dev: float = 0.0  # mean deviation
    pace_now: float = 0.0  # the newest few
    pace_sum: float = 0.0  # sum of what was too slow (CUSUM)
    seg_sum: float = 0.0  # integral of the level since the newest defrost
    seg_w: float = 0.0  # and its time
    n_level: float = 0.0  # levels seen
    level: float = 0.0  # the newest
    level_dev: float = 0.2  # usual change from one to the next
    up_n: float = 0.0  # rises in a row
    up_from: float = 0.0  # where they began
    up_most: float = 0.0  # the largest of them

    # cycles and oscillations
    n_cycle: float = 0.0  # undisturbed cycles learned from
    period: float = 0.0  # usual period
    duty: float = 0.0  # usual share of falling time
    n_short: float = 0.0  # far too short ones in a row
    n_big: float = 0.0  # half swings in a row that are far too large
    big_took: float = 0.0  # duration of the newest half swing
    big_t: float = 0.0  # when the newest large one was

    # steps
    jump_from: float = 0.0  # value before a step that is too large
    jump_to: float = 0.0  # value after it
    jump_on: float = 0.0  # when it was reported

    # blocks
    slot: float = 0.0  # place in the ring
    pairs: float = 0.0  # place in a pair of blocks: 0 none known, 1 the first is, 2 a pair is complete
    half: float = 0.0  # first of the pair: difference to the day before
    pair0: float = NAN  # three pairs ago
    pair1: float = NAN  # two pairs ago
    pair2: float = NAN  # newest pair
    n_drift: float = 0.0  # comparisons learned from
    drift_dev: float = 0.2  # usual change from pair to pair
    span: float = 0.0  # usual range of a block
    span_min: float = 1000000.0  # the least that is usual
    n_span: float = 0.0  # blocks learned from
    n_faint: float = 0.0  # far too small ones in a row

    ring: "array[float]" = field(default_factory=lambda: array("d", [NAN]) * RING)
    """Means of the blocks of the last day."""
    active: int = 0
    """Findings that are active, by their bits."""


FIELDS = tuple(name for name in Channel.__slots__ if name not in {"index", "ring", "active"})
"""Names of the doubles of a channel, in their order."""


class Notices:
    """What was recognised and is not fetched yet."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.lost = 0


MOST = 65536
"""Notices that wait at most; more are counted, not kept."""


def put(
    o: Notices,
    s: Channel,
    code: float,
    state: float,
    at: float,
    a: float,
    b: float,
    c: float,
    d: float,
    e: float,
    f: float,
    g: float,
    h: float,
) -> None:
    """Add one row: channel, code, state (0 ended, 1 begun, 2 a label), time, and eight numbers."""
    if len(o.rows) >= MOST:
        o.lost += 1
    else:
        o.rows.append((float(s.index), code, state, at, a, b, c, d, e, f, g, h))
