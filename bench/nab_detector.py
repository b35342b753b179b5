"""The detectors as a harness for the Numenta Anomaly Benchmark wants one: built per file, fed value by value.

The harness hands over the range of the file (not used: it would be a look into the future), the number of rows in
the probationary part and the usual interval in seconds. Probation is the only time scale of a stream whose kind is
not known. Rows that are not judged (a second value for the same instant) score 0. `THRESHOLD` is frozen.
"""

from gateway_core.anomaly import THRESHOLD, Bank, Config

__all__ = ["THRESHOLD", "NabDetector", "make_detector"]


class NabDetector:
    """One stream."""

    def __init__(self, probation_s: float) -> None:
        self._update = Bank(1, Config.over(probation_s)).update

    def update(self, timestamp: float, value: float) -> float:
        """Score in [0, 1] of a value at ``timestamp`` (seconds)."""
        score = self._update(0, timestamp, value)
        return score if score >= 0.0 else 0.0


def make_detector(
    min_value: float,  # noqa: ARG001 - the interface of the harness
    max_value: float,  # noqa: ARG001
    probationary_n: float,
    interval_s: float,
) -> NabDetector:
    """A detector for a file whose first ``probationary_n`` rows, ``interval_s`` apart, are not scored."""
    return NabDetector(max(1.0, probationary_n) * max(1.0, interval_s))
