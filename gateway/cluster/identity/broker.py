"""Telling the broker: the revocation list on its disk, a reload, and the end of a session that is open still.

A broker looks at certificates when a connection begins. Mosquitto reads a new list on SIGHUP and leaves open
sessions alone (tried with 2.0.11), and so does every broker that does what it has to. What ends a session for
certain is a second one with its client id (MQTT 5, 3.1.4-3). With ``use_username_as_clientid`` nobody has that id
but who has a certificate with that common name: the authority itself makes one, for minutes, and forgets its key.
That a new list is in force is not assumed but tried, with a certificate that is in it from birth.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from gateway.cluster.database import Database
from gateway.cluster.identity.authority import Authority, put
from gateway.cluster.identity.certificates import Revoked, new_key, pem, private_pem
from gateway.errors import OperatorError
from gateway.mqtt import Endpoint, LinkError, connect

__all__ = ["Ended", "close_session", "end_sessions", "publish_list", "reload_broker"]

PROBE = "aurora-probe"
"""Common name of the certificate that is tried; the access list gives it no rights."""
MINUTES = timedelta(minutes=10)
PATIENCE_S = 15.0
RELOAD_S = 30.0


class Ended(NamedTuple):
    """After how many seconds the list was in force, and the serials of the certificates that took over."""

    after_s: float
    serials: list[str]


async def publish_list(
    database: Database, authority: Authority, path: Path, now_ms: int, *, also: Iterable[int] = ()
) -> int:
    """Write the revocation list for the broker, whole or not at all; how many certificates are in it.

    ``also`` are serials beside those of the store. Raises `OperatorError`.
    """
    async with _alone(path):
        async with database.transaction(write=False) as work:
            rows = await work.fetch(
                "SELECT serial, revoked_ms FROM certificate WHERE revoked_ms IS NOT NULL AND until_ms > $1 "
                "ORDER BY revoked_ms, serial",
                now_ms,
            )
        revoked = [Revoked(int(serial, 16), at_ms) for serial, at_ms in rows]
        revoked += [Revoked(serial, now_ms) for serial in also]
        put(path, authority.revocation_list(revoked, now_ms))
    return len(rows)


async def reload_broker(command: Sequence[str]) -> None:
    """Have the broker read its files again; raises `OperatorError`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(RELOAD_S):
            _, words = await process.communicate()
    except OSError as error:
        raise OperatorError(f"{command[0]} cannot be run ({error.strerror})", "see reload in [identity]") from error
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise OperatorError(f"{command[0]} did not end in {RELOAD_S:g} s", "reload the broker by hand") from error
    if process.returncode:
        told = words.decode(errors="replace").strip()[:200]
        raise OperatorError(f"{' '.join(command)} failed ({told})", "reload the broker by hand")


async def end_sessions(
    database: Database,
    authority: Authority,
    clients: Sequence[str],
    *,
    broker: Endpoint,
    path: Path,
    reload: Sequence[str],
    now_ms: int,
) -> Ended:
    """Put what is revoked into force at the broker, and end the open sessions of these clients.

    Raises `OperatorError` when the list does not come into force, or when a session cannot be ended: then the
    broker has to be restarted.
    """
    with TemporaryDirectory(prefix="aurora-closing-") as folder:
        maker = _Maker(authority, broker, Path(folder), now_ms)
        probe, serial = maker.make(PROBE)
        made = [maker.make(client) for client in clients]
        await publish_list(database, authority, path, now_ms, also=[serial])
        loop = asyncio.get_running_loop()
        began = loop.time()
        await reload_broker(reload)
        await _refused(probe)
        after = loop.time() - began
        for closer, _ in made:
            await close_session(closer)
    return Ended(after, [f"{number:x}" for _, number in made])


async def close_session(endpoint: Endpoint, hold_s: float = 0.0) -> bool:
    """Take a client's session over and leave; whether the client came back within ``hold_s`` seconds.

    Raises `OperatorError` when the broker does not let us in.
    """
    try:
        async with connect(endpoint) as link:
            try:
                async with asyncio.timeout(hold_s):
                    await link.receive(1)
            except TimeoutError:
                return False
            except LinkError:
                return True
    except LinkError as error:
        raise OperatorError(
            f"the session of {endpoint.client} may be open still ({error})",
            "restart the broker; and see whether its list has ended: then it refuses everybody",
        ) from error
    return False


async def _refused(probe: Endpoint) -> None:
    """Wait until the broker refuses a certificate that its list names."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while loop.time() < end:
        try:
            async with connect(probe):
                pass
        except LinkError as error:
            if "revoked" in str(error):
                return
        await asyncio.sleep(0.1)
    raise OperatorError(
        "the broker does not refuse what is revoked",
        "see that crlfile names the list that is written here, then reload the broker",
    )


class _Maker:
    """Makes certificates for minutes, in a folder that goes with them."""

    def __init__(self, authority: Authority, broker: Endpoint, folder: Path, now_ms: int) -> None:
        self._authority = authority
        self._broker = broker
        self._folder = folder
        self._now_ms = now_ms

    def make(self, client: str) -> tuple[Endpoint, int]:
        """A client of the broker, and the serial of its certificate."""
        key = new_key()
        made = self._authority.client(client, key.public_key(), self._now_ms, MINUTES)
        certificate, private = self._folder / f"{client}.pem", self._folder / f"{client}.key"
        certificate.write_bytes(pem(made))
        private.write_bytes(private_pem(key))
        return replace(self._broker, client=client, certificate=certificate, key=private), made.serial_number


@asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """One writer of a list at a time: a slower one must not put an older list over a newer one."""
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be written ({error.strerror})", "see crl in [identity], and the folder's mode"
        ) from error
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
