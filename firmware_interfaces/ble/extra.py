"""Formats of advertisements from other packages, put beside those of the gateway, as the same kind of tables."""

from firmware_interfaces.ble.decoders.dispatch import BY_SERVICE, TABLES, full_uuid
from firmware_interfaces.ble.decoders.frame import Frame, Quantity, Sequence_
from firmware_interfaces.ble.decoders.nouns import AdvertFault, Context, Decoded, Fault
from firmware_interfaces.ble.models import MODELS, model_of_frame
from firmware_interfaces.extra import AdvertFormat

__all__ = ["ExtraDecoder", "add_format"]


class ExtraDecoder:
    """All added formats below one company id or service."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._formats: dict[str, tuple[bytes, Frame]] = {}

    def add(self, id_: str, prefix: bytes, frame: Frame) -> None:
        """One more; the same id replaces what was added before."""
        self._formats[id_] = prefix, frame

    def __call__(self, data: bytes, _: Context) -> Decoded:
        """The frame by the format that it begins as. Raises `AdvertFault`."""
        known = False
        for prefix, frame in self._formats.values():
            if data.startswith(prefix):
                if len(data) == frame.size:
                    return frame.decode(data)
                known = True
        raise AdvertFault(self._name, Fault.WRONG_LENGTH if known else Fault.FOREIGN, f"{len(data)} bytes")


def add_format(format_: AdvertFormat) -> None:
    """Make a format known. Raises `ValueError` for one that cannot be, or that is of somebody else."""
    if (format_.company is None) == (format_.service is None):
        raise ValueError(f"{format_.id}: it needs a company id or a service, one of the two")
    known = MODELS.known(format_.id)
    if known is not None and known.formats != (format_.id,):
        raise ValueError(f"there is a model {format_.id!r} already")
    frame = _frame(format_)
    if format_.company is not None:
        decoder = TABLES.company.get(format_.company)
    else:
        assert format_.service is not None
        decoder = BY_SERVICE.get(format_.service)
    if decoder is None:
        decoder = ExtraDecoder(format_.id)
        if format_.company is not None:
            TABLES.company[format_.company] = decoder
        else:
            assert format_.service is not None
            BY_SERVICE[format_.service] = TABLES.uuid[full_uuid(format_.service)] = decoder
    if not isinstance(decoder, ExtraDecoder):
        raise ValueError(f"{format_.id}: the gateway itself decodes what is sent there")
    decoder.add(format_.id, format_.prefix, frame)
    MODELS[format_.id] = model_of_frame(format_.id, format_.title, frame, format_.source)


def _frame(format_: AdvertFormat) -> Frame:
    for quantity in format_.quantities:
        if quantity.at < 0 or quantity.size < 1 or quantity.at + quantity.size > format_.size:
            raise ValueError(f"{format_.id}: {quantity.key} lies outside its {format_.size} bytes")
    if not format_.quantities:
        raise ValueError(f"{format_.id}: it has no quantities")
    quantities = [
        Quantity(
            key=one.key,
            unit=one.unit,
            at=one.at,
            size=one.size,
            signed=one.signed,
            order=one.order,
            shift=one.shift,
            mask=one.mask,
            multiplier=one.multiplier,
            addend=one.addend,
            places=one.places,
            invalid=one.invalid,
            low=one.low,
            high=one.high,
        )
        for one in format_.quantities
    ]
    sequence = None if format_.counter_at is None else Sequence_(format_.counter_at, 1, format_.order)
    try:
        return Frame(format_.id, format_.size, format_.order, quantities, sequence)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{format_.id}: {error}") from error
