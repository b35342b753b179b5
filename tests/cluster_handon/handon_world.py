"""What a gateway signed for these tests: scans, misses, a boot without time, late values, alarms, a lot."""

from pathlib import Path
from typing import Any

from derive_world import START_MS, Box, alarm, scan, settings_changed

from gateway.model import Miss
from gateway.records import Archive, Reading
from gateway.seal.keys import FileSigner

HOUR_MS = 3_600_000
END_MS = START_MS + 3 * HOUR_MS
POINT = {
    "point[cold].name": "Cold room",
    "point[cold].device": "room",
    "point[cold].channel": "air",
    "point[cold].critical": True,
}


def plant(folder: Path) -> Box:
    """A gateway that has measured for three hours, every ten minutes a batch of a few scans."""
    folder.mkdir(exist_ok=True)
    box = Box(FileSigner.create(folder / "key"))
    box.says_layout()
    box.happens(settings_changed(POINT, first=True))
    slot = 0
    for number in range(18):
        records: list[Any] = [scan(slot + place, -18.5 + number / 10 + place / 10) for place in range(5)]
        records.append(scan(slot + 5, None))
        records.append(Miss(0, slot + 6, 3, 0x81))
        box.pass_ms(600_000)
        box.measures(*records)
        slot += 600
    box.happens(
        alarm(
            "cold/high-critical",
            "raised",
            "unacknowledged",
            words="=too warm",
            value=-16.0,
            limit=-18.0,
            unit="degC",
        )
    )
    return box


def signed(box: Box) -> list[Reading]:
    """What the batches say, read by the gateway's own reader."""
    archive = Archive()
    list(archive.add_events(batch.body for batch in box.batches[0] if batch.body is not None))
    return list(archive.readings(batch.body for batch in box.batches[1] if batch.body is not None))
