"""A small plant and a desk at which its people record, for the tests of the logbook."""

from pathlib import Path
from typing import Any

from gateway.logbook.book import Logbook
from gateway.logbook.entry import Entry
from gateway.model import ClockClaim, ClockState, Column, DeviceLayout, Event, Layout
from gateway.site import BusSpec, DeviceSpec, Identity, PointSpec, Site

BOOT = b"boot-of-monday.."
MORNING = 1_795_500_000_000
"""Unix milliseconds of 2026-11-24T06:00Z, when the clock of a desk says one hour."""

SITE = Site(
    identity=Identity(member="m", site="s", gateway="g"),
    data_dir=Path("/nowhere"),
    buses=(BusSpec(id="b", kind="modbus-tcp", host="127.0.0.1"),),
    devices=(DeviceSpec(id="cold", bus="b", model="xy-md02", unit=1, period_ms=10_000),),
    points=(
        PointSpec(id="room", name="Cold room", device="cold", channel="temperature", critical=True, tolerance=0.5),
        PointSpec(id="dock", name="Dock", device="cold", channel="humidity"),
    ),
)
LAYOUT = Layout(
    (
        DeviceLayout(
            "cold",
            "b",
            "xy-md02",
            "00" * 32,
            10_000,
            0,
            (
                Column("temperature", "degC", 1),
                Column("temperature", "degC", 1, "indicated"),
                Column("humidity", "%RH", 1),
            ),
        ),
    )
)

REFERENCE = {
    "reference_instrument": "Testo 110, 1234",
    "reference_certificate": "D-77",
    "reference_valid_until": "2027-05-01",
}
CERTIFICATE = {"certificate": "K-1", "valid_until": "2027-11-24"}


class Desk:
    """Records one after the other, a minute apart, into a logbook and a stream beside it."""

    def __init__(self, memory: bytes | None = None, *, boot: bytes = BOOT, known: bool = True) -> None:
        self.book = Logbook(SITE, LAYOUT, memory)
        self.stream: list[tuple[Event, bytes, int | None]] = []
        self.boot = boot
        self.now_ms = 3_600_000
        self.known = known

    def claim(self) -> ClockClaim:
        if not self.known:
            return ClockClaim(self.boot, self.now_ms, None, None, ClockState.UNTRUSTED)
        return ClockClaim(self.boot, self.now_ms, MORNING - 3_600_000 + self.now_ms, 100, ClockState.TRUSTED)

    def make(self, kind: str, **fields: Any) -> Entry:
        """A record by Ana, unless somebody else is named."""
        request = {"person": "Ana", **fields}
        return self._taken(self.book.make(f"record.{kind}", request, self.claim()))

    def supersede(self, record: str, **fields: Any) -> Entry:
        request = {"supersedes": record, "person": "Bo", "reason": "mistyped", **fields}
        return self._taken(self.book.supersede(request, self.claim()))

    def _taken(self, event: Event) -> Entry:
        claim = self.claim()
        self.book.take(event, claim.boot, claim.utc_ms)
        self.stream.append((event, claim.boot, claim.utc_ms))
        self.now_ms += 60_000
        return self.book.get(event.data["record"])

    def again(self, memory: bytes | None = None) -> Logbook:
        """The logbook of a later process: from the stream, and a memory."""
        book = Logbook(SITE, LAYOUT, memory)
        for item in self.stream:
            book.take(*item)
        return book

    def lot(self, direction: str, point: str = "room", lot: str = "L1", **fields: Any) -> Entry:
        return self.make("lot", direction=direction, point=point, lot=lot, **fields)

    def verify(self, found: float | None, left: float | None = None, **fields: Any) -> Entry:
        point = {"reference": 0.0, "as_found": found, "as_left": left}
        return self.make("verification", channel="cold.temperature", points=[point], **REFERENCE, **fields)
