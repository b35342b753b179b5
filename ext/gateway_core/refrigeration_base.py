"""Words that all parts of the refrigeration bank use: arithmetic, what hangs on the learned band, notices."""

from gateway_core.refrigeration_state import MOVED, NAN, Channel, Kind, Notices, put

__all__ = [
    "absolute",
    "active",
    "cycling",
    "follow",
    "label",
    "larger",
    "margin",
    "move",
    "resolved",
    "reversal",
    "settle",
    "smaller",
    "tell",
    "width",
    "within",
]


def larger(a: float, b: float) -> float:
    return b if b > a else a


def absolute(x: float) -> float:
    return larger(x, -x)


def smaller(a: float, b: float) -> float:
    return b if b < a else a


def within(x: float, low: float, high: float) -> float:
    return smaller(larger(x, low), high)


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


def active(s: Channel, code: float) -> bool:
    return (s.active & (1 << int(code))) != 0


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


def follow(s: Channel, p: Kind, e: float) -> float:
    """How far a learned extreme moves towards a new one."""
    n = s.n_hi
    if n < 6.0:
        return e / (n + 1.0)
    limit = 4.0 * s.hi_dev + 0.25 * width(s, p)
    return 0.2 * within(e, -limit, limit)


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
