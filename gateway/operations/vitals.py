"""Vital signs of the box, read in a thread every minute, shown when one scrapes: no scrape waits for a disk."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from gateway.operations.card import WearBook, card_of, process_written_bytes
from gateway.operations.exposition import Labels
from gateway.operations.forecast import FullForecast
from gateway.operations.looplag import LAG_BUCKETS_S, LoopLag

__all__ = ["AMPLIFICATIONS", "Disk", "Vitals"]

log = logging.getLogger(__name__)

PERIOD_S = 60.0
FORECAST_EVERY_S = 600.0
SAVE_EVERY_S = 3600.0
CARD_FILE = "card.json"
AMPLIFICATIONS = (10, 100)
"""How much more a card writes inside than it is given: not known for SD, so the life is told for two guesses."""
DAY_S = 86400.0
LEAST_RATE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the journal at one moment; None for what is not known."""

    size_bytes: int | None = None
    free_bytes: int | None = None
    process_bytes: int | None = None
    """Written by this process since it began."""
    device: str = ""
    device_bytes: int | None = None
    """Written to the device since boot, by everybody."""
    card_bytes: int | None = None
    """Written to this card since the gateway first saw it."""
    life_used: Mapping[str, float] = field(default_factory=dict)
    full_in_s: float | None = None
    life_s: Mapping[int, float] = field(default_factory=dict)
    """What is left of the card's life by write amplification, where its endurance is stated."""


class Vitals:
    """Reads ``folder``'s disk, measures the loop. ``endurance_bytes`` is what the card's maker promises (TBW)."""

    def __init__(
        self,
        folder: Path,
        boot: str,
        *,
        endurance_bytes: int | None = None,
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self.lag = LoopLag()
        self.disk = Disk()
        self._folder, self._boot, self._endurance = folder, boot, endurance_bytes
        self._proc, self._sys, self._now_s = proc, sys, now_s
        self._forecast = FullForecast()
        self._book: WearBook | None = None
        self._first: tuple[float, int] | None = None
        self._forecast_s = self._saved_s = float("-inf")
        self._told = ""

    async def run(self) -> None:
        """Until cancelled; what was counted is kept at the end."""
        measuring = asyncio.create_task(self.lag.run(), name="loop lag")
        try:
            while True:
                await asyncio.to_thread(self.look)
                await asyncio.sleep(PERIOD_S)
        finally:
            measuring.cancel()
            self._save()

    def look(self) -> None:
        """Read everything once; for a thread of its own, since a worn card may take long."""
        now_s = self._now_s()
        found: dict[str, Any] = {"process_bytes": process_written_bytes(self._proc)}
        try:
            space = os.statvfs(self._folder)
        except OSError:
            pass
        else:
            found["size_bytes"] = space.f_blocks * space.f_frsize
            found["free_bytes"] = space.f_bavail * space.f_frsize
            if now_s - self._forecast_s >= FORECAST_EVERY_S:
                self._forecast_s = now_s
                self._forecast.note(now_s, (space.f_blocks - space.f_bfree) * space.f_frsize)
            found["full_in_s"] = self._forecast.full_in_s(found["free_bytes"])
        found.update(self._card(now_s))
        self.disk = Disk(**found)
        if now_s - self._saved_s >= SAVE_EVERY_S:
            self._save()

    def _card(self, now_s: float) -> dict[str, Any]:
        card = card_of(self._folder, self._sys)
        if card is None:
            return {}
        if self._book is None:
            self._book = WearBook(self._folder / CARD_FILE)
            self._saved_s = now_s
            if self._book.damaged:
                log.warning("what was kept about the card is damaged: bytes written to it are counted anew")
        total = self._book.count(card, self._boot)
        if self._first is None:
            self._first = now_s, total
        return {
            "device": card.name,
            "device_bytes": card.written_bytes,
            "card_bytes": total,
            "life_used": card.life_used,
            "life_s": self._life(now_s, total),
        }

    def _life(self, now_s: float, total: int) -> dict[int, float]:
        """Seconds left at the rate since this start; nothing before an hour, or where no endurance is stated."""
        assert self._first is not None
        since_s, written = now_s - self._first[0], total - self._first[1]
        if self._endurance is None or since_s < LEAST_RATE_S or written <= 0:
            return {}
        rate = written / since_s
        return {factor: max(0.0, self._endurance / factor - total) / rate for factor in AMPLIFICATIONS}

    def _save(self) -> None:
        if self._book is None:
            return
        self._saved_s = self._now_s()
        try:
            self._book.save()
        except OSError as error:
            if str(error) != self._told:
                log.warning("what is known of the card cannot be kept (%s)", error.strerror)
            self._told = str(error)

    # for the metrics

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """What is known; what is not is absent."""
        disk = self.disk
        plain = {
            "aurora_disk_size_bytes": disk.size_bytes,
            "aurora_disk_free_bytes": disk.free_bytes,
            "aurora_disk_full_seconds": disk.full_in_s,
            "aurora_process_disk_written_bytes_total": disk.process_bytes,
            "aurora_loop_lag_max_seconds": self.lag.longest_s,
        }
        for name, value in plain.items():
            if value is not None:
                yield name, (), value
        if disk.device_bytes is not None and disk.card_bytes is not None:
            yield "aurora_disk_device_written_bytes_total", (disk.device,), disk.device_bytes
            yield "aurora_disk_card_written_bytes", (disk.device,), disk.card_bytes
        for area, used in sorted(disk.life_used.items()):
            yield "aurora_disk_life_used_ratio", (disk.device, area), used
        for factor, left_s in sorted(disk.life_s.items()):
            yield "aurora_disk_life_left_seconds", (disk.device, str(factor)), left_s

    def lag_histogram(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative buckets and sum."""
        running, buckets = 0, []
        for limit, count in zip((*LAG_BUCKETS_S, float("inf")), self.lag.buckets, strict=True):
            running += count
            buckets.append(("+Inf" if limit == float("inf") else str(limit), float(running)))
        return buckets, self.lag.total_s
