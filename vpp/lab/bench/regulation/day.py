"""A day of regulation in closed loop: signal, commands, meters and CPU time.

Every 4 s a value of the signal arrives. The merit order moves the rows; its commands are in force one tick later, plus
the lag of each device. Meters show the sum with noise. Every 15 minutes the base point and the power available in both
directions are declared again, from what the rows can sustain for a quarter of an hour.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from optimizer.tracking.columns import Ints
from optimizer.tracking.law import Correction
from optimizer.tracking.merit_order import MeritOrder, Moves, Offers
from optimizer.tracking.two_sided import TwoSided
from optimizer.tracking.urgency import Wants, Weights, keys
from vpp.lab.bench.regulation.city import (
    STEP_S,
    CarTraffic,
    City,
    RowOffers,
    State,
    initial_state,
    step_devices,
    write_offers,
)
from vpp.lab.twin.signals import regd_like
from vpp.settlement.regulation_score import Trace

TICK_S = 4.0
DAY_S = 86_400.0
_AGC_KW = 300_000.0
_PARTS = 15
"""Ticks in which every row is assessed once: a minute."""
_HOLD_S = TICK_S * (_PARTS + 2)
_DECLARED_S, _DECLARED_SHARE = 900.0, 0.95
_RAMP_S = 300.0
_NOTICE_S = 60.0
"""Lead with which the limits of a step count before it begins."""
_SHIFT = 0.1
"""Greatest shift of the base point to make more power available, as a share of the greatest power asked."""
_CATCH_UP = 0.25
"""Share of the energy missing against the plan that the next base point makes good."""
_LIMIT_SHARE = 0.97
"""Share of every limit that is used; the rest is for devices that respond faster than others."""
_UNREADY = 0.35
"""Share of a decrease that may lag behind the increase that relies on it; chargers have a lag of 2 s."""
_WAIT_TICKS = 1
"""Ticks by which commands are delayed that must wait for others to take effect."""
_PATIENCE_KW = 20.0
_METER_NOISE = 0.005
"""Noise of the metered sum, as a share of the power that is asked at most."""
_WEIGHTS = Weights(margin_s=240.0, stay=0.5, burden=0.05)
_BURDEN_S = 1800.0


class Cost(NamedTuple):
    """CPU milliseconds of one tick: allocation, and assessment of a part of the fleet."""

    tick_ms: float
    refresh_ms: float


class CommandsInFlight:
    """Commands in flight to ``n`` devices; the last one sent is the one that arrives."""

    def __init__(self, n: int) -> None:
        self._power_kw = np.zeros(n)
        self._due = np.full(n, -1, dtype=np.int64)
        self._due_rows: deque[list[Ints]] = deque([[] for _ in range(1 + _WAIT_TICKS)])

    def send(self, tick: int, moves: Moves) -> None:
        """Send commands in ``tick``; one that waits already keeps its time and takes the new value."""
        rows = moves.rows
        self._power_kw[rows] = moves.power_kw
        idle = self._due[rows] <= tick
        for late, chosen in ((0, idle & ~moves.wait), (_WAIT_TICKS, idle & moves.wait)):
            self._due[rows[chosen]] = tick + 1 + late
            self._due_rows[late].append(rows[chosen])

    def arrive(self, state: State) -> None:
        """Put in force what is due in this tick where a car is still plugged in; before ``send``."""
        for rows in self._due_rows.popleft():
            there = rows[state.here[rows]]
            state.held_kw[there] = self._power_kw[there]
        self._due_rows.append([])


@dataclass(slots=True, kw_only=True)
class DayRecord:
    """Record of a day; lists grow by one each tick."""

    cost: list[Cost] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    asked_kw: list[float] = field(default_factory=list)
    answered_kw: list[float] = field(default_factory=list)
    held_kw: list[float] = field(default_factory=list)
    error_kw: list[float] = field(default_factory=list)
    over_kw: float = 0.0
    departures_missed: int = 0
    shortfall_kwh: float = 0.0
    asked_most_kw: float = 0.0
    throughput_kwh: float = 0.0

    def trace(self, city: City) -> Trace:
        """Return the day for the scoring rules; a decrease of net load is positive."""
        return Trace(
            time_s=TICK_S * np.arange(len(self.asked_kw), dtype=np.float64),
            signal_kw=np.array(self.asked_kw),
            response_kw=np.array(self.answered_kw),
            capacity_kw=_AGC_KW * city.scale,
        )


class RegulationLoop:
    """A fleet, its merit order, and the control loop.

    Args:
        city: The fleet and its plan.
        seed: Of signal and noise.
    """

    def __init__(self, city: City, *, seed: int) -> None:
        n = len(city)
        self.city, self.state, self.traffic = city, initial_state(city), CarTraffic(city.devices)
        self.halves = TwoSided(city.devices.two_way)
        self.order = MeritOrder(
            node=self.halves.spread(city.devices.node), parent=city.parent, patience_kw=_PATIENCE_KW, unready=_UNREADY
        )
        self.record = DayRecord(asked_most_kw=_AGC_KW * city.scale)
        self.row_offers = RowOffers(*(np.full(n, np.nan) for _ in range(4)))
        both = len(self.halves)
        self.offers = Offers(
            low_kw=np.full(both, np.nan),
            high_kw=np.full(both, np.nan),
            floor_kw=self.halves.spread(city.floor_kw),
            key=np.zeros(both, dtype=np.uint8),
        )
        self._wants = Wants(self.offers.low_kw, self.offers.high_kw, *(np.full(both, np.nan) for _ in range(4)))
        self.parts: list[Ints] = [
            np.unique(self.halves.rows_of(self.order.rows(part, _PARTS))) for part in range(_PARTS)
        ]
        self._fairness = np.zeros(n)
        self._random = np.random.default_rng(seed)
        self._signal = regd_like(seed=seed, duration_s=DAY_S + TICK_S, step_s=2.0)
        self._agc_kw = _AGC_KW * city.scale
        self._correction = Correction(most_kw=0.05 * self._agc_kw)
        self._first = np.searchsorted(city.devices.node, np.arange(len(city.parent) + 1)).astype(np.int64)
        self._load = np.zeros(len(city.parent))
        self._commands = CommandsInFlight(n)
        self._base_kw = self._base_before_kw = 0.0
        self._declared_kw, self._expected_kw = 0.0, np.nan

    def run(self, ticks: int, observe: Callable[[int], None]) -> DayRecord:
        """Run ``ticks`` ticks from noon; ``observe`` is called after each with its number."""
        self.traffic.until(0.0, self.state)
        self._limits(0.0)
        for part in range(_PARTS):
            self.refresh(part, 0.0)
        for tick in range(ticks):
            self._tick(tick)
            observe(tick)
        self.record.departures_missed, self.record.shortfall_kwh = (
            self.traffic.departures_missed,
            self.traffic.shortfall_kwh,
        )
        return self.record

    def step_of(self, now_s: float) -> int:
        """Return the step of the plan that holds ``now_s``."""
        return min(int(now_s // STEP_S), len(self.city.planned_kw) - 1)

    def assess(self, chosen: Ints, now_s: float) -> None:
        """Compute offers and merit-order keys of the rows ``chosen``."""
        self._offer(chosen, now_s, _HOLD_S)
        self.halves.put(
            chosen, self.row_offers.low_kw, self.row_offers.high_kw, self.offers.low_kw, self.offers.high_kw
        )
        ids = self.halves.halves_of(chosen)
        rows, wants = self.halves.rows_of(ids), self._wants
        wants.due_kwh[ids], wants.slack_s[ids] = self.row_offers.due_kwh[rows], self.row_offers.slack_s[rows]
        wants.setpoint_kw[ids], wants.burden[ids] = self.order.setpoint_kw(ids), self._fairness[rows]
        keys(ids, wants, _WEIGHTS, STEP_S, self.offers.key)

    def _offer(self, chosen: Ints, now_s: float, hold_s: float) -> None:
        city = self.city
        ends, nexts = (city.stored_kwh[self.step_of(at_s)] for at_s in (now_s, now_s + STEP_S))
        write_offers(
            chosen, city.devices, self.state, ends, nexts, now_s % STEP_S / STEP_S, now_s, hold_s, self.row_offers
        )

    def refresh(self, part: int, now_s: float) -> None:
        """Assess a part of the fleet."""
        chosen = self.parts[part]
        self.assess(chosen, now_s)
        self._update_fairness(chosen)
        self.order.refresh(self.offers, part=part, parts=_PARTS)

    def _update_fairness(self, chosen: Ints) -> None:
        """Update the share of time each row was shed, the past discounted."""
        shed = self.state.here[chosen] & (self.state.power_kw[chosen] < 0.5 * self.row_offers.high_kw[chosen])
        keep = np.exp(-TICK_S * _PARTS / _BURDEN_S)
        self._fairness[chosen] = keep * self._fairness[chosen] + (1.0 - keep) * shed

    def _limits(self, now_s: float) -> None:
        """Set the limits of the step, and shortly before the next begins the tighter of both."""
        city, limit = self.city, _LIMIT_SHARE * self.city.limit_kw
        fixed, soon = (city.summed_kw(city.fixed_kw[self.step_of(at_s)]) for at_s in (now_s, now_s + _NOTICE_S))
        self.order.limit(
            lower_kw=np.minimum(-limit + np.maximum(fixed - soon, 0.0), fixed),
            upper_kw=np.maximum(limit - np.maximum(soon - fixed, 0.0), fixed),
            fixed_kw=city.fixed_kw[self.step_of(now_s)],
        )

    def _declare(self, now_s: float) -> None:
        """Declare the base point of the next 15 minutes, and the power available in both directions throughout."""
        city, step = self.city, self.step_of(now_s)
        every = np.arange(len(city))
        self._offer(every, now_s, _DECLARED_S)
        o, here = self.row_offers, self.state.here
        rest = np.maximum(city.devices.most_kwh - self.state.energy_kwh, 0.0) * (3600.0 / _DECLARED_S)
        high = float(np.where(city.devices.two_way, o.high_kw, np.minimum(o.high_kw, rest))[here].sum())
        low = float(o.low_kw[here].sum())
        owed_kw = float(o.due_kwh[here].sum()) * 3600.0 / STEP_S
        planned = float(city.planned_kw[step])
        self._base_before_kw = self._base_kw
        least, most = self.order.range_kw
        low, high = max(low, least), min(high, most)
        base = min(max(planned + _CATCH_UP * (owed_kw - planned), low), high)
        # The base point moves to the middle a little only, for the plan's energy depends on it.
        shift = _SHIFT * self._agc_kw
        base = min(max(0.5 * (low + high), base - shift), base + shift) if self._cramped(low, base, high) else base
        self._base_kw = base
        self._declared_kw = min(_DECLARED_SHARE * max(min(high - base, base - low), 0.0), self._agc_kw)

    def _cramped(self, low: float, base: float, high: float) -> bool:
        return _DECLARED_SHARE * min(high - base, base - low) < self._agc_kw

    def _tick(self, tick: int) -> None:
        now_s = tick * TICK_S
        self.traffic.until(now_s, self.state)
        if now_s % _DECLARED_S in (0.0, _DECLARED_S - _NOTICE_S):
            self._limits(now_s)
        if now_s % _DECLARED_S == 0.0:
            self._declare(now_s)
            for part in range(_PARTS):
                self.assess(self.parts[part], now_s)
        base_kw = self._base_at(now_s)
        asked_kw = self._declared_kw * float(self._signal.at(np.array([now_s]))[0])
        changed = self._move(tick, base_kw - asked_kw)
        metered_kw = self._step_devices(now_s)
        self._record(asked_kw, base_kw - metered_kw, changed)
        if not np.isnan(self._expected_kw):
            self._correction.update(expected_kw=self._expected_kw, measured_kw=metered_kw, elapsed_s=TICK_S)
        self._expected_kw = base_kw - asked_kw

    def _base_at(self, now_s: float) -> float:
        """Return the base point in kW, which ramps from one declaration to the next."""
        share = min((now_s % _DECLARED_S) / _RAMP_S, 1.0)
        return self._base_before_kw + share * (self._base_kw - self._base_before_kw)

    def _move(self, tick: int, target_kw: float) -> int:
        """Assess a part of the fleet, allocate the target, and send the commands; return their number."""
        began = time.thread_time_ns()
        self.refresh(tick % _PARTS, tick * TICK_S)
        looked = time.thread_time_ns()
        moves = self.halves.joined(self.order.tick(target_kw + self._correction.value_kw), self.order)
        done = time.thread_time_ns()
        self.record.cost.append(Cost((done - looked) / 1e6, (looked - began) / 1e6))
        self._commands.arrive(self.state)
        self._commands.send(tick, moves)
        return len(moves)

    def _step_devices(self, now_s: float) -> float:
        """Step the devices by a tick, check the limits, and return the metered sum."""
        city = self.city
        total = step_devices(city.devices, self.state, TICK_S, self._first, self._load)
        load = city.summed_kw(self._load + city.fixed_kw[self.step_of(now_s)])
        battery = ~city.devices.car
        self.record.throughput_kwh += float(np.abs(self.state.power_kw[battery]).sum()) * TICK_S / 3600.0
        self.record.over_kw = max(self.record.over_kw, float((np.abs(load) - city.limit_kw).max()))
        return total + self._agc_kw * _METER_NOISE * float(self._random.standard_normal())

    def _record(self, asked_kw: float, answered_kw: float, changed: int) -> None:
        record = self.record
        record.asked_kw.append(asked_kw)
        record.answered_kw.append(answered_kw)
        record.held_kw.append(self._declared_kw)
        record.error_kw.append(abs(answered_kw - asked_kw))
        record.changed.append(changed)
