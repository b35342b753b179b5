"""What all calculations have in common: parameters, input, gaps, state. One subclass a subject."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from gateway.assess.process.memory import Remembers, pack, unpack
from gateway.assess.process.outcome import Outcome, PointValue, Refusal, Result
from gateway.assess.process.parameters import Parameter, ParameterError, ParameterProblem, check_parameters
from gateway.assess.process.watch import SAME_S, Watch
from gateway.errors import StorageError

__all__ = ["COMMON", "NOTHING", "SAME_S", "Calculation", "Sample", "Unusable", "max_gap", "to_celsius"]

NOTHING: Mapping[str, float | None] = MappingProxyType({})
ABSOLUTE_ZERO_C = -273.15

COMMON = (
    Parameter(
        name="unit",
        kind="text",
        words='scale of the temperatures that are fed and asked for: "C" or "F"',
        default="C",
        choices=lambda: ("C", "F"),
    ),
    Parameter(
        name="probe_u",
        kind="number",
        unit="K",
        words="expanded uncertainty of the probe as on its certificate; left out: not stated",
        low=0.0,
        high=20.0,
        example=0.3,
    ),
)


def max_gap(default_s: float) -> Parameter:
    """The parameter that says how long the input may be silent."""
    return Parameter(
        name="max_gap_s",
        kind="number",
        unit="s",
        words="longest time between usable values; a longer one and the calculation refuses",
        default=default_s,
        low=0.001,
        high=3.2e7,
    )


def to_celsius(value: float, unit: str) -> float:
    """A temperature in degC, from degC (``C``) or degF (``F``)."""
    return (value - 32) / 1.8 if unit == "F" else value


class Sample(NamedTuple):
    """One usable value in degC (or the input's own unit): its time and the seconds since the usable one before.

    ``dt`` is None for the first and after too long a gap; ``more`` holds the further inputs by name.
    """

    t: float
    dt: float | None
    value: float
    more: Mapping[str, float | None] = NOTHING


class Unusable(Exception):  # noqa: N818 - not a mistake: a place where a formula has no number
    """A value lies where the formula is not published; ``reason`` is a short name, ``words`` and ``remedy`` say
    it."""

    def __init__(self, reason: str, words: str, remedy: str) -> None:
        self.reason = reason
        self.words = words
        self.remedy = remedy
        super().__init__(words)


class Calculation(Remembers):
    """One streaming calculation.

    Feed it with rising times (seconds on any clock that does not jump) and ask for its result whenever you like;
    with ``ended`` the run is over and open criteria are decided. Memory does not grow with the number of samples.
    Raises `ParameterError` with every mistake in the parameters.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    also: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Further inputs that may be fed, by name, with what they are."""
    needs: tuple[str, ...] = ()
    """Those of them without which a sample has no use."""
    input_unit: ClassVar[str] = "degC"
    shortest: ClassVar[int] = 2
    """Usable samples that a result needs."""
    fields: ClassVar[tuple[str, ...]] = ("watch", "refused", "settled")

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.p, problems = check_parameters(self.parameters, given)
        self.source = ""
        self.formula = ""
        if not problems:
            problems = list(self.prepare())
        if problems:
            raise ParameterError(self.name, problems)
        self.u: float | None = self.p.get("probe_u")
        self.watch = Watch(self.p["max_gap_s"])
        self.refused: list[str] | None = None
        self.settled: bool | None = None
        self.start()

    # what a subject says of itself

    def prepare(self) -> list[ParameterProblem]:
        """Look up what the parameters name; returns the mistakes that only show together."""
        return []

    def start(self) -> None:
        """Set up what is remembered."""

    def step(self, sample: Sample) -> None:
        """Take in one usable value. May raise `Unusable`, and the run is refused from then on."""
        raise NotImplementedError

    def answer(self, now: float, ended: bool) -> Result:
        """The result; asked for only when there is nothing to refuse. May raise `Unusable`."""
        raise NotImplementedError

    def evaluate(self, sample: Sample) -> PointValue:
        """The formula or table at one value (degC). May raise `Unusable`."""
        del sample
        raise Unusable("no-point", f"{self.name} has no value at a point", "give it a series of values")

    def passing(self, now: float) -> None:
        """Time passes without a sample: what is decided by time alone may be settled here."""
        del now

    @property
    def criterion(self) -> bool:
        """Whether there is something to pass or to fail."""
        return False

    @property
    def failing(self) -> bool:
        """Whether the criterion is failed at this moment."""
        return self.settled is False

    # what everybody uses

    def feed(
        self, t: float, value: float | None, reason: str = "", more: Mapping[str, float | None] = NOTHING
    ) -> None:
        """One sample at ``t`` seconds; None where there is no value, with the reason. Raises `ValueError` when time
        does not rise."""
        if value is not None and self.input_unit == "degC":
            value = to_celsius(value, self.p["unit"])
        if value is not None and (
            not math.isfinite(value) or (self.input_unit == "degC" and value < ABSOLUTE_ZERO_C)
        ):
            value, reason = None, "not a temperature"
        lacking = next((name for name in self.needs if more.get(name) is None), None)
        if value is not None and lacking is not None:
            value, reason = None, f"no value of {lacking}"
        dt = self.watch.take(t, value is not None, reason or "no value")
        if value is None:
            return
        if dt is None and self.watch.samples > 1:
            self.gap()
        try:
            self.step(Sample(t, dt, value, more))
        except Unusable as unusable:
            if self.refused is None:
                self.refused = [unusable.reason, unusable.words, unusable.remedy]

    def gap(self) -> None:
        """A gap beyond the longest allowed has ended; the run cannot be told any more."""
        if self.refused is None:
            longest = self.watch.longest_s
            self.refused = ["gap", *_gap_words(longest, self.watch.max_gap_s)]

    def result(self, now: float | None = None, *, ended: bool = False) -> Outcome:
        """What follows from all that was fed, at ``now`` (default: the newest sample)."""
        if now is not None:
            self.passing(now)
        watch = self.watch
        silent = 0.0 if watch.good_s is None else self._newest(now) - watch.good_s
        if self.refused is not None:
            return self.refusal(self.refused[0], self.refused[1], self.refused[2], now)
        if watch.samples == 0:
            return self.refusal("no-value", "no usable value has come", "look at the sensor and its channel", now)
        if silent > watch.max_gap_s + SAME_S:
            return self.refusal("gap", *_gap_words(silent, watch.max_gap_s), now)
        if watch.samples < self.shortest:
            return self.refusal("too-few", "one value is no course of time", "feed at least two values", now)
        try:
            return self.answer(self._newest(now), ended)
        except Unusable as unusable:
            return self.refusal(unusable.reason, unusable.words, unusable.remedy, now)

    def at(self, value: float, more: Mapping[str, float | None] = NOTHING) -> PointValue | Refusal:
        """The formula or table at one value, in the unit of the parameters."""
        if self.input_unit == "degC":
            value = to_celsius(value, self.p["unit"])
            if not math.isfinite(value) or value < ABSOLUTE_ZERO_C:
                return self.refusal(
                    "not-a-temperature", f"{value:g} degC is no temperature", "check the unit", None
                )
        try:
            return self.evaluate(Sample(0.0, None, value, more))
        except Unusable as unusable:
            return self.refusal(unusable.reason, unusable.words, unusable.remedy, None)

    def state(self) -> bytes:
        """All that the future depends on; give it to `restore` of an object with the same parameters."""
        return pack([self.name, self._key(), self.save()])

    def restore(self, kept: bytes) -> None:
        """Go on from what `state` gave. Raises `StorageError` for anything else."""
        content = unpack(kept)
        if not isinstance(content, list) or len(content) != 3 or content[:2] != [self.name, self._key()]:
            raise StorageError("the kept state is of another calculation or other parameters", "it begins anew")
        self.load(content[2])

    def _newest(self, now: float | None) -> float:
        last = self.watch.last_s if self.watch.last_s is not None else 0.0
        return last if now is None else max(now, last)

    def _key(self) -> str:
        return repr(sorted((name, value) for name, value in self.p.items()))

    # for the subclasses

    def refusal(self, reason: str, words: str, remedy: str, now: float | None) -> Refusal:
        """No number, with the reason and what was seen."""
        return Refusal(
            calculation=self.name,
            formula=self.formula,
            source=self.source,
            reason=reason,
            words=words,
            remedy=remedy,
            coverage=self.watch.coverage(now) if self.watch.first_s is not None else None,
            settled=self.settled,
        )

    def made(
        self,
        value: float,
        unit: str,
        words: str,
        now: float,
        *,
        passed: bool | None = None,
        probe: tuple[float, float] | None = None,
        sampling: tuple[float, float] | None = None,
        values: Mapping[str, Any] = NOTHING,
    ) -> Result:
        """A result with what every result has."""
        if not math.isfinite(value):
            raise Unusable("no-number", "the formula gives no finite number here", "check the parameters")
        return Result(
            calculation=self.name,
            formula=self.formula,
            source=self.source,
            value=value,
            unit=unit,
            passed=passed,
            words=words,
            coverage=self.watch.coverage(now),
            uncertainty={
                "probe_u_k": self.u,
                "probe": list(probe) if probe is not None and self.u is not None else None,
                "sampling": list(sampling) if sampling is not None else None,
            },
            values=values,
        )

    def point(
        self, at: float, value: float, unit: str, words: str, values: Mapping[str, Any] = NOTHING
    ) -> PointValue:
        """A value of the formula with what every such value has."""
        return PointValue(
            calculation=self.name,
            formula=self.formula,
            source=self.source,
            at=at,
            at_unit=self.input_unit,
            value=value,
            unit=unit,
            words=words,
            values=values,
        )


def _gap_words(silent_s: float, most_s: float) -> tuple[str, str]:
    words = f"no usable value for {silent_s:g} s, and {most_s:g} s are the most that this calculation stands"
    return words, "look at the sensor; set max_gap_s only if the product cannot have changed meanwhile"
