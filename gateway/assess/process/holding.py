"""Continuous pasteurisation (HTST): holding time by flow and tube, and flow diversion at the holding tube's
outlet."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gateway.assess.process.calculation import COMMON, Calculation, Sample, Unusable, max_gap
from gateway.assess.process.outcome import PointValue, Result
from gateway.assess.process.parameters import Parameter, ParameterProblem

__all__ = ["Holding"]


class Holding(Calculation):
    """Forward flow only at or above the limit, for long enough.

    The valve's position comes as the input ``forward`` (1 forward, 0 diverted); without it (``valve = "derived"``)
    the position is what cut-in and cut-out say it should be, and diversion is not proven.
    """

    name = "htst"
    title = "continuous pasteurisation: forward-flow time, holding time, flow diversion, cut-in and cut-out"
    also: ClassVar[Mapping[str, str]] = {
        "forward": "position of the flow-diversion device: 1 forward, 0 diverted",
        "flow": "flow through the holding tube, L/h",
    }
    parameters = (
        *COMMON,
        max_gap(30.0),
        Parameter(
            name="legal_c",
            kind="number",
            unit="degC",
            words="legal limit at the outlet",
            required=True,
            low=50,
            high=160,
            example=72.0,
        ),
        Parameter(
            name="legal_s",
            kind="number",
            unit="s",
            words="legal holding time",
            required=True,
            low=0.001,
            high=7200,
            example=15.0,
        ),
        Parameter(
            name="cut_in_c",
            kind="number",
            unit="degC",
            words="forward flow begins at or above",
            required=True,
            low=50,
            high=160,
            example=72.5,
        ),
        Parameter(
            name="cut_out_c",
            kind="number",
            unit="degC",
            words="flow is diverted below",
            required=True,
            low=50,
            high=160,
            example=72.2,
        ),
        Parameter(
            name="holding_s",
            kind="number",
            unit="s",
            words="holding time as tested at the highest flow (fixed); or give tube_l",
            low=0.001,
            high=7200,
            example=16.0,
        ),
        Parameter(name="tube_l", kind="number", unit="L", words="volume of the holding tube", low=0.001, high=1e5),
        Parameter(
            name="flow_lph",
            kind="number",
            unit="L/h",
            words="highest flow, where no flow is measured",
            low=0.001,
            high=1e6,
        ),
        Parameter(
            name="fastest",
            kind="number",
            words="fastest particle's residence over the mean: 0.5 laminar (safe), 0.8 turbulent, 1 if tested",
            default=0.5,
            low=0.1,
            high=1.0,
        ),
        Parameter(
            name="valve",
            kind="text",
            words='"signal": the input forward; "derived": as cut-in and cut-out say',
            default="signal",
            choices=lambda: ("signal", "derived"),
        ),
        Parameter(
            name="divert_within_s",
            kind="number",
            unit="s",
            words="forward flow below the limit for longer than this is a finding",
            default=1.0,
            low=0.0,
            high=60.0,
        ),
        Parameter(name="safe_side", kind="flag", words="count each reading as lower by probe_u", default=False),
    )
    fields: ClassVar[tuple[str, ...]] = (
        *Calculation.fields,
        "forward",
        "forward_s",
        "forward_most_s",
        "below_since_s",
        "below_s",
        "below_c",
        "findings",
        "short_s",
        "least_hold_s",
        "starts",
        "cut_in_c",
        "lowest_cut_in_c",
        "diversions",
        "cut_out_c",
        "lowest_forward_c",
        "last_c",
        "wrong",
    )

    def prepare(self) -> list[ParameterProblem]:
        """The order of the limits, and where the holding time comes from."""
        p, found = self.p, []
        if p["cut_out_c"] < p["legal_c"]:
            found.append(ParameterProblem("cut_out_c", "lies below legal_c", f"write {p['legal_c']:g} or more"))
        if p["cut_in_c"] < p["cut_out_c"]:
            found.append(ParameterProblem("cut_in_c", "lies below cut_out_c", f"write {p['cut_out_c']:g} or more"))
        if (p["holding_s"] is None) == (p["tube_l"] is None):
            found.append(ParameterProblem("holding_s", "or tube_l, one of both, is needed", "add holding_s = 16.0"))
        self.needs = (("forward",) if p["valve"] == "signal" else ()) + (
            ("flow",) if p["tube_l"] is not None and p["flow_lph"] is None else ()
        )
        self.formula = "htst/fixed" if p["holding_s"] is not None else "htst/volume-over-flow"
        self.source = (
            "limits as configured (21 CFR 1240.61; Regulation (EC) 853/2004 Annex III Section IX); forward-flow"
            " time, cut-in and cut-out temperatures: 10 NYCRR 3.27; flow diversion: Grade A PMO, Item 16p"
        )
        return found

    @property
    def criterion(self) -> bool:
        """Always: the limit."""
        return True

    def start(self) -> None:
        """Diverted, as a plant starts."""
        self.forward: bool | None = None
        self.forward_s = self.forward_most_s = 0.0
        self.below_since_s: float | None = None
        self.below_s = 0.0
        self.below_c: float | None = None
        self.findings = 0
        self.short_s = 0.0
        self.least_hold_s: float | None = None
        self.starts = self.diversions = 0
        self.cut_in_c: float | None = None
        self.lowest_cut_in_c: float | None = None
        self.cut_out_c: list[float] | None = None
        self.lowest_forward_c: float | None = None
        self.last_c = 0.0
        self.wrong = False

    def holding(self, flow_lph: float | None) -> float | None:
        """Seconds that the fastest particle stays in the tube; None without a flow."""
        p = self.p
        if p["holding_s"] is not None:
            return float(p["holding_s"])
        flow = flow_lph if flow_lph is not None else p["flow_lph"]
        return None if not flow or flow <= 0 else float(p["tube_l"] / flow * 3600 * p["fastest"])

    def step(self, sample: Sample) -> None:
        """Judge one moment."""
        counted = sample.value - self.u if self.p["safe_side"] and self.u is not None else sample.value
        was, self.forward = self.forward, self._position(counted, sample.more)
        if sample.dt is not None and (was or self.forward):
            self.forward_most_s += sample.dt
        if sample.dt is not None and was and self.forward:
            self.forward_s += sample.dt
        self._transitions(was, sample.value)
        self._below(sample.dt, sample.t, counted)
        hold = self.holding(sample.more.get("flow"))
        if self.forward and hold is not None:
            self.least_hold_s = hold if self.least_hold_s is None else min(hold, self.least_hold_s)
            if hold < self.p["legal_s"]:
                self.short_s += sample.dt or 0.0
                self.settled = False
                self.wrong = True
        self.last_c = sample.value

    def _position(self, counted: float, more: Mapping[str, float | None]) -> bool:
        if self.p["valve"] == "signal":
            return (more["forward"] or 0.0) >= 0.5
        return counted >= float(self.p["cut_out_c"] if self.forward else self.p["cut_in_c"])

    def _transitions(self, was: bool | None, value: float) -> None:
        if self.forward:
            self.lowest_forward_c = value if self.lowest_forward_c is None else min(value, self.lowest_forward_c)
        if self.forward and was is False:
            self.starts += 1
            self.cut_in_c = self.cut_in_c if self.cut_in_c is not None else value
            self.lowest_cut_in_c = value if self.lowest_cut_in_c is None else min(value, self.lowest_cut_in_c)
        if was and not self.forward:
            self.diversions += 1
            self.cut_out_c = [self.last_c, value]

    def _below(self, dt: float | None, t: float, counted: float) -> None:
        if not self.forward or counted >= self.p["legal_c"]:
            self.below_since_s = None
            self.wrong = False
            return
        self.below_c = counted if self.below_c is None else min(counted, self.below_c)
        if self.below_since_s is None or dt is None:
            self.below_since_s = t
            return
        self.below_s += dt
        if t - self.below_since_s > self.p["divert_within_s"] and not self.wrong:
            self.findings += 1
            self.settled = False
            self.wrong = True

    @property
    def failing(self) -> bool:
        """Whether forward flow below the limit, or held too shortly, goes on at this moment."""
        return self.wrong

    def answer(self, now: float, ended: bool) -> Result:
        """Forward-flow time and what was found."""
        proven = self.p["valve"] == "signal"
        passed: bool | None = self.settled
        if passed is None and ended and proven:
            passed = True
        words = f"forward flow for {self.forward_s:.0f} s"
        if self.findings:
            words += f"; diversion not seen {self.findings} time(s): forward flow below {self.p['legal_c']:g} degC"
            words += f", lowest {self.below_c:.2f} degC"
        if self.short_s or (self.settled is False and not self.findings):
            words += f"; held for {self.least_hold_s:.1f} s only, {self.p['legal_s']:g} s wanted"
        if not proven:
            words += "; valve position derived from cut-in and cut-out: diversion is not proven"
        values: dict[str, Any] = {
            "forward_s": self.forward_s,
            "diversion_not_seen": self.findings,
            "forward_below_limit_s": self.below_s,
            "lowest_forward_c": self.lowest_forward_c,
            "least_holding_s": self.least_hold_s,
            "short_holding_s": self.short_s,
            "starts": self.starts,
            "diversions": self.diversions,
            "cut_in_c": self.cut_in_c,
            "lowest_cut_in_c": self.lowest_cut_in_c,
            "cut_out_between_c": self.cut_out_c,
            "forward_now": self.forward,
            "valve": self.p["valve"],
        }
        low_high = (self.forward_s, self.forward_most_s)
        return self.made(self.forward_s, "s", words, now, passed=passed, sampling=low_high, values=values)

    def evaluate(self, sample: Sample) -> PointValue:
        """Whether forward flow is allowed at an outlet temperature, and the holding time (input ``flow`` in
        L/h)."""
        hold = self.holding(sample.more.get("flow"))
        if hold is None:
            raise Unusable("no-flow", "no flow is known", "give flow, flow_lph or holding_s")
        counted = sample.value - self.u if self.p["safe_side"] and self.u is not None else sample.value
        allowed = counted >= self.p["legal_c"] and hold >= self.p["legal_s"]
        words = "forward flow is allowed" if allowed else "the flow must be diverted"
        mean = None if self.p["tube_l"] is None else hold / self.p["fastest"]
        return self.point(sample.value, hold, "s", words, {"forward_allowed": allowed, "mean_residence_s": mean})
