"""The journal and its chain: how they do, and whether they hold when they are verified now."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.buffer.reader import Reader
from gateway.control import Handler
from gateway.jobs import Job
from gateway.model import StoredBatch, Stream
from gateway.onsite import Onsite, fields_of
from gateway.report.haccp import Proof
from gateway.reporting.proof import Prover
from gateway.site import Site

__all__ = ["Desk", "proof_words"]

STREAMS: tuple[Stream, ...] = ("scan", "event")
BREATH_S = 0.001
"""Given to the others after each batch that is looked at: verifying is in no hurry, polling is."""
NICE = 10

Request = Mapping[str, Any]


class Desk:
    """The orders ``diagnose.journal`` and ``diagnose.verify``."""

    def __init__(self, onsite: Onsite) -> None:
        self._onsite = onsite
        self._gateway = onsite.gateway

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order."""
        return {"diagnose.journal": self._journal, "diagnose.verify": self._verify}

    async def _journal(self, _: Request) -> Mapping[str, Any]:
        return await self.journal()

    async def journal(self) -> dict[str, Any]:
        """Figures of the journal, heads and receipts of its streams, and the disk it is on."""
        gateway = self._gateway
        journal = gateway.journal
        streams: dict[str, Any] = {}
        for stream in STREAMS:
            head, receipted = journal.head(stream), journal.delivered(stream).size
            sealed = 0 if head is None else head.seq + 1
            streams[stream] = {
                "sealed": sealed,
                "leaf": "" if head is None else head.leaf.hex(),
                "receipted": receipted,
                "waiting": sealed - receipted,
            }
        folder = gateway.site.data_dir
        disk = await asyncio.to_thread(shutil.disk_usage, folder)
        return {
            "file": str(folder / "journal.db"),
            **asdict(journal.stats),
            "streams": streams,
            "disk": {"total": disk.total, "used": disk.used, "free": disk.free},
            "largest_bytes": gateway.site.buffer.max_bytes,
            "keep_days": gateway.site.buffer.keep_days,
        }

    async def _verify(self, request: Request) -> Mapping[str, Any]:
        """Everything that the journal holds, from the first batch to the newest; a job."""
        fields_of(request).done()
        site = self._gateway.site

        async def work(job: Job) -> Mapping[str, Any]:
            stop = threading.Event()
            running = asyncio.get_running_loop().run_in_executor(None, verify, site, job, stop)
            try:
                return await asyncio.shield(running)
            finally:
                stop.set()
                await asyncio.wait([running])

        return self._onsite.jobs.begin("verify", "verifying the record", "journal", work).data()


class _Stopped(Exception):  # noqa: N818 - not an error
    """Somebody does not want to know any more."""


class _Watched(Reader):
    """Counts what is read of it, gives way to others, and ends when it is told to."""

    def __init__(self, path: Path, job: Job, stop: threading.Event) -> None:
        super().__init__(path)
        self._job = job
        self._stop = stop

    def batches(self, stream: Stream, from_seq: int, limit: int) -> list[StoredBatch]:
        """As `Reader.batches`."""
        if self._stop.is_set():
            raise _Stopped
        found = super().batches(stream, from_seq, limit)
        if found:
            self._job.done = min(self._job.done + len(found), self._job.total)
            self._job.words = f"{stream} batch {found[-1].seq} read"
        time.sleep(BREATH_S * len(found))
        return found


def verify(site: Site, job: Job, stop: threading.Event) -> dict[str, Any]:
    """Signatures, chain, receipts and slots of all batches that a journal holds; for a thread of its own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    try:
        with closing(_Watched(site.data_dir / "journal.db", job, stop)) as reader:
            scans, events = reader.bounds("scan"), reader.bounds("event")
            many_scans = 0 if scans is None else scans[1] - scans[0] + 1
            many_events = 0 if events is None else events[1] - events[0] + 1
            # The prover reads events for their own sake and beside the scans, and everything twice.
            job.total = 2 * many_scans + 4 * many_events + 1
            first, last = (None, None) if scans is None else scans
            proof = Prover(site, reader, ()).prove(first, last)
    except _Stopped:
        return {}
    finally:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 0)
    job.done = job.total
    job.words = proof_words(proof)
    return {
        "result": proof.result,
        "words": job.words,
        "scan_batches": proof.scan_batches,
        "event_batches": proof.event_batches,
        "absent": proof.absent,
        "keys": list(proof.keys),
        "covered": dict(proof.covered),
        "findings": list(proof.findings),
    }


def proof_words(proof: Proof) -> str:
    """What a verification found, in a sentence or two."""
    if proof.result == "nothing":
        return "there is nothing to verify yet: no batch is sealed"
    count = f"{proof.scan_batches} scan and {proof.event_batches} event batches"
    if proof.result == "broken":
        return f"the record is NOT whole: {proof.findings[0] if proof.findings else 'see the findings'}"
    words = f"the record is whole: {count}, every signature and every link of the chain holds"
    if proof.result == "held":
        words = f"the record is whole as far as it is held here: {count}; {proof.absent} were taken by retention"
    covered = [f"{stream} up to batch {seq}" for stream, seq in sorted(proof.covered.items())]
    if covered:
        return f"{words}; the cluster's receipts vouch for {' and '.join(covered)}"
    return f"{words}; no receipt of a cluster is here, so nothing outside this gateway vouches for the end"
