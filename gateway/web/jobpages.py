"""Work that takes longer than a page load: how far it is, what it has found, cancel."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.web.frame import Frame

__all__ = ["JobPages", "flat"]

LINE = ("type", "host", "port", "device", "baud", "parity", "stop_bits")
KINDS = frozenset({"walk", "guess", "try", "first", "take", "verify"})


class JobPages:
    """``/jobs/J1``: loads itself again while the job runs, without any script."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[Route]:
        """The page of one job, and the end of it."""
        commission = self._frame.needs(Right.COMMISSION)
        return [
            Route("/jobs/{job}", commission(self._show)),
            Route("/jobs/{job}/cancel", commission(self._cancel), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        job = await self._frame.ask(request, "job.show", job=request.path_params["job"])
        kind = job["kind"] if job["kind"] in KINDS else "other"
        return self._frame.page(request, "job.html", job=job, kind=kind, on=flat(job["about"]))

    async def _cancel(self, request: Request) -> Response:
        form = await self._frame.form(request)
        job = await self._frame.ask(request, "job.cancel", form, job=request.path_params["job"])
        return self._frame.go(f"/jobs/{job['job']}")


def flat(about: Mapping[str, Any]) -> dict[str, str]:
    """What a job was about as fields of an address: a connection in its parts."""
    found = {key: str(about[key]) for key in ("bus", "unit", "model", "address") if about.get(key) is not None}
    connection = about.get("connection")
    if isinstance(connection, Mapping):
        found |= {key: str(connection[key]) for key in LINE if key in connection}
    return found
