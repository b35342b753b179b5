"""All calculations by name: for the site file, the command line and the station."""

from collections.abc import Mapping
from typing import Any

from gateway.assess.process.calculation import Calculation
from gateway.assess.process.cooling import Cooling
from gateway.assess.process.degreeminutes import DegreeMinutes
from gateway.assess.process.exposure import Budget, TimeOutside
from gateway.assess.process.growth import Growth
from gateway.assess.process.heattable import HeatTable
from gateway.assess.process.holding import Holding
from gateway.assess.process.kinetic import MeanKinetic
from gateway.assess.process.lethality import Lethality
from gateway.assess.process.moisture import Moisture
from gateway.assess.process.parameters import ParameterError, ParameterProblem, close_to
from gateway.assess.process.product import Product
from gateway.assess.process.shelf import ShelfLife

__all__ = ["CALCULATIONS", "make"]

CALCULATIONS: Mapping[str, type[Calculation]] = {
    kind.name: kind
    for kind in (
        Lethality,
        HeatTable,
        Holding,
        Cooling,
        MeanKinetic,
        Growth,
        ShelfLife,
        Moisture,
        TimeOutside,
        DegreeMinutes,
        Budget,
        Product,
    )
}


def make(name: str, parameters: Mapping[str, Any]) -> Calculation:
    """A calculation ready to be fed. Raises `ParameterError` for an unknown name and for every mistake in
    parameters."""
    kind = CALCULATIONS.get(name)
    if kind is None:
        problem = ParameterProblem("calculation", f"{name!r} is not known", close_to(name, CALCULATIONS))
        raise ParameterError(name, [problem])
    return kind(parameters)
