"""What the numbers of the refrigeration bank mean: names, units, and the account of one channel."""

from typing import Any, NamedTuple

from gateway_core.refrigeration_state import KINDS

__all__ = ["FINDINGS", "LABELS", "Words", "explained"]

LABELS = {0: "none", 1: "door", 2: "defrost", 3: "other", 4: "moved"}
"""Kinds of a label by number (``none``: nothing to tell after all)."""


class Words(NamedTuple):
    """What a finding says; ``value`` is in ``unit``, ``learned`` counts ``of``."""

    text: str
    value: str
    unit: str
    of: str


FINDINGS = {
    "no-return": Words(
        "warmer than usual for longer than any defrost may last, and not on the way back: a defrost that does not "
        "end, or cooling that has stopped",
        "value now; low and high are the usual troughs and peaks",
        "value",
        "finished defrosts",
    ),
    "defrost-missing": Words(
        "no defrost for longer than the learned interval allows",
        "time without one; high is the longest that is plausible",
        "s",
        "intervals between defrosts",
    ),
    "defrosts-frequent": Words(
        "three intervals in a row far below the shortest usual one",
        "newest interval; low is 0.62 of the shortest usual one, high the longest",
        "s",
        "intervals between defrosts",
    ),
    "door-open": Words(
        "rose as an open door makes it, and stays up longer than doors and loading ever did",
        "value now; low and high are the usual troughs and peaks",
        "value",
        "door openings",
    ),
    "short-cycling": Words(
        "eight undisturbed compressor cycles in a row, each shorter than 0.45 of the usual period",
        "newest period; low is the limit, high the usual period",
        "s",
        "undisturbed cycles",
    ),
    "unsatisfied": Words(
        "the usual cycle has stopped and the value stays above its troughs: the compressor runs without a pause, "
        "or the probe does not feel the air any more",
        "time since the last turn; high is the longest that is plausible",
        "s",
        "undisturbed cycles",
    ),
    "drift": Words(
        "the level moves steadily: three rises (or falls) in a row within twelve hours, compared with a day before",
        "difference to the day before; low and high is what differences usually stay within",
        "K",
        "comparisons of four hours",
    ),
    "stuck": Words(
        "exactly the same value for longer than four times what this channel ever did",
        "value; low is how long it stands (s), high the limit (s)",
        "value",
        "seconds of history",
    ),
    "jump": Words(
        "a step that this place cannot make, and it stays there: the probe was moved or exchanged with another",
        "value now; low and high are the usual troughs and peaks before it",
        "value",
        "seconds of history",
    ),
    "faded": Words(
        "four blocks in a row with far less movement than any before: the probe lies in the product, under ice or "
        "under goods",
        "range of a block; low is the limit, high the usual range",
        "K",
        "blocks",
    ),
    "icing": Words(
        "recovery after defrosts becomes slower, or the level between them rises with each: ice that is not melted "
        "(or another loss of capacity)",
        "seconds per kelvin of recovery (low is 0), or the level (low is where its rise began); high is the limit",
        "s/K",
        "defrosts",
    ),
    "hunting": Words(
        "eight half swings at an even pace, each far above the usual size: a control loop that swings",
        "newest half swing; high is the limit",
        "K",
        "turning points",
    ),
}
"""By name, in the order of their numbers (from 1)."""


def explained(kind: str, s: dict[str, float], active: int) -> dict[str, Any]:
    """The account of a channel; None where something is not learned or not to be seen."""

    def known(enough: bool, value: float) -> float | None:
        return value if enough else None

    room = KINDS[kind].room > 0.0
    cycling = s["n_cycle"] >= 20 and s["period"] <= 7200.0
    dense = cycling and 5.0 * s["spacing"] <= s["period"]
    regular = s["n_interval"] >= 8 and s["iv_dev"] < (0.35 if s["spacing"] <= 90 else 0.15) * s["iv_mean"]
    moving = s["t_last"] - s["now"]
    return {
        "kind": kind,
        "period_s": s["spacing"],
        "observed_s": s["now"],
        "skipped": int(s["skipped"]),
        "band": {
            "low": known(s["n_hi"] >= 4, s["lo"]),
            "high": known(s["n_hi"] >= 4, s["hi"]),
            "of": int(s["n_hi"]),
        },
        "disturbed_above": known(s["n_hi"] >= 4, s["top"]),
        "noise": s["noise"],
        "cycle": {
            "period_s": known(dense, s["period"]),
            "duty": known(dense, s["duty"]),
            "amplitude": known(cycling, s["hi"] - s["lo"]),
            "of": int(s["n_cycle"]),
        },
        "defrost": {
            "rise_above_band": known(s["n_slow"] >= 4, s["df_rise"]),
            "above_band_s": known(s["n_slow"] >= 4, s["df_above"]),
            "interval_s": known(s["n_interval"] >= 1, s["iv_mean"]),
            "interval_shortest_s": known(s["n_interval"] >= 1, s["iv_min"]),
            "interval_longest_s": known(s["n_interval"] >= 1, s["iv_max"]),
            "missing_after_s": known(
                regular, max(2.2 * s["iv_mean"], s["iv_mean"] + 5.0 * s["iv_dev"], 1.35 * s["iv_max"])
            ),
            "recovery_s_per_k": known(s["n_pace"] >= 8, s["pace_ref"]),
            "of": int(s["n_defrost"]),
            "intervals": int(s["n_interval"]),
        },
        "doors": {"seen": int(s["n_door"]), "longest_above_band_s": s["door_max"]},
        "under_way": None
        if s["mode"] == 0.0
        else {
            "kind": LABELS[int(s["flag"])],
            "since_s": s["ex_start"] + moving,
            "baseline": s["ex_base"],
            "peak": s["ex_peak"],
        },
        "flat": {"since_s": s["flat_since"] + moving, "stuck_after_s": s["flat_due"]},
        "findings": [name for number, name in enumerate(FINDINGS, 1) if active >> number & 1],
        "not_seen": _unseen(room, s, cycling, dense, regular),
    }


def _unseen(room: bool, s: dict[str, float], cycling: bool, dense: bool, regular: bool) -> list[str]:
    """What this channel cannot show at its sampling period, or not yet."""
    missing = []
    spacing = s["spacing"]
    if not room:
        return ["defrosts, doors, drift and compressor cycles: the channel is a process"]
    if spacing > 330.0:
        missing.append("doors: samples are too far apart; a defrost and a delivery look alike")
        missing.append("defrosts that stay above the usual band for less than two sampling periods")
    elif spacing > 60.0:
        missing.append(f"doors that are open for much less than {spacing:.0f} s")
    if not cycling:
        missing.append("compressor cycles: none found (a product probe, modulating control, or still learning)")
    elif not dense:
        missing.append("period and duty of the compressor: samples are too far apart for its cycle")
    if not regular:
        missing.append("a missing defrost: intervals seen are too few or too irregular")
    if s["now"] < 3 * 86400.0:
        missing.append("disturbances that last too long: the first three days only learn")
    return missing
