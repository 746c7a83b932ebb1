"""The fleet of ``vpp bench dispatch``: a planned day of cars, V2G and storage, and their response to commands.

Drawn like the reference instances (`vpp.lab.bench.instance`), with batteries scaled to 800 MW / 1.6 GWh per 276,000
rows and feeders above the transformers. The day's plan holds back part of every store's power and energy and finishes
cars a step early where possible; that is what regulation is provided with. Cars arrive up to a quarter of an hour
before the plan counts on them and stay up to one longer.
"""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from numerics.jit import njit
from optimizer.problem.problem import Network, Problem, Storing
from optimizer.problem.validation import FloatArray, IntArray
from optimizer.solve import solve
from optimizer.tracking.columns import Flags, Floats, Ints
from vpp.lab.bench.instance import generated, problem_of

STEP_S = 900.0
_ROWS_OF_CITY, _STORAGE_KW = 276_000, 800_000.0
_BATTERIES_PER_POINT = 1.0 / 40.0
_TRANSFORMERS_PER_FEEDER = 24
_FEEDER_SHARE, _CITY_SHARE = 0.9, 0.8
"""Limit of a feeder and of the city, as a share of the sum of what is below."""
_POWER_HELD_BACK, _ENERGY_HELD_BACK = 0.45, 0.12
"""Share of every battery's power, and of its energy at both ends, that the plan does not use."""
_SIX_A_KW, _SIX_A_THREE_PHASE_KW, _SINGLE_PHASE_KW = 1.38, 4.14, 7.5
"""Least power of a charger on one phase and on three, and up to which size it has one."""
_DEADLINE_S = 300.0
_CAR_LAG_S, _STORE_LAG_S = 2.0, 1.0
"""Time constants with which chargers and batteries take up a new power."""
_SHORT_KWH, _FULL_KWH = 0.05, 1e-6
_GIVING_SLACK_S = 600.0


class Devices(NamedTuple):
    """Constants of a day; rows sorted by node, shape ``(n,)`` each.

    Attributes:
        two_way: It can discharge.
        car: It arrives and departs.
        begin_kwh: Stored at arrival; for charge-only cars 0.
        due_kwh: Stored energy due at departure; for charge-only cars at the meter.
        efficiency: One way; 1 for charge-only cars, whose need is metered.
    """

    node: Ints
    two_way: Flags
    car: Flags
    p_kw: Floats
    begin_kwh: Floats
    due_kwh: Floats
    least_kwh: Floats
    most_kwh: Floats
    efficiency: Floats
    arrive_s: Floats
    depart_s: Floats


class State(NamedTuple):
    """State of the devices; shape ``(n,)`` each.

    Attributes:
        here: It is plugged in.
        held_kw: Command in force.
        power_kw: Net power.
        energy_kwh: Energy stored, or charged.
    """

    here: Flags
    held_kw: Floats
    power_kw: Floats
    energy_kwh: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """A fleet and its planned day of ``T`` steps over ``m`` nodes.

    Attributes:
        parent: Node above each, shape ``(m,)``.
        limit_kw: Limit in both directions, shape ``(m,)``.
        fixed_kw: Load at each node other than these rows, shape ``(T, m)``.
        stored_kwh: Planned ``State.energy_kwh`` at the end of each step, shape ``(T, n)``, single precision.
        planned_kw: Planned sum of all rows, shape ``(T,)``.
    """

    devices: Devices
    parent: IntArray
    limit_kw: FloatArray
    fixed_kw: FloatArray
    stored_kwh: npt.NDArray[np.float32]
    planned_kw: FloatArray
    floor_kw: FloatArray
    gap_ratio: float
    plan_cpu_s: float
    plan_overload_kw: float

    def __len__(self) -> int:
        return len(self.devices.node)

    @property
    def scale(self) -> float:
        """Size against the city of 276,000 rows."""
        return len(self) / _ROWS_OF_CITY

    def summed_kw(self, own_kw: FloatArray) -> FloatArray:
        """Return the load of every node with all below it, shape ``(m,)``; children stand before parents."""
        load = own_kw.copy()
        leaves = int(np.argmax(self.parent == self.parent.max())) if len(load) > 1 else 0
        below = load[:leaves]
        load += np.bincount(self.parent[:leaves], weights=below, minlength=len(load))
        load[-1] = load[leaves:-1].sum()
        return load


