"""What an engineer at the site asks of the running gateway: commissioning and diagnostics, loaded on need.

Orders are of the same shape as all others (`gateway.control.Handler`): the control socket, the JSON API and the
pages share them.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.control import Handler
from gateway.jobs import Jobs
from gateway.logbook.fields import Fields

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["ORDERS", "Onsite", "fields_of"]

ORDERS: Mapping[str, tuple[str, ...]] = {
    "gateway.commissioning.sight": ("commission.see", "commission.ports", "commission.models"),
    "gateway.commissioning.probing": ("commission.walk", "commission.guess", "commission.try"),
    "gateway.commissioning.drafting": ("commission.profiles", "commission.draft", "commission.first"),
    "gateway.commissioning.bench": (
        "calibrate.list",
        "calibrate.show",
        "calibrate.begin",
        "calibrate.take",
        "calibrate.photo",
        "calibrate.draft",
        "calibrate.finish",
        "calibrate.abandon",
    ),
    "gateway.commissioning.advice": ("alarm.advice",),
    "gateway.diagnostics.traffic": ("diagnose.buses", "diagnose.frames", "diagnose.air"),
    "gateway.diagnostics.record": ("diagnose.journal", "diagnose.verify"),
    "gateway.diagnostics.bundle": ("diagnose.log", "diagnose.bundle"),
}
"""By the module that has them; each has a class `Desk`, made once, whose `handlers` are these."""
JOB_ORDERS = ("job.list", "job.show", "job.cancel")


class Onsite:
    """The orders of one gateway. `close` ends what they have begun."""

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.jobs = Jobs()
        self._desks: dict[str, Any] = {}

    def handlers(self) -> dict[str, Handler]:
        """By the name of the order; nothing of what does them is loaded by this."""
        found: dict[str, Handler] = {
            name: partial(self._do, module, name) for module, names in ORDERS.items() for name in names
        }
        return found | {name: partial(self._job, name) for name in JOB_ORDERS}

    async def close(self) -> None:
        """End the jobs and what was opened for somebody to look."""
        await self.jobs.close()
        for desk in self._desks.values():
            if (close := getattr(desk, "close", None)) is not None:
                await close()

    async def _do(self, module: str, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        handler: Handler = self.desk(module).handlers()[name]
        return await handler(request)

    def desk(self, module: str) -> Any:
        """What does the orders of a module, made at the first call."""
        if module not in self._desks:
            from importlib import import_module

            self._desks[module] = import_module(module).Desk(self)
        return self._desks[module]

    async def _job(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if name == "job.list":
            return {"jobs": [job.data() for job in self.jobs.all]}
        wanted = str(request.get("job", ""))
        return (self.jobs.cancel if name == "job.cancel" else self.jobs.get)(wanted).data()


def fields_of(request: Mapping[str, Any]) -> Fields:
    """The fields of a request. Who asks is the business of whoever let them in, and not looked at."""
    return Fields({key: value for key, value in request.items() if key not in {"person", "source"}})
