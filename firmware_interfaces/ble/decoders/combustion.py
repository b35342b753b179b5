"""Combustion Predictive Probe: eight thermistors, below company 0x09C7; and its food-safety status, read by GATT.

Source: github.com/combustion-inc/combustion-documentation, probe_ble_specification.rst (draft), and the test
frames of combustion-inc/combustion-android-ble (MIT). Packed fields fill from the lowest bit on. In instant-read
mode only the first thermistor measures, and the others read 0, which is not -20 degC; a number other than 0
there is kept and marked uncertain. What lies behind the battery byte (network, overheating, preferences) is not
read: the maker's own application does not trust it either.
"""

from firmware_interfaces.ble.decoders.frame import Frame, Quantity, Sequence_, State, number
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault
from firmware_interfaces.quality import Quality

__all__ = ["COMPANY", "FOOD_SAFE", "FRAMES", "decode", "decode_food_safe_status"]

COMPANY = 0x09C7
FORMAT = "combustion-probe"

SIZE = 20
LONGEST = 24
PROBES = (0, 1)
"""Product types "unknown" and "predictive probe"; the others are nodes that pass on what they heard of a probe."""

TEMPERATURES, MODE = 5, 18
NORMAL, INSTANT, ERROR = 0, 1, 3

_T1 = (State(MODE, 0, 3, ((NORMAL, Quality.GOOD), (INSTANT, Quality.GOOD)), Quality.SENSOR_FAULT),)
_REST = (State(MODE, 0, 3, ((NORMAL, Quality.GOOD), (INSTANT, Quality.DEVICE_UNCERTAIN)), Quality.SENSOR_FAULT),)


def _thermistor(index: int, *, instant: bool) -> Quantity:
    """13 bits, 0.05 degC each, from -20 degC."""
    first = 13 * index
    start, shift = TEMPERATURES + first // 8, first % 8
    last = TEMPERATURES + (first + 12) // 8
    return Quantity(
        key=f"t{index + 1}",
        unit="degC",
        at=start,
        size=last - start + 1,
        shift=shift,
        mask=0x1FFF,
        multiplier=5,
        addend=-2000,
        places=2,
        invalid=(0,) if instant and index else (),
        high=369.0,
        states=_REST if index else _T1,
    )


def _frame(*, instant: bool) -> Frame:
    return Frame(
        FORMAT,
        SIZE,
        "little",
        [*(_thermistor(index, instant=instant) for index in range(8)), Quantity(key="battery_low", at=19, mask=1)],
    )


FRAMES = (_frame(instant=False), _frame(instant=True))

FOOD_SAFE = Frame(
    "combustion-food-safe",
    8,
    "little",
    [
        Quantity(
            key="food_safe_state",
            mask=7,
            high=2,
        ),
        Quantity(key="log_reduction", unit="log10", size=2, shift=3, mask=0xFF, places=1),
        Quantity(key="seconds_above_threshold", unit="s", at=1, size=3, shift=3, mask=0xFFFF),
    ],
    Sequence_(3, 5, "little"),
)
"""State 0 not safe, 1 safe, 2 safety impossible; then log reduction, seconds above the threshold, log sequence."""


def decode(data: bytes, context: Context = Context()) -> Decoded:  # noqa: ARG001, B008
    """Readings of the payload behind the company id."""
    size = len(data)
    if size < SIZE:
        raise AdvertFault(FORMAT, Fault.TRUNCATED, f"{size} bytes, not {SIZE}")
    if size > LONGEST:
        raise AdvertFault(FORMAT, Fault.WRONG_LENGTH, f"{size} bytes, more than {LONGEST}")
    if data[0] not in PROBES:
        what = f"product type {data[0]}: a node that passes on what a probe said, no one knows when"
        raise AdvertFault(FORMAT, Fault.FOREIGN, what)
    frame = FRAMES[data[MODE] & 3 == INSTANT]
    return frame.decode(data[:SIZE]).with_facts(identity=f"{number(data, 1, 4, 'little'):08X}")


def decode_food_safe_status(data: bytes) -> Decoded:
    """The eight bytes "food safe status" of the probe status characteristic (00000101-CAAB-...).

    ``sequence`` is that of the newest log record that the calculation has taken in.
    """
    decoded = FOOD_SAFE.decode(data)
    return decoded._replace(sequence=number(data, 0, 8, "little") >> 27 & 0xFFFFFFFF)
