"""Diagnostics: buses and devices, frames, advertisements, the journal, verify now, the support bundle."""

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.roles import Right
from gateway.language import N_
from gateway.web.frame import Frame

__all__ = ["DiagnosePages"]


class DiagnosePages:
    """``/diagnose`` and what is below it."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        frame.more.append(("/diagnose", N_("Diagnostics"), Right.COMMISSION))

    def routes(self) -> list[Route]:
        """The overview, what went over a bus, what a sensor said, and the two forms."""
        commission = self._frame.needs(Right.COMMISSION)
        return [
            Route("/diagnose", commission(self._show)),
            Route("/diagnose/frames/{bus}", commission(self._frames)),
            Route("/diagnose/air/{device}", commission(self._air)),
            Route("/diagnose/log", commission(self._log)),
            Route("/diagnose/verify", commission(self._verify), methods=["POST"]),
            Route("/diagnose/bundle", commission(self._bundle), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        buses = await self._frame.ask(request, "diagnose.buses")
        journal = await self._frame.ask(request, "diagnose.journal")
        return self._frame.page(request, "diagnose.html", buses=buses["buses"], journal=journal)

    async def _frames(self, request: Request) -> Response:
        found = await self._frame.ask(request, "diagnose.frames", bus=request.path_params["bus"])
        return self._frame.page(request, "frames.html", bus=found["bus"], frames=list(reversed(found["frames"])))

    async def _air(self, request: Request) -> Response:
        found = await self._frame.ask(request, "diagnose.air", device=request.path_params["device"])
        adverts = list(reversed(found["adverts"]))
        return self._frame.page(request, "adverts.html", device=found["device"], adverts=adverts)

    async def _log(self, request: Request) -> Response:
        found = await self._frame.ask(request, "diagnose.log")
        return self._frame.page(request, "log.html", lines=list(reversed(found["lines"])))

    async def _verify(self, request: Request) -> Response:
        form = await self._frame.form(request)
        job = await self._frame.ask(request, "diagnose.verify", form)
        return self._frame.go(f"/jobs/{job['job']}")

    async def _bundle(self, request: Request) -> Response:
        form = await self._frame.form(request)
        made = await self._frame.ask(request, "diagnose.bundle", form)
        content = await asyncio.to_thread(Path(made["file"]).read_bytes)
        headers = {"content-disposition": f'attachment; filename="{made["name"]}"'}
        return Response(content, media_type="application/zip", headers=headers)