def planned_city(rows: int, *, seed: int) -> City:
    """Return a fleet of about ``rows`` rows with its plan; planning takes some seconds."""
    points = max(round(rows / (1.0 + _BATTERIES_PER_POINT)), 1)
    actual = _with_feeders(_sized(problem_of(generated(points, seed)), rows))
    began = time.process_time()
    plan = solve(_cautious(actual), deadline_s=_DEADLINE_S, method="decomposition")
    cpu_s = time.process_time() - began
    charging, storing, solar, _ = actual.parts
    power = plan.power_kw
    fixed = actual.network.base_kw.copy()
    np.add.at(fixed, actual.solar.transformer, power[solar])
    devices, order = _devices(actual, np.random.default_rng(seed + 1))
    moved = np.concatenate([power[charging], power[storing]])[order]
    return City(
        devices=devices,
        parent=actual.network.parent,
        limit_kw=actual.network.limit_kw[:, 0].copy(),
        fixed_kw=np.ascontiguousarray(fixed.T),
        stored_kwh=_stored(devices, moved, actual.step_h),
        planned_kw=moved.sum(axis=0, dtype=np.float64),
        floor_kw=_floor_kw(devices),
        gap_ratio=plan.gap_ratio,
        plan_cpu_s=cpu_s,
        plan_overload_kw=float(plan.overload_kw.max(initial=0.0)),
    )


def _floor_kw(devices: Devices) -> FloatArray:
    six_a = np.where(devices.p_kw > _SINGLE_PHASE_KW, _SIX_A_THREE_PHASE_KW, _SIX_A_KW)
    return np.where(devices.two_way, 0.0, six_a)


def _is_battery(stores: Storing, steps: int) -> npt.NDArray[np.bool_]:
    return np.asarray((stores.arrive == 0) & (stores.depart == steps) & (stores.soc_start == stores.soc_end))


def _sized(problem: Problem, rows: int) -> Problem:
    """Return the problem with its batteries scaled to the city's storage."""
    stores = problem.storing
    battery = _is_battery(stores, problem.steps)
    factor = _STORAGE_KW * rows / _ROWS_OF_CITY / max(float(stores.p_max_kw[battery].sum()), 1e-9)
    size = np.where(battery, factor, 1.0)
    scaled = {name: getattr(stores, name) * size for name in ("p_min_kw", "p_max_kw", "capacity_kwh")}
    return replace(problem, storing=replace(stores, **scaled), regulation=None)


