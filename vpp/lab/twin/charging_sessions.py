"""Charging sessions of the simulated fleet: arrivals, promises to drivers and departures."""

from dataclasses import replace

import numpy as np

from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.meters import Meters
from vpp.lab.twin.physics.charging import Chargers, PluggedCars, V2gChargers
from vpp.lab.twin.physics.device_models import DeviceModels
from vpp.lab.twin.population.arrivals import ArrivalQueue
from vpp.lab.twin.population.occupancy import PlugBatch, StationOccupancy
from vpp.lab.twin.population.session_log import SessionLog
from vpp.lab.twin.population.sessions import Arrivals
from vpp.lab.twin.worlds import WORLDS

PROMISED_SHARE = 0.98
"""Part of what the default could deliver that is promised to a driver."""

PROMISE_SLACK_S = 30.0
"""Part of a stay that is not counted on: the start of charging takes its time."""

_LATE_ARRIVAL_S = SECONDS_PER_HOUR / 15.0
"""Greatest age of an arrival within a step; an older one was there before the model began."""


class ChargingSessions:
    """Cars at the charging stations of a fleet, the same in both worlds.

    Args:
        index: The fleet.
        devices: Physical models; cars are plugged in there.
        meters: Registers that sessions are counted from.
        arrivals: Cars to come.
        promised: Part of what the default could deliver that is promised, shape ``(n,)``.

    Attributes:
        log: Every session since the begin.
    """

    def __init__(
        self, index: FleetIndex, devices: DeviceModels, meters: Meters, arrivals: ArrivalQueue, *, promised: FloatArray
    ) -> None:
        self.log = SessionLog()
        self._devices = devices
        self._meters = meters
        self._arrivals = arrivals
        self._promised_share = promised
        self._one_way: BoolArray = index.is_class(ResourceClass.EV)
        self._stations = StationOccupancy(len(index))
        self._changed: RowArray = np.zeros(0, dtype=np.int32)

    def plugged(self) -> BoolArray:
        """Return where a car is plugged in, shape ``(n,)``."""
        return self._stations.plugged()

    def take_events(self) -> PlugBatch:
        """Return and forget the plug events since the last call; at first, all cars that are plugged in."""
        return self._stations.take_events()

    def opt_out(self, rows: RowArray) -> None:
        """Let the drivers at ``rows`` take no part from now on; their service is told."""
        self._stations.opt_out(rows)
        self._changed = np.union1d(self._changed, rows).astype(np.int32)

    def take_changed(self, now_s: float, online: BoolArray) -> PlugBatch:
        """Return and forget the promises that were changed, of cars still there at stations that are ``online``."""
        rows = self._changed[self._stations.session[self._changed] >= 0]
        self._changed = rows[~online[rows]]
        return self._stations.promises(rows[online[rows]], at_s=now_s)

    def settled_log(self) -> SessionLog:
        """Return the log with the energy delivered so far to plugged cars recorded."""
        rows = np.flatnonzero(self._stations.plugged()).astype(np.int32)
        if len(rows):
            self.log.update(self._stations.session[rows], self._delivered_kwh(rows))
        return self.log

    def depart(self, now_s: float) -> None:
        """Unplug the cars that leave by ``now_s``."""
        rows = self._stations.leaving(now_s)
        if not len(rows):
            return
        self.log.close(self._stations.session[rows], self._delivered_kwh(rows))
        self._stations.unplug(rows, meter_kwh=self._meters.shown_kwh(rows), now_s=now_s)
        for chargers, here in self._by_model(rows):
            chargers.unplug(self._devices.position[rows[here]])
        self._devices.power_kw[:, rows] = 0.0

    def arrive(self, now_s: float) -> RowArray:
        """Plug in the cars that have arrived by ``now_s`` and return where; one that finds none free drives on."""
        arrivals = self._arrivals.due(now_s)
        if arrivals is None:
            return np.zeros(0, dtype=np.int32)
        arrivals = arrivals.take(self._stations.session[arrivals.rows] < 0)
        for chargers, here in self._by_model(arrivals.rows):
            self._plug(chargers, arrivals.take(here), now_s)
        return arrivals.rows

    def _plug(self, chargers: Chargers | V2gChargers, arrivals: Arrivals, now_s: float) -> None:
        if not len(arrivals):
            return
        rows, at = arrivals.rows, self._devices.position[arrivals.rows]
        arrivals = replace(arrivals, need_kwh=chargers.fitting_kwh(at, arrivals.need_kwh))
        cars = PluggedCars(
            need_kwh=arrivals.need_kwh,
            car_kw=arrivals.power_kw,
            delivered_kwh=np.zeros(len(rows)),
            depart_s=np.where(np.isnan(arrivals.stated_s), arrivals.depart_s, arrivals.stated_s),
        )
        # A car seen for the first time within a step counts from now; one that was there before the model began
        # has been charging since it arrived.
        since_s = np.where(arrivals.arrive_s < now_s - _LATE_ARRIVAL_S, arrivals.arrive_s, now_s)
        before_kwh = chargers.deliverable_kwh(at, cars, now_s - since_s)
        could_kwh = chargers.deliverable_kwh(at, cars, cars.depart_s - since_s - PROMISE_SLACK_S)
        promised_kwh = self._promised_share[rows] * np.minimum(could_kwh, arrivals.need_kwh)
        promised_kwh[np.isnan(arrivals.stated_s)] = 0.0  # nothing stated, nothing promised
        chargers.plug(at, replace(cars, delivered_kwh=before_kwh))
        numbers = self.log.open(arrivals, promised_kwh, now_s)
        register_kwh = self._meters.register_kwh
        register_kwh[rows] += np.where(since_s < now_s, before_kwh, 0.0)
        meter_kwh = self._meters.factor[rows] * (register_kwh[rows] - before_kwh)
        self._stations.plug(arrivals, numbers, promised_kwh=promised_kwh, meter_kwh=meter_kwh, now_s=now_s)

    def _delivered_kwh(self, rows: RowArray) -> FloatArray:
        """Return energy into the cars at ``rows`` in both worlds, shape ``(2, len(rows))``."""
        position = self._devices.position[rows]
        result = np.zeros((WORLDS, len(rows)))
        for chargers, here in self._by_model(rows):
            result[:, here] = chargers.delivered_kwh[:WORLDS, position[here]]
        return result

    def _by_model(self, rows: RowArray) -> tuple[tuple[Chargers, BoolArray], tuple[V2gChargers, BoolArray]]:
        """Return the charging models, each with which of ``rows`` it serves."""
        one_way = self._one_way[rows]
        return (self._devices.chargers, one_way), (self._devices.v2g, ~one_way)


def safe_share(index: FleetIndex) -> FloatArray:
    """Return the part of their default that all chargers behind a transformer may take at once, shape ``(n,)``.

    1 where the defaults together fit under the headroom, which is the rule. Where a transformer is so weak that the
    6 A floors of all its chargers do not, no more than this part of the default can be promised to a driver.
    """
    charging = index.is_class(ResourceClass.EV)
    default_kw = np.where(
        charging, np.nan_to_num(np.maximum(index.nameplate.default_kw, index.nameplate.floor_kw)), 0.0
    )
    sum_kw = np.bincount(index.transformer_code, weights=default_kw, minlength=len(index.transformers))
    headroom_kw = np.maximum(index.feeders.limit_kw - index.feeders.base_kw, 0.0)
    share = np.minimum(headroom_kw / np.maximum(sum_kw, 1e-9), 1.0)
    return np.where(charging, share[index.transformer_code], 1.0)
