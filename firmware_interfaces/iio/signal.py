"""From an electrical signal to the quantity that it stands for.

A 4-20 mA loop has a live zero: what it carries while it measures lies between 3.8 and 20.5 mA; a failed transmitter
drives it to 3.6 mA or less, or to 21 mA or more (NAMUR NE 43). Between those bands it says nothing. So there is a
value between 3.8 and 20.5 mA, and nowhere else: a broken wire (0 mA) is no cold room at the lower end of its span.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from firmware_interfaces.iio.inputs import Sample
from firmware_interfaces.quality import Quality

__all__ = ["Span", "loop_fault", "scaled"]

FAILED_LOW_MA, MEASURES_FROM_MA = Decimal("3.6"), Decimal("3.8")
MEASURES_TO_MA, FAILED_HIGH_MA = Decimal("20.5"), Decimal(21)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How a signal becomes a quantity: its ``low`` is ``at_low`` of the quantity, its ``high`` is ``at_high``.

    ``loop``: the signal is a 4-20 mA loop, in mA; ``shunt_ohm`` the resistor over which a voltage input sees it.
    Otherwise what lies outside ``low`` to ``high`` is out of range. The value is rounded to ``decimals`` places.
    """

    low: Decimal
    high: Decimal
    at_low: Decimal
    at_high: Decimal
    decimals: int
    loop: bool = False
    shunt_ohm: Decimal | None = None


def loop_fault(milliamperes: Decimal) -> tuple[Quality, str] | None:
    """Why a loop current is no measurement; None where it is one."""
    if milliamperes <= FAILED_LOW_MA:
        return Quality.SENSOR_FAULT, f"{milliamperes:.2f} mA: the wire is broken or the transmitter reports a fault"
    if milliamperes >= FAILED_HIGH_MA:
        return Quality.SENSOR_FAULT, f"{milliamperes:.2f} mA: a short circuit, or the transmitter reports a fault"
    if not MEASURES_FROM_MA <= milliamperes <= MEASURES_TO_MA:
        return Quality.OUT_OF_RANGE, f"{milliamperes:.2f} mA: beyond what the transmitter measures"
    return None


def scaled(sample: Sample, span: Span) -> Sample:
    """A sample of an input (V or mA) as the quantity that it stands for, or the fault that it shows."""
    if sample.value is None:
        return sample
    signal = sample.value
    if span.shunt_ohm is not None:
        signal = signal * 1000 / span.shunt_ohm
    if span.loop and (fault := loop_fault(signal)) is not None:
        return Sample(None, fault[0], sample.raw, fault[1])
    if not span.loop and not span.low <= signal <= span.high:
        return Sample(
            None, Quality.OUT_OF_RANGE, sample.raw, f"{signal:g} is outside {span.low:g} to {span.high:g}"
        )
    value = span.at_low + (signal - span.low) * (span.at_high - span.at_low) / (span.high - span.low)
    rounded = value.quantize(Decimal(1).scaleb(-span.decimals), ROUND_HALF_EVEN)
    return Sample(rounded, sample.quality, sample.raw)