def _with_feeders(problem: Problem) -> Problem:
    """Return the problem with feeders above its transformers and the city above these."""
    below = problem.network
    leaves, steps = len(below), problem.steps
    feeders = -(-leaves // _TRANSFORMERS_PER_FEEDER)
    limit = below.limit_kw[:, 0]
    feeder_of = np.arange(leaves) // _TRANSFORMERS_PER_FEEDER
    limits = np.concatenate(
        [
            limit,
            _FEEDER_SHARE * np.bincount(feeder_of, weights=limit, minlength=feeders),
            [_CITY_SHARE * limit.sum()],
        ]
    )
    whole = np.repeat(limits[:, None], steps, axis=1)
    return replace(
        problem,
        network=Network(
            parent=np.concatenate([leaves + feeder_of, np.full(feeders, leaves + feeders), [-1]]).astype(np.int64),
            limit_kw=whole,
            export_limit_kw=whole,
            base_kw=np.concatenate([below.base_kw, np.zeros((feeders + 1, steps))]),
        ),
    )


def _cautious(problem: Problem) -> Problem:
    """Return the problem as it is planned: reserves in stores, cars done early, limits narrowed for regulation."""
    cars, stores = problem.charging, problem.storing
    early = (cars.depart - cars.arrive - 1) * cars.p_max_kw * problem.step_h >= 1.05 * cars.need_kwh
    reach = stores.p_max_kw * problem.step_h * stores.efficiency * (stores.depart - stores.arrive - 2)
    spare = (stores.soc_end - stores.soc_start) * stores.capacity_kwh < 0.9 * reach
    battery = _is_battery(stores, problem.steps)
    power = np.where(battery, 1.0 - _POWER_HELD_BACK, 1.0)
    margin = np.where(battery, _ENERGY_HELD_BACK, 0.03)
    soc_max = np.maximum(stores.soc_max - margin, np.maximum(stores.soc_start, stores.soc_end))
    return replace(
        problem,
        charging=replace(cars, depart=np.where(early, cars.depart - 1, cars.depart)),
        storing=replace(
            stores,
            depart=np.where(spare & ~battery, stores.depart - 1, stores.depart),
            p_min_kw=stores.p_min_kw * power,
            p_max_kw=stores.p_max_kw * power,
            soc_min=np.minimum(stores.soc_min + margin, stores.soc_start),
            soc_max=soc_max,
        ),
        network=_narrowed(problem),
    )


def _narrowed(problem: Problem) -> Network:
    """Return the network with limits that leave room for the batteries' part of the regulation."""
    network, stores = problem.network, problem.storing
    battery = _is_battery(stores, problem.steps)
    p_max = np.bincount(stores.transformer[battery], weights=stores.p_max_kw[battery], minlength=len(network))
    held = np.asarray(_POWER_HELD_BACK * p_max, dtype=np.float64)
    room, _ = network.summed_kw(held[:, None])
    limit = 0.96 * network.limit_kw
    # The load without any of these rows has to fit.
    fixed = network.base_kw.copy()
    np.add.at(fixed, problem.solar.transformer, -problem.solar.available_kw)
    load, _ = network.summed_kw(fixed)
    narrow = np.minimum(limit, np.maximum(limit - room, np.abs(load) + 0.1 * limit))
    return replace(network, limit_kw=narrow, export_limit_kw=narrow)


def _devices(problem: Problem, random: np.random.Generator) -> tuple[Devices, IntArray]:
    """Return the rows sorted by node, and their order in the problem."""
    cars, stores = problem.charging, problem.storing
    order = np.argsort(np.concatenate([cars.transformer, stores.transformer]), kind="stable")
    battery = _is_battery(stores, problem.steps)
    car = np.concatenate([np.ones(len(cars), dtype=np.bool_), ~battery])

    def both(of_cars: FloatArray | IntArray, of_stores: FloatArray | IntArray) -> FloatArray:
        return np.concatenate([of_cars, of_stores])[order].astype(np.float64)

    none, capacity = np.zeros(len(cars)), stores.capacity_kwh
    jitter = random.uniform(0.0, STEP_S, (2, len(order))) * car[order]
    arrive = both(cars.arrive, stores.arrive) * STEP_S - jitter[0]
    depart = both(cars.depart, stores.depart) * STEP_S + jitter[1]
    return Devices(
        node=np.concatenate([cars.transformer, stores.transformer])[order].astype(np.int64),
        two_way=both(none, np.ones(len(stores))) > 0.0,
        car=car[order],
        p_kw=both(cars.p_max_kw, stores.p_max_kw),
        begin_kwh=both(none, stores.soc_start * capacity),
        due_kwh=both(cars.need_kwh, stores.soc_end * capacity),
        least_kwh=both(none, np.minimum(stores.soc_min, stores.soc_start) * capacity),
        most_kwh=both(cars.need_kwh, np.maximum(stores.soc_max, stores.soc_start) * capacity),
        efficiency=both(none + 1.0, stores.efficiency),
        arrive_s=np.where(car[order], arrive, -1.0),
        depart_s=np.where(car[order], depart, np.inf),
    ), order


def _stored(devices: Devices, power_kw: npt.NDArray[np.floating], step_h: float) -> npt.NDArray[np.float32]:
    """Return the planned energy at the end of every step, shape ``(T, n)``."""
    out = np.empty((power_kw.shape[1], power_kw.shape[0]), dtype=np.float32)
    energy = devices.begin_kwh.copy()
    for step in range(power_kw.shape[1]):
        power = power_kw[:, step].astype(np.float64)
        energy += step_h * np.where(power > 0.0, power * devices.efficiency, power / devices.efficiency)
        out[step] = energy
    return out


def initial_state(city: City) -> State:
    """Return the state before the first car has arrived."""
    n = len(city)
    return State(
        here=np.zeros(n, dtype=np.bool_),
        held_kw=np.zeros(n),
        power_kw=np.zeros(n),
        energy_kwh=city.devices.begin_kwh.copy(),
    )


class CarTraffic:
    """Arrivals and departures of cars in order of time."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._coming = np.argsort(devices.arrive_s, kind="stable")
        self._going = np.argsort(devices.depart_s, kind="stable")
        self._come = self._gone = 0
        self.departures_missed = 0
        self.shortfall_kwh = 0.0

    def until(self, now_s: float, state: State) -> None:
        """Process arrivals and departures up to ``now_s``; departures short of their energy are counted."""
        devices = self._devices
        end = int(np.searchsorted(devices.arrive_s, now_s, side="right", sorter=self._coming))
        state.here[self._coming[self._come : end]] = True
        self._come = end
        end = int(np.searchsorted(devices.depart_s, now_s, side="right", sorter=self._going))
        rows = self._going[self._gone : end]
        self._gone = end
        short = devices.due_kwh[rows] - state.energy_kwh[rows]
        self.departures_missed += int(np.count_nonzero(short > _SHORT_KWH))
        self.shortfall_kwh += float(short[short > _SHORT_KWH].sum())
        state.here[rows] = False
        state.held_kw[rows] = state.power_kw[rows] = 0.0


@njit()
def step_devices(devices: Devices, state: State, elapsed_s: float, first: Ints, load: Floats) -> float:
    """Step every device by ``elapsed_s``; return the sum of their powers and write it per node to ``load``.

    Args:
        devices: Of which ``first[k]:first[k + 1]`` hang on node ``k``.
        state: Changed in place.
        elapsed_s: Time.
        first: Shape ``(m + 1,)``.
        load: Filled, shape ``(m,)``.
    """
    here, held, power, energy = state.here, state.held_kw, state.power_kw, state.energy_kwh
    two_way, efficiency = devices.two_way, devices.efficiency
    least, most, p_max = devices.least_kwh, devices.most_kwh, devices.p_kw
    hours = elapsed_s / 3600.0
    car, store = 1.0 - np.exp(-elapsed_s / _CAR_LAG_S), 1.0 - np.exp(-elapsed_s / _STORE_LAG_S)
    total = 0.0
    for k in range(len(first) - 1):
        node = 0.0
        for i in range(first[k], first[k + 1]):
            if not here[i]:
                continue
            # A reading is taken at the end of the tick.
            x = power[i] + (store if two_way[i] else car) * (held[i] - power[i])
            x = min(x, p_max[i], max(most[i] - energy[i], 0.0) / (efficiency[i] * hours))
            if two_way[i]:
                x = max(x, -p_max[i], -max(energy[i] - least[i], 0.0) * efficiency[i] / hours)
            else:
                x = max(x, 0.0)
            power[i] = x
            energy[i] += hours * (x * efficiency[i] if x > 0.0 else x / efficiency[i])
            node += x
        load[k] = node
        total += node
    return total


class RowOffers(NamedTuple):
    """Input of the merit order; shape ``(n,)`` each, valid for the rows that were assessed."""

    low_kw: Floats
    high_kw: Floats
    due_kwh: Floats
    slack_s: Floats


@njit()
def write_offers(  # noqa: PLR0917 - a kernel takes arguments by position
    chosen: Ints,
    devices: Devices,
    state: State,
    planned_kwh: npt.NDArray[np.float32],
    next_kwh: npt.NDArray[np.float32],
    share: float,
    now_s: float,
    hold_s: float,
    out: RowOffers,
) -> None:
    """Write the power the rows ``chosen`` can sustain for ``hold_s``, and their energy missing against the plan.

    The plan is read a step from now, ``share`` of the way between the ends of this step and the next, so that the time
    to be on plan is always the same and there is no rush when a step ends.

    A V2G car keeps ten minutes of slack to its promise, so that it never discharges what it could not recharge.
    """
    hours = hold_s / 3600.0
    for i in chosen:
        if not state.here[i]:
            out.low_kw[i] = np.nan
            continue
        energy, eta, p = state.energy_kwh[i], devices.efficiency[i], devices.p_kw[i]
        slack = np.inf
        if devices.car[i]:
            slack = devices.depart_s[i] - now_s - 3600.0 * max(devices.due_kwh[i] - energy, 0.0) / (eta * p)
        rest = max(devices.most_kwh[i] - energy, 0.0)
        if devices.two_way[i]:
            out.high_kw[i] = min(p, rest / (eta * hours))
            gives = p if slack > _GIVING_SLACK_S else 0.0
            out.low_kw[i] = -min(gives, max(energy - devices.least_kwh[i], 0.0) * eta / hours)
        else:
            # It charges at full power until it is full, then stops by itself.
            out.high_kw[i] = p if rest > _FULL_KWH else 0.0
            out.low_kw[i] = 0.0
        owed = planned_kwh[i] + share * (next_kwh[i] - planned_kwh[i]) - energy
        out.due_kwh[i] = owed / eta if owed > 0.0 else owed * eta
        out.slack_s[i] = slack if rest > _FULL_KWH else np.inf
