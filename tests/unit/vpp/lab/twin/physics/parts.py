"""One device of each class of the demo fleet."""

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.population.presets import demo_fleet

FLEET = demo_fleet(stations=40, inverters=10, batteries=4, v2g=5, sites=4)
STEP_S = 5.0


def rows_of(*classes: ResourceClass, fleet: FleetIndex = FLEET) -> RowArray:
    return np.flatnonzero(fleet.is_class(*classes)).astype(np.int32)


def nothing(count: int) -> FloatArray:
    return np.full((2, count), np.nan)
