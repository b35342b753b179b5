"""What a calculation says: a result with its source and uncertainty, or a refusal with its reason. Never half of
each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Coverage", "Outcome", "PointValue", "Refusal", "Result"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a run was seen.

    ``from_s`` and ``until_s`` are the first and the newest time that was fed (seconds, as fed); ``share`` is the
    part of the time between them that lies between usable samples no further apart than the longest gap allowed;
    ``longest_gap_s`` the longest time without a usable value; ``missing`` counts samples without one, by reason.
    """

    from_s: float | None
    until_s: float | None
    samples: int
    share: float
    longest_gap_s: float
    max_gap_s: float
    missing: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and CBOR."""
        return {
            "from_s": self.from_s,
            "until_s": self.until_s,
            "samples": self.samples,
            "share": round(self.share, 6),
            "longest_gap_s": self.longest_gap_s,
            "max_gap_s": self.max_gap_s,
            "missing": dict(self.missing),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A number with all that makes it one.

    ``passed`` is None while the criterion is open or where there is none; True and False are final. ``uncertainty``
    has ``probe`` (what the stated uncertainty of the sensor does to the value, low and high; None where no
    uncertainty was stated) and ``sampling`` (low and high that the samples leave open). ``values`` holds further
    figures by name, ``words`` one English sentence.
    """

    calculation: str
    formula: str
    source: str
    value: float
    unit: str
    passed: bool | None
    words: str
    coverage: Coverage
    uncertainty: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and CBOR."""
        return {
            "calculation": self.calculation,
            "value": self.value,
            "unit": self.unit,
            "passed": self.passed,
            "words": self.words,
            "formula": self.formula,
            "source": self.source,
            "uncertainty": dict(self.uncertainty),
            "values": dict(self.values),
            "coverage": self.coverage.as_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No number, and why. ``reason`` is a short stable name, ``words`` says it in English, ``remedy`` what would
    help.

    ``settled`` tells whether the criterion was decided before the input became unusable: a lethality once reached
    stays reached, a deadline once missed stays missed.
    """

    calculation: str
    formula: str
    source: str
    reason: str
    words: str
    remedy: str
    coverage: Coverage | None = None
    settled: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and CBOR."""
        return {
            "calculation": self.calculation,
            "refused": self.reason,
            "words": self.words,
            "remedy": self.remedy,
            "settled": self.settled,
            "formula": self.formula,
            "source": self.source,
            "coverage": self.coverage.as_dict() if self.coverage is not None else None,
        }


Outcome = Result | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class PointValue:
    """What a formula or a table gives for one value of its input, without any time passing."""

    calculation: str
    formula: str
    source: str
    at: float
    at_unit: str
    value: float
    unit: str
    words: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and CBOR."""
        return {
            "calculation": self.calculation,
            "at": self.at,
            "at_unit": self.at_unit,
            "value": self.value,
            "unit": self.unit,
            "words": self.words,
            "formula": self.formula,
            "source": self.source,
            "values": dict(self.values),
        }
