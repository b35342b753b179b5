"""What is kept of a refrigerated channel, and the names of what is recognised; shared by both twins."""

from array import array
from typing import NamedTuple

__all__ = ["FIELDS", "FRESH", "KINDS", "RING", "Channel", "Kind", "Notices", "put"]

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

    ``bucket`` (s): samples are averaged so that one value at most comes out in this time; ``block`` (s): span of one
    mean of the level; ``floor`` (K): what is smaller than this never counts.
    """

    room: float
    bucket: float
    block: float
    floor: float


KINDS = {"room": Kind(1.0, 30.0, 7200.0, 0.3), "process": Kind(0.0, 5.0, 600.0, 0.15)}

FIELDS = (
    # each sample
    "t_last", "now", "spacing", "flag", "b_t", "flat_x", "flat_since", "flat_due", "acc_sum", "acc_n",
    # the thinned series
    "b_x", "b_d", "noise", "r_t", "r_x", "q_t", "q_x", "look", "b_end", "top", "back", "least", "warm", "hi",
    "lo", "mode", "z_dir", "z_x", "z_t", "fast_t", "b_sum", "b_w", "b_min", "b_max", "step_max", "jump_t",
    "w_kind",
    # now and then
    "skipped", "backward", "flat_max",
    # learned peaks and troughs, turning points
    "hi_dev", "n_hi", "z_low", "z_low_t", "trough_x", "trough_t", "peak_x", "peak_t", "turned", "quiet_max",
    # the disturbance under way
    "ex_start", "ex_base", "ex_fast", "ex_peak", "ex_peak_t", "ex_cross", "ex_falls", "ex_slope", "ex_end",
    "ex_fast_t", "ex_mark", "n_again", "slow_end",
    # the finished event that waits for its undershoot
    "w_start", "w_peak_t", "w_end", "w_base", "w_peak", "w_slope", "w_low", "w_sure",
    # defrosts and doors
    "n_defrost", "df_above", "df_above_dev", "df_rise", "slow_max", "n_slow", "n_door", "door_max",
    "last_cross", "maybe", "n_interval", "iv_mean", "iv_dev", "iv_max", "iv_min", "n_close",
    # recovery and level from one defrost to the next
    "n_pace", "pace_ref", "pace_dev", "pace_now", "pace_sum", "seg_sum", "seg_w", "n_level", "level",
    "level_dev", "up_n", "up_from", "up_most",
    # cycles and oscillations
    "n_cycle", "period", "duty", "n_short", "n_big", "big_took", "big_t",
    # steps
    "jump_from", "jump_to", "jump_on",
    # blocks
    "slot", "pairs", "half", "pair0", "pair1", "pair2", "n_drift", "drift_dev", "span", "span_min", "n_span",
    "n_faint",
)  # fmt: skip
"""Names of the doubles of a channel, in the order of the compiled struct and of a snapshot."""

FRESH = {
    "t_last": NAN,
    "b_t": NAN,
    "b_end": NAN,
    "flat_x": NAN,
    "last_cross": NAN,
    "jump_t": NAN,
    "ex_cross": NAN,
    "pair0": NAN,
    "pair1": NAN,
    "pair2": NAN,
    "spacing": 60.0,
    "noise": 0.03,
    "flat_max": 28800.0,
    "flat_due": DAY,
    "hi_dev": 0.15,
    "warm": 0.1 / 60.0,
    "step_max": 0.3,
    "span_min": 1e6,
    "ex_end": -DAY,
    "slow_end": -DAY,
    "fast_t": -DAY,
    "drift_dev": 0.2,
    "level_dev": 0.2,
}
"""What is not zero at the start (a guess that the first values replace)."""


class Channel:
    """One channel's memory; attributes are `FIELDS`, the ring of block means and the bits of active findings."""

    __slots__ = (*FIELDS, "active", "index", "ring")

    def __init__(self, index: int) -> None:
        for name in FIELDS:
            setattr(self, name, FRESH.get(name, 0.0))
        self.ring = array("d", [NAN]) * RING
        self.active = 0
        self.index = index


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
