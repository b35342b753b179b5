"""Correction of indicated values by the points of a calibration certificate."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import isnan

EXTRA_DECIMALS = 2
"""Decimal places that a corrected value has beyond the indicated one."""


class Correction:
    """Piecewise linear correction through (indicated, reference) points.

    Between two points the correction is interpolated; beyond the outermost ones it stays what it is there,
    since a certificate says nothing about a slope outside its span. The result is rounded to the channel's
    decimals plus `EXTRA_DECIMALS`, so that it is recorded exactly.
    """

    def __init__(self, points: Sequence[tuple[float, float]], decimals: int | None) -> None:
        if not points:
            raise ValueError("a calibration needs at least one point")
        self._indicated = [indicated for indicated, _ in points]
        if any(b <= a for a, b in zip(self._indicated, self._indicated[1:], strict=False)):
            raise ValueError("indicated values of a calibration must rise")
        self._offsets = [reference - indicated for indicated, reference in points]
        self.decimals = None if decimals is None else decimals + EXTRA_DECIMALS

    def __call__(self, indicated: float) -> float:
        """The corrected value; NaN stays NaN."""
        if isnan(indicated):
            return indicated
        xs, offsets = self._indicated, self._offsets
        right = bisect_right(xs, indicated)
        if right == 0:
            offset = offsets[0]
        elif right == len(xs):
            offset = offsets[-1]
        else:
            share = (indicated - xs[right - 1]) / (xs[right] - xs[right - 1])
            offset = offsets[right - 1] + share * (offsets[right] - offsets[right - 1])
        corrected = indicated + offset
        return corrected if self.decimals is None else round(corrected, self.decimals) + 0.0


def corrected(
    values: Iterable[float], quality: bytes, corrections: Sequence[Correction | None]
) -> "tuple[array[float], bytes]":
    """Values and qualities by channel as columns: of a calibrated channel the corrected, then the indicated."""
    out: array[float] = array("d")
    marks = bytearray()
    for value, mark, correction in zip(values, quality, corrections, strict=True):
        out.append(value if correction is None or isnan(value) else correction(value))
        marks.append(mark)
        if correction is not None:
            out.append(value)
            marks.append(mark)
    return out, bytes(marks)
