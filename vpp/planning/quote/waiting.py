"""Cost of waiting: what stores could earn before a request begins if they did not have to keep its power ready.

A kW that is kept for a hold of some hours leaves its energy in a store. Without it the store could sell that energy
and win it back before the start, which takes as long as its power needs; the best such trade at the tariff is what
waiting costs, and it costs nothing before that trade would begin.
"""

from dataclasses import dataclass

import numpy as np

from vpp.domain.request import Direction, RequestDraft
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.planning.flexibility.flexibility_basis import STORAGE, FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import Window
from vpp.planning.tariff import Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Cost of keeping a power ready until its start.

    Attributes:
        cny_per_mw_h: For each MW of it and hour of waiting.
        free_until_s: Epoch seconds until which waiting costs nothing.
    """

    cny_per_mw_h: float
    free_until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """The best trade of a kW.

    Attributes:
        cny_per_kw: What it earns, 0 for none.
        first: Step in which it begins; the number of steps where there is none.
    """

    cny_per_kw: float
    first: int


def waiting_of(
    basis: FlexibilityBasis, draft: RequestDraft, window: Window, *, class_kw: FloatArray, tariff: Tariff, now_s: float
) -> Waiting:
    """Return what waiting for a draft's start costs.

    Args:
        basis: Basis of the fleet.
        draft: What is asked.
        window: Its hold on the basis' grid.
        class_kw: Power of each class, shape ``(classes,)``; only stationary batteries trade meanwhile.
        tariff: Prices.
        now_s: Epoch seconds from which it waits.
    """
    grid = basis.inputs.grid
    begin = grid.index_at(now_s)
    start_s, whole_kw = grid.start_s + window.first * grid.step_s, float(class_kw.sum())
    if window.first <= begin or whole_kw <= 0.0:
        return Waiting(cny_per_mw_h=0.0, free_until_s=start_s)
    round_trip, wear = _store_terms(basis)
    prices = tariff.price_cny_per_kwh(grid)[begin : window.first]
    up = draft.direction is Direction.UP
    best = best_trade(prices, hold_steps=len(window), step_h=grid.step_h, round_trip=round_trip, wear=wear, up=up)
    hours = (start_s - now_s) / SECONDS_PER_HOUR
    share = float(class_kw[STORAGE]) / whole_kw
    return Waiting(
        cny_per_mw_h=1e3 * share * best.cny_per_kw / hours,
        free_until_s=max(grid.start_s + (begin + best.first) * grid.step_s, now_s),
    )


def best_trade(
    price_cny_per_kwh: FloatArray, *, hold_steps: int, step_h: float, round_trip: float, wear: float, up: bool
) -> Trade:
    """Return the best that a kW can earn by leaving the charge it has to keep, and coming back to it in time.

    Args:
        price_cny_per_kwh: Price until the start, shape ``(n,)``.
        hold_steps: Steps for which the power has to last; no more energy than that is traded.
        step_h: Length of a step.
        round_trip: Round-trip efficiency.
        wear: Price of a discharged kWh.
        up: Charge is kept for a cut; else room for a raise.
    """
    best = Trade(cny_per_kw=0.0, first=len(price_cny_per_kwh))
    for steps in range(1, min(hold_steps, len(price_cny_per_kwh) // 2) + 1):
        mean = np.convolve(price_cny_per_kwh, np.full(steps, 1.0 / steps), mode="valid")
        sold, bought = mean - wear, -mean / round_trip
        leave, back = (sold, bought) if up else (bought, sold)
        profit, first = _there_and_back(leave.tolist(), back.tolist(), steps)
        if profit * steps * step_h > best.cny_per_kw + 1e-12:
            best = Trade(cny_per_kw=profit * steps * step_h, first=first)
    return best


def _there_and_back(leave: list[float], back: list[float], steps: int) -> tuple[float, int]:
    """Return the most that leaving and coming back earn, each of which takes so many steps, and when it begins."""
    count = len(leave) + steps
    kept: list[tuple[float, int]] = [(0.0, count)] * count
    away: list[tuple[float, int]] = [(-np.inf, count)] * count
    for t in range(1, count):
        kept[t], away[t] = kept[t - 1], away[t - 1]
        begun = t - steps
        if begun >= 0:
            earned, first = kept[begun]
            away[t] = max(away[t], (earned + leave[begun], min(first, begun)), key=lambda one: one[0])
            earned, first = away[begun]
            kept[t] = max(kept[t], (earned + back[begun], first), key=lambda one: one[0])
    return kept[-1]


def _store_terms(basis: FlexibilityBasis) -> tuple[float, float]:
    """Return round-trip efficiency and wear of stationary batteries, CNY per kWh, weighted by capacity."""
    stores = basis.stores
    weight = np.where(stores.departures.car > 0.0, 0.0, stores.limits.capacity_kwh)
    whole = float(weight.sum())
    if whole <= 0.0:
        return 1.0, 0.0
    wear = basis.inputs.state.index.limits.wear_cny_per_kwh[stores.members.rows]
    return float((weight * stores.limits.efficiency**2).sum()) / whole, float((weight * wear).sum()) / whole
