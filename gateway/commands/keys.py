"""`aurora-gateway keys`: show the key, print the enrolment file, change the key."""

import asyncio
import sys

from gateway.acquire.station import layout_of
from gateway.buffer.journal import Journal
from gateway.clock import Clock
from gateway.identity import enrolment_text, open_identity
from gateway.model import Event
from gateway.seal.keys import begin_rotation, finish_rotation
from gateway.site import Site

__all__ = ["keys_command"]


def keys_command(site: Site, action: str) -> int:
    """``show``: thumbprint and storage; ``export``: what the cluster enrols; ``rotate``: a new key."""
    if action == "rotate":
        return asyncio.run(_rotate(site))
    signer = open_identity(site).signer
    if action == "export":
        print(enrolment_text(site, signer), end="")
        return 0
    print(f"gateway      {site.identity.urn}")
    print(f"thumbprint   {signer.thumbprint.hex()}")
    print(f"kept as      {signer.storage} ({signer.path})")
    return 0


async def _rotate(site: Site) -> int:
    """Seal the change of key with the old key, then use the new one. The daemon has to be stopped: one writer."""
    clock = Clock(site.clock)
    await clock.update()
    identity = open_identity(site)
    rotation = begin_rotation(identity.signer)
    layout = layout_of(site)
    journal = await Journal.open(
        site.data_dir / "journal.db",
        signer=rotation.old,
        iss=site.identity.urn,
        layout=layout,
        spec=site.buffer,
        clock=clock.claim,
        registration=identity.registration,
    )
    running = asyncio.create_task(journal.run())
    try:
        await journal.rotate(rotation.new, Event("key.rotated", clock.now_ms(), rotation.data))
    finally:
        await journal.close()
        running.cancel()
        await asyncio.wait([running])
    # What the first attempt could not store, the closing may have.
    if journal.stats.pending_events:
        print(f"the journal could not be written ({journal.stats.fault}); the key is unchanged", file=sys.stderr)
        return 2
    signer = finish_rotation(rotation)
    print(f"the new key is {signer.thumbprint.hex()}; the cluster learns of it from the signed event")
    return 0
