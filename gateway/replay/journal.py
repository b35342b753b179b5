"""A gateway's own journal through its judges, under the rules of its site file as they are now."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from firmware_interfaces.quality import BAD
from gateway.acquire.station import layout_of
from gateway.assess.border import JudgeFactory
from gateway.buffer.reader import Reader
from gateway.errors import AuroraError
from gateway.holdings import bodies, scans_of
from gateway.model import ClockClaim, ClockState, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.records import Archive
from gateway.replay.engine import Player, Tell, claim_at
from gateway.site import Site

__all__ = ["play_journal"]


def play_journal(
    site: Site,
    tell: Tell,
    look: Callable[[int | None, Scan, Layout], None] | None = None,
    judges: Sequence[tuple[str, JudgeFactory]] | None = None,
) -> Player:
    """Everything that a site's journal holds, under the rules of its site file as they are now.

    Columns are found by device and channel, so that records of earlier layouts are judged as well; ``look`` sees
    each scan with its UTC. Raises `AuroraError` where there is no journal or nothing in it.
    """
    path = site.data_dir / "journal.db"
    if not path.exists():
        raise AuroraError(f"there is no journal {path}: the gateway has not run with this site file yet")
    layout = layout_of(site)
    player = Player(site, layout, tell, judges)
    with closing(Reader(path)) as journal:
        archive = Archive()
        for _ in archive.add_events(bodies(journal, "event")):
            pass
        boot: bytes | None = None
        for claim, of_layout, records in scans_of(archive, journal):
            known = _known(claim, archive)
            for at_ms, record in _in_time(of_layout, records):
                if boot != claim.boot:
                    first = claim_at(known, at_ms)
                    if boot is None:
                        player.begin(first)
                    else:
                        player.reboot(first)
                    boot = claim.boot
                elif known.utc_ms is not None:
                    player.claim = claim_at(known, player.now_ms)
                if isinstance(record, Miss) and record.quality == Quality.GATEWAY_DOWN:
                    player.resume(at_ms)
                player.move(at_ms)
                _feed(player, layout, of_layout, record, look)
    if not player.scans:
        raise AuroraError(f"{path} holds no scans of the devices in {site.source}")
    return player


def _known(claim: ClockClaim, archive: Archive) -> ClockClaim:
    """The claim with the time that a later correction gave its boot."""
    if claim.utc_ms is None and (correction := archive.corrections.get(claim.boot)) is not None:
        offset_ms, error_ms = correction
        return ClockClaim(claim.boot, claim.boot_ms, claim.boot_ms + offset_ms, error_ms, ClockState.HOLDOVER)
    return claim


def _in_time(layout: Layout, records: Iterable[Scan | Miss]) -> list[tuple[int, Scan | Miss]]:
    """Records of a batch in the order of time: a scan when it was answered, a run of misses at its last slot."""

    def at_ms(record: Scan | Miss) -> int:
        if isinstance(record, Scan):
            return record.at_ms
        device = layout.devices[record.device]
        return (record.slot + record.count - 1) * device.period_ms + device.phase_ms

    return sorted(((at_ms(record), record) for record in records), key=lambda one: one[0])


def _feed(
    player: Player,
    layout: Layout,
    of_layout: Layout,
    record: Scan | Miss,
    look: Callable[[int | None, Scan, Layout], None] | None,
) -> None:
    was = of_layout.devices[record.device]
    index = next((i for i, device in enumerate(layout.devices) if device.id == was.id), None)
    if index is None:
        return
    if isinstance(record, Miss):
        player.assess.miss(Miss(index, record.slot, record.count, record.quality))
        return
    now = layout.devices[index]
    scan = record if was.columns == now.columns and index == record.device else _mapped(record, was, now, index)
    if look is not None:
        look(player.claim.utc_at(scan.at_ms), scan, layout)
    player.assess.scan(scan)
    player.scans += 1


def _mapped(scan: Scan, was: DeviceLayout, now: DeviceLayout, index: int) -> Scan:
    """A scan in the columns of today; a column that it did not have has no value."""
    places = {(column.channel, column.role, column.unit): i for i, column in enumerate(was.columns)}
    values, quality = array("d"), bytearray()
    for column in now.columns:
        place = places.get((column.channel, column.role, column.unit))
        usable = place is not None and scan.quality[place] < BAD
        values.append(scan.values[place] if usable and place is not None else float("nan"))
        quality.append(scan.quality[place] if place is not None else Quality.NOT_STARTED)
    return Scan(index, scan.slot, scan.at_ms, values, bytes(quality))
