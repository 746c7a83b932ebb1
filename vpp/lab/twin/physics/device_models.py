"""Physical models of all resource classes, stepped together over the rows of one fleet."""

from typing import NamedTuple

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.physics.charging import Chargers, V2gChargers
from vpp.lab.twin.physics.loads import Loads
from vpp.lab.twin.physics.scenarios import Conditions
from vpp.lab.twin.physics.stationary import Batteries, Inverters
from vpp.lab.twin.worlds import ACTUAL, ORDINARY, PREPARED, STORE_WORLDS, WORLDS


class Capability(NamedTuple):
    """State of charge (NaN where there is none), least and greatest net power now, shape ``(n,)`` each."""

    soc: FloatArray
    p_min_kw: FloatArray
    p_max_kw: FloatArray


class DeviceModels:
    """Chargers, V2G chargers, batteries, inverters and loads in both worlds.

    Rows of one class that stand side by side are worked on as a slice, which costs no copy.

    Args:
        index: The fleet.
        random: Stream of what distinguishes devices of one class.

    Attributes:
        power_kw: Net power in the actual and the prepared world, shape ``(2, n)``.
        stores: Rows of V2G chargers and batteries, whose power differs in the ordinary world, shape ``(s,)``.
        ordinary_kw: Their net power there, shape ``(s,)``.
        position: Position of every row within its class, shape ``(n,)``.
    """

    def __init__(self, index: FleetIndex, random: np.random.Generator) -> None:
        count = len(index)
        self.chargers = Chargers(index, _rows(index, ResourceClass.EV))
        self.v2g = V2gChargers(index, _rows(index, ResourceClass.V2G), worlds=STORE_WORLDS)
        self.batteries = Batteries(index, _rows(index, ResourceClass.STORAGE), random, worlds=STORE_WORLDS)
        self.inverters = Inverters(index, _rows(index, ResourceClass.PV), random)
        self.loads = Loads(index, _rows(index, ResourceClass.HVAC, ResourceClass.INDUSTRY), random)
        self.power_kw: FloatArray = np.zeros((WORLDS, count))
        self.stores: RowArray = np.concatenate((self.v2g.rows, self.batteries.rows))
        self.ordinary_kw: FloatArray = np.zeros(len(self.stores))
        self.position = np.zeros(count, dtype=np.int32)
        models = (self.chargers, self.v2g, self.batteries, self.inverters, self.loads)
        for model in models:
            self.position[model.rows] = np.arange(len(model.rows))
        self._spans = [_span(model.rows) for model in models]

    def step(
        self,
        asked_kw: FloatArray,
        default_kw: FloatArray,
        conditions: Conditions,
        *,
        now_s: float,
        step_s: float,
        ordinary_kw: FloatArray | None = None,
    ) -> FloatArray:
        """Move every device for one step and return ``power_kw``.

        Args:
            asked_kw: Dispatch value in force, NaN where there is none, shape ``(2, n)``.
            default_kw: Default in force, NaN for no bound, shape ``(n,)``.
            conditions: Weather and noise of the step.
            now_s: Epoch seconds of the step's begin.
            step_s: Its length.
            ordinary_kw: Default of ``stores`` in the ordinary world, the same as elsewhere unless given; ``(s,)``.
        """
        power = self.power_kw
        chargers, _, _, inverters, loads = self._spans
        base_kw = self.loads.baseline_kw(
            conditions.hour, conditions.sky.temp_c, conditions.site_noise, rest=conditions.rest
        )
        power[:, chargers] = self.chargers.step(asked_kw[:, chargers], default_kw[chargers], step_s)
        self._step_stores(asked_kw, default_kw, ordinary_kw, now_s=now_s, step_s=step_s)
        power[:, inverters] = self.inverters.step(
            asked_kw[:, inverters],
            default_kw[inverters],
            step_s,
            sky=conditions.sky,
            transmission=conditions.transmission,
        )
        power[:, loads] = self.loads.step(asked_kw[:, loads], default_kw[loads], step_s, base_kw)
        return power

    def _step_stores(
        self,
        asked_kw: FloatArray,
        default_kw: FloatArray,
        ordinary_kw: FloatArray | None,
        *,
        now_s: float,
        step_s: float,
    ) -> None:
        """Move the stores in all three worlds; in the ordinary one nothing is dispatched."""
        _, v2g, batteries, _, _ = self._spans
        stations = len(self.v2g.rows)
        ordinary_kw = default_kw[self.stores] if ordinary_kw is None else ordinary_kw
        asked, default = _three_worlds(asked_kw[:, v2g], default_kw[v2g], ordinary_kw[:stations])
        cars_kw = self.v2g.step(asked, default, step_s, now_s)
        asked, default = _three_worlds(asked_kw[:, batteries], default_kw[batteries], ordinary_kw[stations:])
        batteries_kw = self.batteries.step(asked, default, step_s)
        self.power_kw[:, v2g], self.power_kw[:, batteries] = cars_kw[:WORLDS], batteries_kw[:WORLDS]
        self.ordinary_kw = np.concatenate((cars_kw[ORDINARY], batteries_kw[ORDINARY]))

    def rejoin(self) -> None:
        """Let batteries and loads of the prepared world go on from the actual one; cars keep what each world gave."""
        self.batteries.soc[PREPARED] = self.batteries.soc[ACTUAL]
        self.loads.rejoin()

    def capability(self) -> Capability:
        """Return what the devices' controllers report in the actual world."""
        count = len(self.position)
        soc, least_kw, most_kw = np.full(count, np.nan), np.zeros(count), np.zeros(count)
        soc[self.batteries.rows] = self.batteries.soc[ACTUAL]
        soc[self.v2g.rows] = np.where(self.v2g.plugged, self.v2g.soc[ACTUAL], np.nan)
        bounds = (
            self.chargers.bounds_kw(),
            self.v2g.bounds_kw(),
            self.batteries.bounds_kw(),
            self.inverters.bounds_kw(),
            self.loads.bounds_kw(),
        )
        for span, (least, most) in zip(self._spans, bounds, strict=True):
            least_kw[span], most_kw[span] = least, most
        return Capability(soc, least_kw, most_kw)


def _rows(index: FleetIndex, *classes: ResourceClass) -> RowArray:
    return np.flatnonzero(index.is_class(*classes)).astype(np.int32)


def _three_worlds(
    asked_kw: FloatArray, default_kw: FloatArray, ordinary_kw: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return dispatch and default values of the three worlds, shape ``(3, m)`` each."""
    undispatched = np.full((1, len(ordinary_kw)), np.nan)
    return np.concatenate((asked_kw, undispatched)), np.stack((default_kw, default_kw, ordinary_kw))


def _span(rows: RowArray) -> slice | RowArray:
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
