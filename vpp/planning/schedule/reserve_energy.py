"""Reserve energy: charge that stores keep for hours of large requests, beyond what all other rows give.

Photovoltaics are gone in the evening and cars are few; what buildings and plants give then is expected at its p10, and
the stores keep the rest instead of spending it on the price (fleet model: 67 MW of 310 are left at 20:00 otherwise).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vpp.domain.telemetry import BoolArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.fleet.calendar import day_number, day_start_s, local_hour
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.promised_energy import others_p10_kw
from vpp.planning.reserve.demand import ReserveBlock, ReserveDemand, blocks_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveWindow:
    """Hours of every day, Asia/Shanghai, with an upward power that must be available.

    Attributes:
        from_hour: First hour, 0-24.
        until_hour: End; at or below ``from_hour`` it lies on the next day.
        need_kw: Power that must be available, sustained to the end.
    """

    from_hour: float
    until_hour: float
    need_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRefill:
    """Refill of stores after a call of one window, so that the next window of the day is backed as well.

    Attributes:
        power_kw: Net load they may add together.
        after_h: Hours from a window's end until they begin: the release and the watch of the rebound.
    """

    power_kw: float
    after_h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRequirement:
    """One window on a grid: steps ``[first, last)`` and the power that stores must sustain over them.

    Attributes:
        price_cny_per_kw: Price of a kW that is missing, ``None`` for that of the policy.
        sustain_steps: Steps for which the power has to last whenever it is called; 0 for those to the window's end.
    """

    first: int
    last: int
    need_kw: float
    price_cny_per_kw: float | None = None
    sustain_steps: int = 0


def reserve_requirements(
    basis: FlexibilityBasis, windows: Sequence[ReserveWindow], grid: TimeGrid, refill: ReserveRefill | None = None
) -> tuple[ReserveRequirement, ...]:
    """Return the windows that lie whole on ``grid``, disjoint and in order, with the need net of what others give.

    Args:
        basis: Basis of the fleet.
        windows: Reserve windows of every day.
        grid: Steps of the plan, beginning where the basis' do.
        refill: Refill between two windows; without it each is backed as if no other were called.
    """
    found: list[ReserveRequirement] = []
    for first, last, need_kw in sorted(_occurrences(windows, grid)):
        if found and first < found[-1].last:
            continue
        others = float(others_p10_kw(basis, first, last).min())
        if need_kw > others:
            found.append(ReserveRequirement(first=first, last=last, need_kw=need_kw - others))
    return tuple(found) if refill is None else _jointly_backed(found, refill, _round_trip(basis), grid)


def demanded(
    basis: FlexibilityBasis,
    demand: ReserveDemand,
    windows: Sequence[ReserveRequirement],
    grid: TimeGrid,
    refill: ReserveRefill | None = None,
) -> tuple[ReserveRequirement, ...]:
    """Return windows and, on the steps they leave, what a demand asks of stores; disjoint and in order.

    Args:
        basis: Basis of the fleet.
        demand: Reserve that is worth its price; net of it is what others give.
        windows: Windows that are backed in any case.
        grid: Steps of the plan, beginning where the basis' do.
        refill: Refill between two calls of a day; without it each is backed as if it were the only one.
    """
    taken = np.zeros(grid.count, dtype=np.bool_)
    for window in windows:
        taken[window.first : window.last] = True
    runs: list[list[ReserveBlock]] = []
    for block in blocks_of(replace(demand, power_kw=np.where(taken, 0.0, demand.power_kw)), grid):
        need_kw = block.power_kw - float(others_p10_kw(basis, block.first, block.last).min())
        if need_kw <= 0.0:
            continue
        if not runs or runs[-1][-1].last < block.first:
            runs.append([])
        runs[-1].append(replace(block, power_kw=need_kw))
    if refill is not None:
        runs = _backed_again(runs, refill, _round_trip(basis), grid)
    found = [
        ReserveRequirement(
            first=block.first,
            last=block.last,
            need_kw=block.power_kw,
            price_cny_per_kw=block.price_cny_per_kw,
            sustain_steps=block.sustain_steps,
        )
        for run in runs
        for block in run
    ]
    return tuple(sorted([*windows, *found], key=lambda one: one.first))


def _backed_again(
    runs: Sequence[list[ReserveBlock]], refill: ReserveRefill, round_trip: float, grid: TimeGrid
) -> list[list[ReserveBlock]]:
    """Return runs of adjacent blocks with the need of a later one that could not be refilled after a call before."""
    backed: list[list[ReserveBlock]] = []
    for run in reversed(runs):
        missing_kwh = 0.0
        if backed and run[0].again:
            later = backed[-1]
            hours = max((later[0].first - run[-1].last) * grid.step_h - refill.after_h, 0.0)
            due_kwh = max(block.power_kw * block.sustain_steps * grid.step_h for block in later)
            missing_kwh = max(due_kwh - round_trip * refill.power_kw * hours, 0.0)
        backed.append(
            [
                replace(block, power_kw=block.power_kw + missing_kwh / (block.sustain_steps * grid.step_h))
                for block in run
            ]
        )
    return backed[::-1]


def _jointly_backed(
    windows: Sequence[ReserveRequirement], refill: ReserveRefill, round_trip: float, grid: TimeGrid
) -> tuple[ReserveRequirement, ...]:
    """Return the windows with the need of a later one that could not be refilled after an earlier one was called."""
    backed: list[ReserveRequirement] = []
    for window in reversed(windows):
        missing_kwh = 0.0
        if backed:
            later = backed[-1]
            hours = max((later.first - window.last) * grid.step_h - refill.after_h, 0.0)
            due_kwh = later.need_kw * (later.last - later.first) * grid.step_h
            missing_kwh = max(due_kwh - round_trip * refill.power_kw * hours, 0.0)
        length_h = (window.last - window.first) * grid.step_h
        backed.append(replace(window, need_kw=window.need_kw + missing_kwh / length_h))
    return tuple(reversed(backed))


def _round_trip(basis: FlexibilityBasis) -> float:
    """Return the round-trip efficiency of stationary batteries, weighted by capacity."""
    stores = basis.stores
    weight = np.where(stores.departures.car > 0.0, 0.0, stores.limits.capacity_kwh)
    whole = float(weight.sum())
    return float((weight * stores.limits.efficiency**2).sum()) / whole if whole > 0.0 else 1.0


def reserve_hours(windows: Sequence[ReserveWindow], grid: TimeGrid) -> BoolArray:
    """Return the steps that begin inside a window, also in one that began before the grid, shape ``(grid.count,)``."""
    hour = local_hour(grid.starts_s())
    inside = np.zeros(grid.count, dtype=np.bool_)
    for window in windows:
        since = (hour - window.from_hour) % 24.0
        inside |= since < ((window.until_hour - window.from_hour) % 24.0 or 24.0)
    return inside


def _occurrences(windows: Sequence[ReserveWindow], grid: TimeGrid) -> list[tuple[int, int, float]]:
    """Return first step, end and need of every day's window that lies whole on the grid."""
    found = []
    midnight_s = day_start_s(day_number(grid.start_s))
    days = round((grid.end_s - grid.start_s) / SECONDS_PER_DAY) + 2
    for window in windows:
        hours = (window.until_hour - window.from_hour) % 24.0 or 24.0
        for day in range(-1, days):
            begin_s = midnight_s + day * SECONDS_PER_DAY + window.from_hour * SECONDS_PER_HOUR
            first = round((begin_s - grid.start_s) / grid.step_s)
            last = round((begin_s + hours * SECONDS_PER_HOUR - grid.start_s) / grid.step_s)
            if last > first >= 0 and last <= grid.count:
                found.append((first, last, window.need_kw))
    return found
