"""What systemd is told: datagrams to the socket that it names (sd_notify(3)), a page instead of a library."""

import logging
import os
import socket
from collections.abc import Mapping

__all__ = ["Systemd"]

log = logging.getLogger(__name__)


class Systemd:
    """The service manager that started this process. Sending never waits and never fails: nobody depends on it."""

    def __init__(self, address: str, *, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        """Seconds that may pass between two signs of life; None: it asks for none."""
        # A name that begins with @ is one of Linux' abstract namespace (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._refused = False

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> "Systemd | None":
        """The manager that the environment names (``NOTIFY_SOCKET``), None where the process runs without one.

        ``WATCHDOG_USEC`` counts for the process of ``WATCHDOG_PID`` alone (sd_watchdog_enabled(3)).
        """
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        limit = environ.get("WATCHDOG_USEC", "")
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(address, watchdog_s=int(limit) / 1e6 if mine and limit.isdigit() and int(limit) else None)

    def tell(self, **fields: str | int) -> None:
        """Send ``NAME=value`` lines in one message, e.g. ``tell(READY=1, STATUS="polling")``."""
        lines = (f"{name}={str(value).replace(chr(10), ' ')}" for name, value in fields.items())
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._refused:
                log.warning("systemd takes no message (%s)", error.strerror)
            self._refused = True
        else:
            self._refused = False

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
