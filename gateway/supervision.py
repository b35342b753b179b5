"""Under systemd: ready when records reach the disk, alive only while they do.

The watchdog is not fed by a timer that proves nothing but itself. Whoever feeds it looks at the path: a slot that
is long due and has not left its bus, or a record that waits for the disk while nobody tries to write it, stops the
feeding, and systemd ends and restarts the daemon.
"""

import asyncio
import faulthandler
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from gateway.errors import StorageError
from gateway.sdnotify import Systemd

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["Progress", "Supervision", "supervised"]

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""Longest time between two looks; with a short watchdog a fifth of its limit."""
OVERDUE_S = 60.0
"""A slot that is due for so long, beside what its bus may need for a round of time-outs, will not come any more."""
TIMEOUTS = 10
WRITE_S = 30.0
"""A record that waits for so long, beside the loss window, without any attempt to write it."""
SOON_S = 1.0
"""A first sample that is nearer than this is waited for."""
LONGEST_START_S = 1800.0
"""A damaged journal of some gigabytes is salvaged within this."""
EXTEND_S = 60


class Progress:
    """Judges whether the path of a gateway moves; its answer is None, or what stands still."""

    def __init__(self, gateway: "Gateway", *, overdue_s: float = OVERDUE_S, write_s: float = WRITE_S) -> None:
        self._gateway = gateway
        self._overdue_s = overdue_s
        self._write_s = write_s
        self._attempts = -1
        self._since_ms = 0

    def stuck(self) -> str | None:
        """Look once; call it every few seconds."""
        now = self._gateway.clock.now_ms()
        return self._acquire(now) or self._journal(now)

    def _acquire(self, now: int) -> str | None:
        timeout_s = {bus.id: bus.timeout_s for bus in self._gateway.site.buses}
        for poller in self._gateway.acquire.pollers:
            overdue_s = (now - poller.grid.due_ms(poller.next_slot)) / 1000
            patience_s = self._overdue_s + TIMEOUTS * timeout_s.get(poller.layout.bus, 0.0)
            if overdue_s > patience_s + getattr(poller, "longest_s", 0.0):
                return f"a sample of {poller.layout.id} is due for {overdue_s:.0f} s, bus {poller.layout.bus} hangs"
        return None

    def _journal(self, now: int) -> str | None:
        stats = self._gateway.journal.stats
        attempts = stats.commits + stats.failed_commits
        waiting = stats.pending_records or stats.pending_values or stats.pending_events
        if not waiting or attempts != self._attempts:
            # A store that refuses is seen in record and metrics; it is tried again, so the path lives.
            self._attempts, self._since_ms = attempts, now
            return None
        waited_s = (now - self._since_ms) / 1000
        patience_s = self._write_s + 2 * self._gateway.site.buffer.loss_window_ms / 1000
        return f"records wait for the disk for {waited_s:.0f} s" if waited_s > patience_s else None


class Supervision:
    """Tells systemd how one gateway does."""

    def __init__(self, gateway: "Gateway", systemd: Systemd, progress: Progress | None = None) -> None:
        self._gateway = gateway
        self._systemd = systemd
        self._progress = progress or Progress(gateway)
        self._look_s = LOOK_S if systemd.watchdog_s is None else min(LOOK_S, systemd.watchdog_s / 5)
        self._may_start = asyncio.Event()
        self._told = ""
        self._held_up = False

    def ready(self) -> None:
        """The first scan has come, or none comes for now: what `Gateway.run` calls."""
        self._may_start.set()

    async def run(self) -> None:
        """Until cancelled."""
        await self._begin()
        while True:
            self._look()
            await asyncio.sleep(self._look_s)

    async def _begin(self) -> None:
        """Ready is said once all that was due is on disk: the first scan, or the record that there is none, or the
        start itself where the first sample is still to come.

        While the journal is opened (a damaged one is salvaged) or refuses, more time is asked for: to be started
        again would lose what waits in memory, and mend nothing.
        """
        loop = asyncio.get_running_loop()
        began, told_s = loop.time(), -EXTEND_S / 3
        while not await self._on_disk():
            if loop.time() - told_s >= EXTEND_S / 3 and loop.time() - began < LONGEST_START_S:
                told_s = loop.time()
                self._systemd.tell(EXTEND_TIMEOUT_USEC=EXTEND_S * 1_000_000, STATUS=self._not_ready())
        self._told = self._words()
        self._systemd.tell(READY=1, STATUS=self._told, WATCHDOG=1)

    async def _on_disk(self) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.0
        while not self._may_start.is_set() and not self._nothing_due():
            if loop.time() > until:
                return False
            await asyncio.sleep(0.02)
        # A gateway that stops before it was ready has closed its journal.
        with suppress(StorageError):
            if await self._gateway.journal.flush():
                return True
        await asyncio.sleep(1.0)
        return False

    def _nothing_due(self) -> bool:
        """Polling has begun, and its first sample is further away than a start may take."""
        if not hasattr(self._gateway, "journal"):
            return False
        return (first := self._first_due_s()) is None or first > SOON_S

    def _first_due_s(self) -> float | None:
        """Seconds to the next sample of any device, None without devices."""
        now = self._gateway.clock.now_ms()
        pollers = self._gateway.acquire.pollers
        return min(((poller.grid.due_ms(poller.next_slot) - now) / 1000 for poller in pollers), default=None)

    def _not_ready(self) -> str:
        if not hasattr(self._gateway, "journal"):
            return "opens the journal"
        state = self._gateway.journal.state
        return "waits for the first samples" if state == "ok" else f"the journal cannot be written ({state})"

    def _look(self) -> None:
        stuck = self._progress.stuck()
        if stuck is not None:
            if not self._held_up:
                log.error("the path does not move: %s; systemd is told nothing until it does", stuck)
                self._systemd.tell(STATUS=f"hangs: {stuck}")
            self._held_up, self._told = True, ""
            return
        if self._held_up:
            log.warning("the path moves again")
            self._held_up = False
        words = self._words()
        if words == self._told:
            self._systemd.tell(WATCHDOG=1)
        else:
            self._told = words
            self._systemd.tell(WATCHDOG=1, STATUS=words)

    def _words(self) -> str:
        """One line for `systemctl status`."""
        gateway = self._gateway
        pollers, state = gateway.acquire.pollers, gateway.journal.state
        answering = sum(
            1 for poller in pollers if poller.stats.scans and gateway.assess.gaps[poller.index].open_since is None
        )
        stores = "records reach the disk" if state == "ok" else f"THE JOURNAL CANNOT BE WRITTEN ({state})"
        if not pollers:
            return f"no device is configured; {stores}"
        if not any(poller.stats.scans or poller.stats.missed for poller in pollers):
            return f"the first sample is due in {max(0.0, self._first_due_s() or 0.0):.0f} s; {stores}"
        return f"{answering} of {len(pollers)} devices answer; {stores}"


@asynccontextmanager
async def supervised(
    gateway: "Gateway", stop: asyncio.Event, systemd: Systemd | None
) -> AsyncIterator[Callable[[], None] | None]:
    """Supervise inside; gives what `Gateway.run` is to call when it is ready. Without systemd there is nothing."""
    if systemd is None:
        yield None
        return
    # When the watchdog ends the process, its log says where each thread stood.
    faulthandler.enable()
    supervision = Supervision(gateway, systemd)
    watching = asyncio.create_task(_watch(supervision), name="supervision")
    stopping = asyncio.create_task(_say_goodbye(stop, systemd), name="goodbye")
    try:
        yield supervision.ready
    finally:
        for task in (watching, stopping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        systemd.close()


async def _watch(supervision: Supervision) -> None:
    try:
        await supervision.run()
    except Exception:
        # No feeding: systemd will end what nobody watches any more.
        log.exception("the supervision has stopped")


async def _say_goodbye(stop: asyncio.Event, systemd: Systemd) -> None:
    await stop.wait()
    systemd.tell(STOPPING=1, STATUS="seals what is open")
