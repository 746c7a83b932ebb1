"""The simulated fleet: physics, faults, meters and charging sessions on one virtual time, in two worlds."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.charging_sessions import PROMISED_SHARE, ChargingSessions, safe_share
from vpp.lab.twin.environment.environment import Environment
from vpp.lab.twin.environment.world_file import KIND_WORLD, World
from vpp.lab.twin.local_time import local_day
from vpp.lab.twin.meters import Meters
from vpp.lab.twin.physics.device_models import Capability, DeviceModels
from vpp.lab.twin.physics.faults import DeviceFaults, FaultRates
from vpp.lab.twin.physics.scenarios import Conditions, Scenario, base_load_kw
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.arrivals import ArrivalQueue
from vpp.lab.twin.population.sessions import SessionSource
from vpp.lab.twin.setpoints import SetpointTable
from vpp.lab.twin.worlds import ACTUAL, WORLDS


class Twin:
    """Physical model of a fleet; implements ``vpp.ports.DeviceWorld`` and ``vpp.ports.IntervalMeter``.

    All worlds have the same arrivals, weather and noise. The actual and the prepared world have the same DEFAULT
    values, and only the actual one has DISPATCH values; in the ordinary one stores have defaults of their own.

    Args:
        index: The fleet.
        seed: Seed of every stream but those of the charging sessions.
        start_s: Epoch seconds at which the model begins.
        sessions: Source of the charging sessions.
        weather: Temperature and irradiance.
        faults: Rates of device faults.
        promised_share: Part of what the default could deliver that is promised to a driver.
        world: What days, people, devices and network are like; the kind world unless given.

    Attributes:
        index: The fleet.
        world: What days, people, devices and network are like.
        now_s: Epoch seconds up to which the model has run.
        setpoints: Default and dispatch values in force.
        devices: Physical models of all classes.
        faults: Refusals, ignored commands and link outages.
        meters: Energy registers and metered intervals.
        sessions: Cars at the stations, and the record of all before.
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
        world: World = KIND_WORLD,
    ) -> None:
        # The order of the streams is part of what a seed means.
        seeds = np.random.SeedSequence(seed)
        devices, conditions, flags, draws, losses, samples, intervals = (
            np.random.default_rng(s) for s in seeds.spawn(7)
        )
        self.index = index
        self.world = world
        self.now_s = start_s
        self.setpoints = SetpointTable(index)
        self.devices = DeviceModels(index, devices)
        self.faults = DeviceFaults(index, faults, flags=flags, draws=draws, losses=losses)
        stores = len(self.devices.stores)
        self.meters = Meters(len(index), start_s, samples=samples, intervals=intervals, stores=stores)
        self.sessions = ChargingSessions(
            index,
            self.devices,
            self.meters,
            ArrivalQueue(index, sessions, start_s),
            promised=promised_share * safe_share(index),
        )
        self._scenario = Scenario(
            weather,
            roofs=len(self.devices.inverters.rows),
            sites=len(self.devices.loads.rows),
            random=conditions,
            saturday=world.days.saturday_share,
        )
        self._environment: Environment | None = None
        if not world.is_kind:
            self._environment = self._surrounded(world, seeds)
        self._asked_kw: FloatArray = np.full((WORLDS, len(index)), np.nan)
        self._readings: DeviceReadings | None = None
        self._capability: tuple[float, Capability] | None = None
        self.sessions.arrive(start_s)

    @property
    def power_kw(self) -> FloatArray:
        """Net power in both worlds, shape ``(2, n)``; not to be written to."""
        return self.devices.power_kw

    @property
    def net_kwh(self) -> FloatArray:
        """Net energy since the begin in both worlds, shape ``(2, n)``; not to be written to."""
        return self.meters.net_kwh

    def advance(self, to_s: float, step_s: float = 5.0) -> None:
        """Run the model up to ``to_s`` in steps of at most ``step_s``; steps end at every quarter of an hour."""
        history = self.meters.history
        while self.now_s < to_s:
            end_s = min(self.now_s + step_s, to_s, history.next_s)
            self._step(end_s - self.now_s)
            self.now_s = end_s
            if end_s >= history.next_s:
                self.meters.close_interval(end_s, self.faults.rates.meter_noise_ratio)
            self.sessions.depart(end_s)
            self._greet(self.sessions.arrive(end_s))

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return metered 15-minute means, NaN where the model has not run, shape ``(n, grid.count)``."""
        return self.meters.history.read(grid)

    def drain_history(self) -> Iterator[tuple[float, npt.NDArray[np.float32]]]:
        """Iterate the metered quarters of an hour and forget each: a city's week takes a gigabyte.

        Start in epoch seconds and means of shape ``(n,)``, oldest first.
        """
        return self.meters.history.drain()

    def readings(self) -> DeviceReadings:
        """Return what all meters show now; one and the same sample at one instant."""
        if self._readings is None or self._readings.at_s != self.now_s:
            self._readings = self._sampled()
        return self._readings

    def sample_kw(self, rows: RowArray) -> FloatArray:
        """Return a fresh sample of the power of ``rows``, shape ``(len(rows),)``; every call draws its own noise."""
        power_kw = self.meters.factor[rows] * self.power_kw[ACTUAL, rows]
        return self.meters.sample_kw(power_kw, self.faults.rates.meter_noise_ratio)

    def others_kw(self, at_s: float) -> FloatArray:
        """Return the load of others behind each transformer at ``at_s``, shape ``(n_transformers,)``.

        Instants must not fall from one call to the next.
        """
        if self._environment is None:
            return base_load_kw(self.index, at_s)
        return self._environment.others.kw(at_s)

    def capability(self) -> Capability:
        """Return what the devices' controllers report now; the same arrays at one instant, not to be written to."""
        if self._capability is None or self._capability[0] != self.now_s:
            self._capability = (self.now_s, self.devices.capability())
        return self._capability[1]

    def online(self) -> BoolArray:
        """Return which devices have their link now, shape ``(n,)``."""
        return self.faults.online(self.now_s)

    def response(self, row: int) -> DeviceResponse:
        """Draw the response of the device in ``row`` to one command."""
        return self.faults.response(row)

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        """Put a default or dispatch value in force, or end the dispatch value for ``Layer.RELEASE``."""
        self.setpoints.apply(row, layer, power_kw, until_s)

    def dispatch_kw(self) -> FloatArray:
        """Return the dispatch value in force per row, NaN where there is none, shape ``(n,)``."""
        return self.setpoints.dispatch_kw(self.now_s)

    def plug_events(self) -> list[PlugEvent]:
        """Return and forget the plug events since the last call; at first, all cars that are plugged in."""
        return self.sessions.take_events().events()

    def rejoin(self) -> None:
        """Let the prepared world go on from the actual one."""
        self.devices.rejoin()

    def drop(self, rows: RowArray) -> None:
        """Cut the links of ``rows`` until ``restore``."""
        self.faults.drop(rows)
        self._readings = None

    def restore(self, rows: RowArray) -> None:
        """Restore the links of ``rows``."""
        self.faults.restore(rows)
        self._readings = None

    def _step(self, step_s: float) -> None:
        now_s = self.now_s
        self.faults.advance(now_s, step_s)
        conditions = self._scenario.step(now_s, step_s)
        self.setpoints.write_dispatch(now_s, self._asked_kw[ACTUAL])
        if self._environment is not None:
            conditions = self._surround(self._environment, conditions, step_s)
        power_kw = self.devices.step(
            self._asked_kw,
            self.setpoints.default_kw,
            conditions,
            now_s=now_s,
            step_s=step_s,
            ordinary_kw=self.setpoints.ordinary_kw,
        )
        self.meters.count(power_kw, self.devices.ordinary_kw, step_s)

    def _surrounded(self, world: World, seeds: np.random.SeedSequence) -> Environment:
        """Return the environment of a world, and set what lasts of it."""
        environment = Environment.of(world, self.index, self.devices, seeds.spawn(1)[0])
        self.meters.misread(environment.meter)
        self.faults.worsen(ignores=environment.ignores, refuses=environment.refuses, latency=world.devices.latency)
        return environment

    def _surround(self, environment: Environment, conditions: Conditions, step_s: float) -> Conditions:
        """Let the environment's step pass: outages, people, sleeping cars; return its own conditions."""
        now_s, asked_kw = self.now_s, self._asked_kw[ACTUAL]
        for rows, until_s in environment.outages.step(now_s, step_s):
            self.faults.cut(rows, until_s)
        day = local_day(now_s)
        out = environment.overrides.step(asked_kw, self.power_kw, day=day, now_s=now_s, step_s=step_s)
        if len(out):
            self.sessions.opt_out(out)
        environment.sleepers.step(asked_kw, step_s)
        return environment.conditions(conditions, now_s, step_s)

    def _greet(self, rows: RowArray) -> None:
        """Take new cars at ``rows``."""
        if self._environment is not None and len(rows):
            self._environment.overrides.new_drivers(rows)
            self._environment.sleepers.plug(rows)

    def _sampled(self) -> DeviceReadings:
        soc, least_kw, most_kw = self.capability()
        return DeviceReadings(
            at_s=self.now_s,
            power_kw=self.meters.sample_kw(
                self.meters.factor * self.power_kw[ACTUAL], self.faults.rates.meter_noise_ratio
            ),
            energy_kwh=self.meters.registers_kwh.copy(),
            soc=soc,
            plugged=self.sessions.plugged(),
            online=self.online(),
            p_min_kw=least_kw,
            p_max_kw=most_kw,
        )
