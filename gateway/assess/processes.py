"""The judge of process calculations: scans in, ``process.*`` events and conditions out. The same live and on past
data."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.assess.judge import Finding
from gateway.assess.process.memory import pack, unpack
from gateway.assess.process.outcome import Outcome
from gateway.assess.running import Process
from gateway.errors import AuroraError, StorageError
from gateway.model import ClockClaim, DeviceLayout, Layout, Miss, Quality, Scan
from gateway.site import Site

__all__ = ["ProcessJudge"]

log = logging.getLogger(__name__)

LONGEST_WAIT_MS = 600_000
"""How long a restarted gateway waits for a trusted clock before runs of the boot before are given up."""
MOST_WAITING = 20_000
"""Records held meanwhile."""
OLDEST_PERIODS = 3
"""A further input from another device serves for so many of its periods."""


class ProcessJudge:
    """Runs the processes of a site. ``memory`` is what `memory` gave before a restart."""

    name = "process"
    keep_every_ms = 5000
    """What was fed since the newest memory is a gap after a kill: few calculations stand a minute of it."""

    def __init__(self, site: Site, layout: Layout, memory: bytes | None = None) -> None:
        self._layout = layout
        self._places = {
            (device.id, column.channel): (index, number)
            for index, device in enumerate(layout.devices)
            for number, column in enumerate(device.columns)
            if column.role == "value"
        }
        self.processes = tuple(
            Process(spec) for spec in site.processes if (spec.device, spec.channel) in self._places
        )
        self._by_device: dict[int, list[Process]] = {}
        for process in self.processes:
            index = self._places[process.spec.device, process.spec.channel][0]
            self._by_device.setdefault(index, []).append(process)
        watched = {place for process in self.processes for place in process.spec.inputs.values()}
        self._watched = {place: self._places[place] for place in watched if place in self._places}
        self._latest: dict[tuple[str, str], tuple[int, float]] = {}
        self._boot: bytes | None = None
        self._epoch_ms: int | None = None
        """UTC of the boot clock's zero, from the newest trusted claim."""
        self._waiting: deque[Scan | tuple[Miss, int]] | None = None
        self._kept: bytes | None = None
        self._kept_boot = b""
        self._kept_epoch_ms: int | None = None
        self._first_ms: int | None = None
        if memory is not None:
            self._restore(memory)

    # the Judge

    def scan(self, scan: Scan) -> Sequence[Finding]:
        """Feed what this scan holds."""
        if self._waiting is not None:
            return self._wait(scan)
        self._note(scan)
        found: list[Finding] = []
        for process in self._by_device.get(scan.device, ()):
            number = self._places[process.spec.device, process.spec.channel][1]
            quality = scan.quality[number]
            if quality >= Quality.TIMEOUT:
                found += process.nothing(scan.at_ms, Quality(quality).words)
            else:
                found += process.value(scan.at_ms, scan.values[number], self._more(process, scan.at_ms))
        return found

    def miss(self, miss: Miss, now_ms: int) -> Sequence[Finding]:
        """Slots without an answer are samples without a value."""
        if self._waiting is not None:
            return self._wait((miss, now_ms))
        words = Quality(miss.quality).words
        return [
            finding
            for process in self._by_device.get(miss.device, ())
            for finding in process.nothing(now_ms, words)
        ]

    def tick(self, claim: ClockClaim) -> Sequence[Finding]:
        """Deadlines; and after a restart, what became of the runs that were going on."""
        found: list[Finding] = []
        if self._waiting is not None and (found_now := self._resume(claim)) is not None:
            found += found_now
        if self._waiting is not None:
            return found
        self._boot = claim.boot
        if claim.utc_ms is not None:
            self._epoch_ms = claim.utc_ms - claim.boot_ms
        for process in self.processes:
            found += process.time(claim.boot_ms)
        return found

    def memory(self) -> bytes | None:
        """All runs, with the boot that their times belong to."""
        if self._waiting is not None:
            return self._kept
        if not self.processes or self._boot is None:
            return None
        runs = {process.spec.id: process.save() for process in self.processes}
        return pack([self._boot.hex(), self._epoch_ms, runs])

    def outcomes(self, now_ms: int) -> Mapping[str, Outcome | None]:
        """Where every process stands, by id; None between runs."""
        return {process.spec.id: process.outcome(now_ms) for process in self.processes}

    # further inputs

    def _note(self, scan: Scan) -> None:
        for place, (index, number) in self._watched.items():
            if index == scan.device and scan.quality[number] < Quality.TIMEOUT:
                self._latest[place] = (scan.at_ms, scan.values[number])

    def _more(self, process: Process, at_ms: int) -> dict[str, float | None]:
        return {name: self._newest(place, at_ms) for name, place in process.spec.inputs.items()}

    def _newest(self, place: tuple[str, str], at_ms: int) -> float | None:
        """A value of this scan, or of another device's if that is not old."""
        found, where = self._latest.get(place), self._watched.get(place)
        if found is None or where is None:
            return None
        device: DeviceLayout = self._layout.devices[where[0]]
        return found[1] if at_ms - found[0] <= OLDEST_PERIODS * device.period_ms else None

    # restart

    def _restore(self, memory: bytes) -> None:
        content: Any = unpack(memory)
        sound = isinstance(content, list) and len(content) == 3 and isinstance(content[2], dict)
        if not sound or not isinstance(content[0], str):
            raise StorageError("the kept state of the processes has another form", "they begin anew")
        kept = content[2]
        for process in self.processes:
            if process.spec.id not in kept:
                continue
            try:
                process.load(kept[process.spec.id])
            except (AuroraError, ValueError, TypeError) as error:
                log.warning("process %s: its run cannot be taken up again (%s)", process.spec.id, error)
                process.forget()
        self._kept_boot, self._kept_epoch_ms = bytes.fromhex(content[0]), content[1]
        self._kept = memory
        self._waiting = deque()

    def _wait(self, record: Scan | tuple[Miss, int]) -> Sequence[Finding]:
        """Until the first tick nobody knows which boot this is: hold what comes."""
        assert self._waiting is not None
        self._waiting.append(record)
        if self._first_ms is None:
            self._first_ms = record.at_ms if isinstance(record, Scan) else record[1]
        return []

    def _resume(self, claim: ClockClaim) -> list[Finding] | None:
        """Take up the runs again, or give them up; None while neither can be said."""
        found: list[Finding] = []
        if claim.boot != self._kept_boot:
            if claim.utc_ms is not None and self._kept_epoch_ms is not None:
                epoch_ms = claim.utc_ms - claim.boot_ms
                for process in self.processes:
                    process.move(self._kept_epoch_ms - epoch_ms)
            elif self._kept_epoch_ms is not None and self._may_wait(claim.boot_ms):
                return None
            else:
                for process in self.processes:
                    found += process.lose(claim.boot_ms)
        elif self._kept_epoch_ms is not None:
            self._epoch_ms = self._kept_epoch_ms
        for process in self.processes:
            if process.changed:
                found += process.lose(claim.boot_ms)
        assert self._waiting is not None
        waiting, self._waiting, self._kept = self._waiting, None, None
        for record in waiting:
            found += self.scan(record) if isinstance(record, Scan) else self.miss(*record)
        return found

    def _may_wait(self, now_ms: int) -> bool:
        assert self._waiting is not None
        running = any(process.calculation is not None for process in self.processes)
        first = self._first_ms if self._first_ms is not None else now_ms
        return running and now_ms - first < LONGEST_WAIT_MS and len(self._waiting) < MOST_WAITING
