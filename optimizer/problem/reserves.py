"""Reserve of stores: the windows each can hold it in, and the amount a schedule leaves for it."""

import numpy as np

from numerics.arrays import BoolArray, FloatArray
from optimizer.problem.problem import Problem
from optimizer.problem.validation import PowerArray


def holders(problem: Problem) -> BoolArray:
    """Return which store may hold reserve in which window: it must be plugged for all of it, shape ``(n, w)``."""
    stores, reserve = problem.storing, problem.reserve
    if reserve is None:
        return np.zeros((len(stores), 0), dtype=np.bool_)
    there = (stores.arrive[:, None] <= reserve.first) & (stores.depart[:, None] >= reserve.last)
    able: BoolArray = there & stores.reserving[:, None]
    return able


def held_kw(problem: Problem, power_kw: PowerArray) -> FloatArray:
    """Return the reserve that a schedule of the stores leaves power and energy for, shape ``(w,)``.

    Args:
        problem: What is asked.
        power_kw: Net power of the stores, within their bounds, shape ``(n, T)``.
    """
    held: FloatArray = held_by_store_kw(problem, power_kw).sum(axis=0)
    return held


def held_by_store_kw(problem: Problem, power_kw: PowerArray) -> FloatArray:
    """Return the greatest reserve of each store in each window, shape ``(n, w)``."""
    able, stores, h = holders(problem), problem.storing, problem.step_h
    held = np.zeros(able.shape)
    rows = np.flatnonzero(able.any(axis=1))
    if problem.reserve is None or not len(rows):
        return held
    power = power_kw[rows].astype(np.float64)
    efficiency = stores.efficiency[rows, None]
    gained = (np.maximum(power, 0.0) * efficiency + np.minimum(power, 0.0) / efficiency) * h
    start = (stores.soc_start * stores.capacity_kwh)[rows, None]
    # Column t is the energy at the beginning of step t; power is 0 while a store is away.
    stored = np.concatenate([start, start + np.cumsum(gained, axis=1)], axis=1)
    above = np.maximum(stored - stores.energy_bounds_kwh()[0][rows, None], 0.0) * efficiency
    spans = zip(problem.reserve.first, problem.reserve.last, problem.reserve.sustained_steps, strict=True)
    for w, (first, last, sustained) in enumerate(spans):
        room = (power[:, first:last] - stores.p_min_kw[rows, None]).min(axis=1)
        hours = h * (np.full(last - first, sustained) if sustained else last - np.arange(first, last))
        backed = (above[:, first:last] / hours).min(axis=1)
        if sustained:
            stays = stores.depart[rows] > last
            backed = np.where(stays, np.minimum(backed, above[:, last] / (h * sustained)), backed)
        held[rows, w] = np.where(able[rows, w], np.maximum(np.minimum(room, backed), 0.0), 0.0)
    return held
