"""From the journal to what a report is computed of: read beside the running daemon, never written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway import __version__
from gateway.buffer.reader import Reader
from gateway.errors import AuroraError, SealError
from gateway.holdings import stored as stored_batches
from gateway.model import DeviceLayout, StoredBatch
from gateway.records import Archive
from gateway.report.collect import Collector
from gateway.report.figures import LimitLine
from gateway.report.haccp import HaccpRecord, Proof, Setting, haccp_record
from gateway.report.period import Period
from gateway.report.samples import Happening, Samples
from gateway.reporting.proof import Prover
from gateway.seal.batch import open_batch
from gateway.seal.columns import peek_scans
from gateway.seal.cose import PublicKey
from gateway.site import PointSpec, Site

__all__ = ["Record"]

MARGIN_MS = 7_200_000
"""How far around a period is read: a batch may be a quarter of an hour long, and clocks are set."""


@dataclass(slots=True)
class Record:
    """The journal of a site, its events read. ``gone`` counts event batches that are no longer held here."""

    site: Site
    reader: Reader
    keys: Sequence[PublicKey] = ()
    events: list[Happening] = field(default_factory=list)
    gone: int = 0
    archive: Archive = field(default_factory=Archive)
    _layouts: dict[bytes, int | None] = field(default_factory=dict)
    _prover: Prover | None = None

    @classmethod
    def open(cls, site: Site, reader: Reader, keys: Sequence[PublicKey] = ()) -> "Record":
        """Read the whole event stream."""
        record = cls(site, reader, keys)
        for stored in record.archive.add_events(record._event_bodies()):
            event = stored.event
            record.events.append(
                Happening(stored.utc_ms, stored.boot, event.at_ms, event.kind, event.data, stored.batch)
            )
            if event.kind == "layout":
                record._layouts.setdefault(bytes(event.data["id"]), stored.utc_ms)
        return record

    def newest_ms(self) -> int | None:
        """The newest known time on record, None where there is none."""
        times = [event.utc_ms for event in self.events if event.utc_ms is not None]
        for batch in self._newest_scans():
            if batch.body is not None:
                claim = self.archive.claim(open_batch(batch.body).clock)
                if (at := claim.utc_at(batch.last_ms)) is not None:
                    times.append(at)
        for clock, _, _ in self.reader.tail():
            if (utc_ms := self.archive.claim(clock).utc_ms) is not None:
                times.append(utc_ms)
        return max(times, default=None)

    def device_layouts(self, device: str) -> list[tuple[int | None, DeviceLayout]]:
        """The layouts of a device on record, with the time at which each was entered, in that order."""
        found = []
        for name, since in self._layouts.items():
            layout = self.archive.layouts[name]
            found += [(since, one) for one in layout.devices if one.id == device]
        return sorted(found, key=lambda pair: pair[0] if pair[0] is not None else -1)

    def samples(self, point: PointSpec, period: Period) -> Samples:
        """The samples of a point in a period."""
        collector = Collector(point.device, point.channel, period)
        for stored in self._scans(period):
            body = stored.body
            if body is None or not self._has(body, point.device):
                continue
            batch, layout, records = self.archive.scans(body)
            collector.add(self.archive.claim(batch.clock), layout, records, (stored.seq, stored.leaf))
        for clock, layout, records in self.reader.tail():
            collector.add(self.archive.claim(clock), layout, records, None)
        layouts = self.device_layouts(point.device)
        known_from = layouts[0][0] if layouts and not self.gone else None
        grid = next(((one.period_ms, one.phase_ms) for _, one in reversed(layouts)), None)
        spec = next(device for device in self.site.devices if device.id == point.device)
        return collector.finish(known_from, grid or (spec.period_ms, spec.phase_ms))

    def haccp(self, point: PointSpec, period: Period) -> HaccpRecord:
        """The HACCP record of a point, with the verification of the batches it rests on."""
        samples = self.samples(point, period)
        setting = Setting(self.site.identity, point, limits_of(point), self.site.digest, __version__)
        proof = self.prove(samples)
        return haccp_record(setting, samples, self.events, self.device_layouts(point.device), proof)

    def prove(self, samples: Samples | None = None) -> Proof:
        """The verification of the batches of samples, and of the event stream."""
        if self._prover is None:
            self._prover = Prover(self.site, self.reader, self.keys)
        used = samples.batches if samples is not None else {}
        return self._prover.prove(min(used, default=None), max(used, default=None))

    def _event_bodies(self) -> Iterator[bytes]:
        for batch in stored_batches(self.reader, "event"):
            if batch.body is None:
                self.gone += 1
            else:
                yield batch.body

    def _newest_scans(self) -> list[StoredBatch]:
        bounds = self.reader.bounds("scan")
        return [] if bounds is None or bounds[1] == 0 else self.reader.batches("scan", max(1, bounds[1] - 20), 21)

    def _has(self, body: bytes, device: str) -> bool:
        """Whether the layout of a scan batch has the device; raises `AuroraError` for a batch without a layout."""
        name = peek_scans(open_batch(body).payload).layout_id
        if name not in self.archive.layouts:
            raise AuroraError(
                f"the layout {name.hex()} of scan batches is in no event batch that is still here; "
                "ask the cluster for the event stream of this gateway"
            )
        return any(one.id == device for one in self.archive.layouts[name].devices)

    def _scans(self, period: Period) -> Iterator[StoredBatch]:
        """The scan batches that can hold slots of a period, found by bisection, those without a time among them."""
        for batch in stored_batches(self.reader, "scan", self._first_scan(period.start_ms - MARGIN_MS)):
            if batch.seq == 0 or batch.body is None:
                continue
            begins = self._utc(batch, batch.first_ms)
            if begins is not None and begins > period.until_ms + MARGIN_MS:
                return
            yield batch

    def _utc(self, batch: StoredBatch, boot_ms: int) -> int | None:
        try:
            return None if batch.body is None else self.archive.claim(open_batch(batch.body).clock).utc_at(boot_ms)
        except SealError:
            return None

    def _first_scan(self, start_ms: int) -> int:
        """The first scan batch to read: before it all is older, or of a time that ended before then."""
        bounds = self.reader.bounds("scan")
        if bounds is None:
            return 0
        low, high = max(bounds[0], 1), bounds[1] + 1
        while low < high:
            middle = (low + high) // 2
            known = self._known_from(middle)
            if known is None or known[1] >= start_ms:
                high = middle
            else:
                low = known[0] + 1
        while low > bounds[0] + 1:
            before = self.reader.batches("scan", low - 1, 1)
            if not before or before[0].seq != low - 1 or self._utc(before[0], before[0].last_ms) is not None:
                break
            low -= 1
        return low

    def _known_from(self, seq: int) -> tuple[int, int] | None:
        """The first batch from ``seq`` on whose time is known, with its end."""
        for batch in stored_batches(self.reader, "scan", seq):
            if (ends := self._utc(batch, batch.last_ms)) is not None:
                return batch.seq, ends
        return None


def limits_of(point: PointSpec) -> tuple[LimitLine, ...]:
    """The limits that the site file has for a point, by its profile of limits where it has one."""
    profile = getattr(point, "profile", None)
    if profile is None:
        return ()
    return tuple(
        LimitLine(
            rule=limit.rule,
            side="high" if limit.side == "above" else "low",
            tier=str(limit.tier),
            value=limit.limit,
            unit=profile.unit,
            delay_s=getattr(limit, "delay_s", None),
            hysteresis=getattr(limit, "hysteresis", None),
            profile=profile.id,
            profile_hash=profile.digest,
            sources=tuple(profile.sources),
        )
        for limit in (*profile.limits, *profile.times)
    )
