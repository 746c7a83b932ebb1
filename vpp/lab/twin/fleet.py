"""The whole device side as one model that runs on virtual time."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.errors import InputError
from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.lab.twin.physics import kernels
from vpp.lab.twin.physics.charging import WORLDS, Cars, Chargers, deliverable_kwh
from vpp.lab.twin.physics.faults import FaultRates, Misbehaviour, Responses
from vpp.lab.twin.physics.loads import Loads
from vpp.lab.twin.physics.scenarios import Outside, Scenario
from vpp.lab.twin.physics.stationary import Batteries, Inverters
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.plugging import PlugBatch, Plugs
from vpp.lab.twin.population.sessions import SessionSource, Visits
from vpp.lab.twin.population.visits import SessionLog, VisitLog
from vpp.lab.twin.revenue_meters import MeterHistory, history_grid

ACTUAL, COUNTERFACTUAL = 0, 1
"""Positions of the two worlds on the first axis."""

PROMISED_SHARE = 0.98
"""Part of what the default could deliver that is promised to a driver."""

PROMISE_SLACK_S = 30.0
"""Part of a stay that is not counted on: the charger starts and the car answers."""

Span = slice | RowArray


class Twin:
    """Physical model of a fleet; implements ``vpp.ports.DeviceWorld``.

    Both worlds see the same arrivals, weather, noise and DEFAULT values; only the actual world sees DISPATCH values.

    Args:
        index: The fleet.
        seed: Seed of every stream that is not the sessions'.
        start_s: Epoch seconds at which the model begins.
        sessions: Where cars come from.
        weather: Sun and air.
        faults: How devices misbehave.
        promised_share: Part of what the default could deliver that is promised to a driver.

    Attributes:
        index: The fleet.
        now_s: Epoch seconds up to which the model has run.
        log: Every visit since the begin.
        default_kw: DEFAULT value in force per row, at first ``Resource.default_kw``; for rows that state none, NaN,
            which is no bound (storage: idle). Shape ``(n,)``.
        net_kwh: Net energy since the begin in both worlds, shape ``(2, n)``.
        power_kw: Net power in both worlds, shape ``(2, n)``.
    """

    def __init__(
        self,
        index: FleetIndex,
        *,
        seed: int,
        start_s: float,
        sessions: SessionSource,
        weather: Weather,
        faults: FaultRates = FaultRates(),  # noqa: B008 - frozen
        promised_share: float = PROMISED_SHARE,
    ) -> None:
        count = len(index)
        things, outside, flags, draws, losses, noise, meters = (
            np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(7)
        )
        self.index = index
        self.now_s = start_s
        self.log = SessionLog()
        self.default_kw: FloatArray = np.array([r.default_kw for r in index.resources], dtype=np.float64)
        self.net_kwh: FloatArray = np.zeros((WORLDS, count))
        self.power_kw: FloatArray = np.zeros((WORLDS, count))
        self._chargers = Chargers(index, self._rows(ResourceClass.EV))
        self._cars = Cars(index, self._rows(ResourceClass.V2G))
        self._batteries = Batteries(index, self._rows(ResourceClass.STORAGE), things)
        self._inverters = Inverters(index, self._rows(ResourceClass.PV), things)
        self._loads = Loads(index, self._rows(ResourceClass.HVAC, ResourceClass.INDUSTRY), things)
        classes = (self._chargers, self._cars, self._batteries, self._inverters, self._loads)
        self._spans = [_span(thing.rows) for thing in classes]
        self._place = np.zeros(count, dtype=np.int32)
        for thing in classes:
            self._place[thing.rows] = np.arange(len(thing.rows))
        self._scenario = Scenario(weather, roofs=len(self._inverters.rows), sites=len(self._loads.rows), random=outside)
        self._misbehaviour = Misbehaviour(index, faults, flags=flags, draws=draws, losses=losses)
        self._one_way = index.is_class(ResourceClass.EV)
        self._noise = noise
        self._history = MeterHistory(count, start_s, noise=meters)
        self._dispatch_kw = np.full(count, np.nan)
        self._until_s = np.full(count, -np.inf)
        self._asked_kw = np.full((WORLDS, count), np.nan)
        self._register_kwh = np.zeros(count)
        self._plugs = Plugs(count)
        self._promised_share = promised_share * safe_share(index)
        self._readings: DeviceReadings | None = None
        self._abilities: tuple[float, tuple[FloatArray, FloatArray, FloatArray]] | None = None
        self._diary = VisitLog(index, sessions, start_s)
        self._arrive()

    @property
    def faults(self) -> FaultRates:
        """Rates in force; may be set at any time."""
        return self._misbehaviour.rates

    @faults.setter
    def faults(self, rates: FaultRates) -> None:
        self._misbehaviour.rates = rates

    @property
    def ignorers(self) -> BoolArray:
        """Devices that accept and do nothing, shape ``(n,)``."""
        return self._misbehaviour.ignorers

    def advance(self, to_s: float, step_s: float = 5.0) -> None:
        """Run the model up to ``to_s`` in steps of at most ``step_s``; steps end at every quarter of an hour."""
        while self.now_s < to_s:
            end_s = min(self.now_s + step_s, to_s, self._history.next_s)
            self._step(end_s - self.now_s)
            self.now_s = end_s
            if end_s >= self._history.next_s:
                self._history.close(end_s, self.net_kwh[ACTUAL], self.faults.meter_noise_ratio)
            self._depart()
            self._arrive()

    def history(self, grid: TimeGrid) -> FloatArray:
        """Return metered 15-minute means, NaN where the model has not run, shape ``(n, grid.count)``."""
        return self._history.read(grid)

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return the same as ``history``: the twin is an ``IntervalMeter``."""
        return self._history.read(grid)

    def hand_over_history(self) -> Iterator[tuple[float, npt.NDArray[np.float32]]]:
        """Iterate the metered quarters of an hour and forget each: a city's week takes a gigabyte.

        Start in epoch seconds and means of shape ``(n,)``, oldest first.
        """
        return self._history.hand_over()

    def readings(self) -> DeviceReadings:
        """Return what all meters show now; one sample an instant, however often it is asked for."""
        if self._readings is None or self._readings.at_s != self.now_s:
            self._readings = self._sampled()
        return self._readings

    def metered_kw(self, rows: RowArray) -> FloatArray:
        """Return what the meters of ``rows`` show now, with noise of their own every time, shape ``(len(rows),)``."""
        return self._misbehaviour.metered(self.power_kw[ACTUAL, rows], self._noise)

    @property
    def register_kwh(self) -> FloatArray:
        """Registers of energy taken in, shape ``(n,)``; not to be written to."""
        return self._register_kwh

    def online(self) -> BoolArray:
        """Return which devices have their link now, shape ``(n,)``."""
        return self._misbehaviour.online(self.now_s)

    def abilities(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return state of charge, least and greatest power as the devices tell them now, shape ``(n,)`` each.

        One and the same arrays however often it is asked at one instant; not to be written to.
        """
        if self._abilities is None or self._abilities[0] != self.now_s:
            self._abilities = (self.now_s, self._able())
        return self._abilities[1]

    def responses(self, rows: RowArray) -> Responses:
        """Draw how the devices in ``rows`` treat one instruction each."""
        return self._misbehaviour.responses(rows)

    def apply_all(self, rows: RowArray, layers: CodeArray, power_kw: FloatArray, until_s: FloatArray) -> None:
        """Do what ``apply`` does for many rows, each at most once; shapes ``(len(rows),)``."""
        default, dispatch = layers == Layer.DEFAULT, layers == Layer.DISPATCH
        self.default_kw[rows[default]] = power_kw[default]
        self._dispatch_kw[rows[dispatch]] = power_kw[dispatch]
        self._until_s[rows[dispatch]] = until_s[dispatch]
        self._until_s[rows[layers == Layer.RELEASE]] = -np.inf

    def response(self, row: int) -> DeviceResponse:
        """Draw how the device in ``row`` will treat one instruction."""
        return self._misbehaviour.response(row)

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Put a default or dispatch value in force, or end the dispatch value for ``Layer.RELEASE``."""
        if layer == Layer.DEFAULT:
            self.default_kw[row] = power_kw
        elif layer == Layer.DISPATCH:
            self._dispatch_kw[row] = power_kw
            self._until_s[row] = until_s
        else:
            self._until_s[row] = -np.inf

    def in_force_kw(self) -> FloatArray:
        """Return the dispatch value in force per row, NaN where there is none, shape ``(n,)``."""
        return np.where(self._until_s > self.now_s, self._dispatch_kw, np.nan)

    def plug_events(self) -> list[PlugEvent]:
        """Return and forget the cars that came and went since the last call; at first, all that are plugged in."""
        return self._plugs.news().events()

    def plug_news(self) -> PlugBatch:
        """Return the same as ``plug_events`` as columns; each car is told of by one of the two only."""
        return self._plugs.news()

    def drop(self, rows: RowArray) -> None:
        """Cut the links of ``rows`` until ``restore``."""
        self._misbehaviour.drop(rows)
        self._readings = None

    def restore(self, rows: RowArray) -> None:
        """Give ``rows`` their links back."""
        self._misbehaviour.restore(rows)
        self._readings = None

    def plugged(self) -> BoolArray:
        """Return where a car is plugged in, shape ``(n,)``."""
        return self._plugs.taken()

    def settle_log(self) -> SessionLog:
        """Return the log with what plugged cars have got so far written down."""
        rows = np.flatnonzero(self._plugs.taken()).astype(np.int32)
        if len(rows):
            self.log.update(self._plugs.visit[rows], self._delivered(rows))
        return self.log

    def _rows(self, *classes: ResourceClass) -> RowArray:
        return np.flatnonzero(self.index.is_class(*classes)).astype(np.int32)

    def _step(self, step_s: float) -> None:
        now_s = self.now_s
        self._misbehaviour.advance(now_s, step_s)
        outside = self._scenario.step(now_s, step_s)
        kernels.in_force(self._until_s, self._dispatch_kw, now_s, self._asked_kw[ACTUAL])
        self._move(outside, step_s)
        kernels.register(self.power_kw, step_s / SECONDS_PER_HOUR, self.net_kwh, self._register_kwh)

    def _move(self, outside: Outside, step_s: float) -> None:
        asked, default, power = self._asked_kw, self.default_kw, self.power_kw
        chargers, cars, batteries, inverters, loads = self._spans
        base_kw = self._loads.baseline_kw(outside.hour, outside.weekday, outside.sky.temp_c, outside.sites)
        power[:, chargers] = self._chargers.step(asked[:, chargers], default[chargers], step_s)
        power[:, cars] = self._cars.step(asked[:, cars], default[cars], step_s, self.now_s)
        power[:, batteries] = self._batteries.step(asked[:, batteries], default[batteries], step_s)
        power[:, inverters] = self._inverters.step(
            asked[:, inverters], default[inverters], step_s, sky=outside.sky, clouds=outside.clouds
        )
        power[:, loads] = self._loads.step(asked[:, loads], default[loads], step_s, base_kw)

    def _depart(self) -> None:
        rows = self._plugs.leaving(self.now_s)
        if not len(rows):
            return
        self.log.close(self._plugs.visit[rows], self._delivered(rows))
        self._plugs.go(rows, meter_kwh=self._register_kwh[rows], now_s=self.now_s)
        for thing in (self._chargers, self._cars):
            here = rows[self._one_way[rows] == (thing is self._chargers)]
            thing.unplug(self._place[here])
        self.power_kw[:, rows] = 0.0

    def _arrive(self) -> None:
        visits = self._diary.arrivals(self.now_s)
        if visits is None:
            return
        visits = visits.take(self._plugs.visit[visits.rows] < 0)
        charger = self._one_way[visits.rows]
        for one_way in (True, False):
            self._plug(visits.take(charger == one_way), one_way=one_way)

    def _plug(self, visits: Visits, *, one_way: bool) -> None:
        if not len(visits):
            return
        rows, at = visits.rows, self._place[visits.rows]
        if not one_way:
            visits.need_kwh[:] = self._cars.possible_kwh(at, visits.need_kwh)
        # A car seen for the first time within a step counts from now; one that was there before the model began
        # has been charging since it came.
        long_ago = visits.arrive_s < self.now_s - SECONDS_PER_HOUR / 15.0
        since_s = np.where(long_ago, visits.arrive_s, self.now_s)
        had_kwh = self._deliverable(visits, self.now_s - since_s, one_way=one_way)
        could_kwh = self._deliverable(visits, visits.depart_s - since_s - PROMISE_SLACK_S, one_way=one_way)
        promised_kwh = self._promised_share[rows] * np.minimum(could_kwh, visits.need_kwh)
        if one_way:
            self._chargers.plug(at, need_kwh=visits.need_kwh, car_kw=visits.power_kw, delivered_kwh=had_kwh)
        else:
            self._cars.plug(
                at,
                need_kwh=visits.need_kwh,
                car_kw=visits.power_kw,
                delivered_kwh=had_kwh,
                depart_s=visits.depart_s,
            )
        numbers = self.log.open(visits, promised_kwh, self.now_s)
        self._register_kwh[rows] += np.where(since_s < self.now_s, had_kwh, 0.0)
        meter_kwh = self._register_kwh[rows] - had_kwh
        self._plugs.come(visits, numbers, promised_kwh=promised_kwh, meter_kwh=meter_kwh, now_s=self.now_s)

    def _deliverable(self, visits: Visits, stay_s: FloatArray, *, one_way: bool) -> FloatArray:
        limit_kw = self.index.nameplate.default_kw[visits.rows]
        if one_way:
            limit_kw = np.where(limit_kw < self.index.nameplate.floor_kw[visits.rows], 0.0, limit_kw)
            return deliverable_kwh(limit_kw, visits.power_kw, visits.need_kwh, stay_s)
        full_kwh = np.minimum(limit_kw, visits.power_kw) * np.maximum(stay_s, 0.0) / SECONDS_PER_HOUR
        return np.minimum(full_kwh, visits.need_kwh)

    def _delivered(self, rows: RowArray) -> FloatArray:
        """Return energy into the cars at ``rows`` in both worlds, shape ``(2, len(rows))``."""
        place = self._place[rows]
        result = np.zeros((WORLDS, len(rows)))
        for thing in (self._chargers, self._cars):
            here = self._one_way[rows] == (thing is self._chargers)
            result[:, here] = thing.delivered_kwh[:, place[here]]
        return result

    def _able(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        count = len(self.index)
        soc, least_kw, most_kw = np.full(count, np.nan), np.zeros(count), np.zeros(count)
        soc[self._batteries.rows] = self._batteries.soc[ACTUAL]
        soc[self._cars.rows] = np.where(self._cars.plugged, self._cars.soc[ACTUAL], np.nan)
        told = (
            self._chargers.bounds_kw(),
            self._cars.bounds_kw(),
            self._batteries.bounds_kw(),
            self._inverters.bounds_kw(),
            self._loads.bounds_kw(),
        )
        for span, (least, most) in zip(self._spans, told, strict=True):
            least_kw[span], most_kw[span] = least, most
        return soc, least_kw, most_kw

    def _sampled(self) -> DeviceReadings:
        soc, least_kw, most_kw = self.abilities()
        return DeviceReadings(
            at_s=self.now_s,
            power_kw=self._misbehaviour.metered(self.power_kw[ACTUAL], self._noise),
            energy_kwh=self._register_kwh.copy(),
            soc=soc,
            plugged=self.plugged(),
            online=self.online(),
            p_min_kw=least_kw,
            p_max_kw=most_kw,
        )


def safe_share(index: FleetIndex) -> FloatArray:
    """Return which part of their default all chargers behind a transformer may take at once, shape ``(n,)``.

    1 where the defaults fit under the headroom together, which is the rule. Where a transformer is so weak that the
    6 A floors of all its chargers do not, nobody can promise a driver more than this part of the default.
    """
    charging = index.is_class(ResourceClass.EV)
    default_kw = np.where(
        charging, np.nan_to_num(np.maximum(index.nameplate.default_kw, index.nameplate.floor_kw)), 0.0
    )
    sum_kw = np.bincount(index.transformer_code, weights=default_kw, minlength=len(index.transformers))
    headroom_kw = np.maximum(index.feeders.limit_kw - index.feeders.base_load_kw, 0.0)
    share = np.minimum(headroom_kw / np.maximum(sum_kw, 1e-9), 1.0)
    return np.where(charging, share[index.transformer_code], 1.0)


def _span(rows: RowArray) -> Span:
    """Return neighbouring rows as a slice, which costs no copy."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def meter_history(
    twin: Twin, *, days: int, until_s: float, step_s: float = 60.0
) -> tuple[TimeGrid, tuple[str, ...], FloatArray]:
    """Run a twin that began early enough up to ``until_s`` and return its meters' record.

    The twin goes live from that very state.

    Returns:
        The grid of ``days`` days that end at or before ``until_s``, resource ids, and mean net power of shape
        ``(n, grid.count)``.

    Raises:
        InputError: The twin began too late.
    """
    grid = history_grid(days=days, until_s=until_s)
    if twin.now_s > grid.start_s:
        raise InputError("days", days, f"at most what lies between the twin's begin {twin.now_s:.0f} and {until_s:.0f}")
    twin.advance(until_s, step_s)
    return grid, tuple(r.id for r in twin.index.resources), twin.history(grid)
