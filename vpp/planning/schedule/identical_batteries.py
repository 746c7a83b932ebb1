"""Cohorts of identical batteries, planned as one device each.

A city's ten thousand base stations are a thirtieth of its storage and nine tenths of its batteries. Batteries of equal
parameters and equal charge that see the same prices have equal problems, and what is best for their sum is best for
each: the same share of it. So they are planned as one battery, and each gets its share. A node that could not leave
its limits whatever the devices do has no price, so they stand on the next node above them that could, or on the root.
Equal charge means within the width of a band here; all other parameters are equal exactly.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numerics.arrays import BoolArray, FloatArray, IntArray
from optimizer.problem.problem import Problem, Storing

COHORT_SIZE = 1_000
"""Batteries of one kind that are planned as one; fewer are planned one by one."""
_BAND_SOC = 0.02
"""Width of the bands of charge in which batteries count as equal."""
_SUMS = ("p_min_kw", "p_max_kw", "capacity_kwh")
_EQUALS = ("soc_min", "soc_max", "soc_end", "efficiency", "wear_price_cny_per_kwh")
_PLACES = ("transformer", "arrive", "depart", "reserving")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdenticalBatteries:
    """Batteries and the devices that stand for them.

    Attributes:
        device: Device of every battery, counted from the problem's first battery, shape ``(n,)``.
        share: Part of the device's power that is the battery's, shape ``(n,)``.
    """

    device: IntArray
    share: FloatArray


def joined(problem: Problem, *, cohort_size: int = COHORT_SIZE) -> tuple[Problem, IdenticalBatteries]:
    """Return the problem with one battery a cohort (kind, band of charge, node and window), and the cohort of each.

    Args:
        problem: Batteries that may hold reserve are stationary; no others are joined.
        cohort_size: Least number of batteries of one kind that is a cohort.
    """
    stores = problem.storing
    kind = _kinds(stores)
    alike = _alike(stores, kind, cohort_size)
    if not alike.any():
        return problem, IdenticalBatteries(device=np.arange(len(stores), dtype=np.int64), share=np.ones(len(stores)))
    anchor = _anchors(problem)
    band = np.floor(stores.soc_start / _BAND_SOC)
    key = np.column_stack([kind, band, anchor[stores.transformer], stores.arrive, stores.depart])[alike]
    _, member = np.unique(key, axis=0, return_inverse=True)
    rest = np.flatnonzero(~alike)
    device = np.empty(len(stores), dtype=np.int64)
    device[rest] = np.arange(len(rest))
    device[alike] = len(rest) + member.ravel()
    size = np.bincount(device)
    whole = _summed(stores, device, size)
    node = np.where(np.arange(len(size)) < len(rest), whole.transformer, anchor[whole.transformer])
    return (
        replace(problem, storing=replace(whole, transformer=node)),
        IdenticalBatteries(device=device, share=1.0 / size[device]),
    )


def _kinds(stores: Storing) -> IntArray:
    """Return a number for every battery's parameters, shape ``(n,)``."""
    columns = np.column_stack([getattr(stores, name) for name in (*_SUMS, *_EQUALS)])
    kind = np.unique(columns, axis=0, return_inverse=True)[1]
    return np.asarray(kind.ravel(), dtype=np.int64)


def _alike(stores: Storing, kind: IntArray, cohort_size: int) -> BoolArray:
    """Return stationary batteries of which there are very many alike, shape ``(n,)``."""
    many = np.bincount(kind, weights=stores.reserving.astype(np.float64)) >= cohort_size
    return np.asarray(stores.reserving & many[kind])


def _summed(stores: Storing, device: IntArray, size: IntArray) -> Storing:
    """Return one battery a device: sums of what adds up, the mean charge, and what is equal anyway."""
    first = np.zeros(len(size), dtype=np.int64)
    first[device[::-1]] = np.arange(len(device))[::-1]
    columns: dict[str, Any] = {name: getattr(stores, name)[first] for name in (*_EQUALS, *_PLACES)}
    columns |= {name: np.bincount(device, getattr(stores, name), len(size)) for name in _SUMS}
    columns["soc_start"] = np.bincount(device, stores.soc_start, len(size)) / size
    if stores.limited:
        limit_kw = np.zeros((len(size), stores.charge_limit_kw.shape[1]))
        np.add.at(limit_kw, device, stores.charge_limit_kw)
        columns["charge_limit_kw"] = np.minimum(limit_kw, columns["p_max_kw"][:, None])
    return replace(stores, **columns)


def _anchors(problem: Problem) -> IntArray:
    """Return, for every node, the next one upwards that could leave its limits, else its root, shape ``(m,)``."""
    network = problem.network
    high, low = (network.summed_kw(own)[0] for own in _extremes_kw(problem))
    bound: BoolArray = np.any((high > network.limit_kw) | (low < -network.export_limit_kw), axis=1)
    anchor = np.arange(len(network), dtype=np.int64)
    for node in network.leaves_first()[::-1].tolist():
        if network.parent[node] >= 0 and not bound[node]:
            anchor[node] = anchor[network.parent[node]]
    return anchor


def _extremes_kw(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return more and less than each node itself could ever take, whatever the devices do, shape ``(m, T)`` each."""
    nodes = len(problem.network)
    stores, cars, loads, solar = problem.storing, problem.charging, problem.flexible, problem.solar
    cut_kw = loads.max_cut_kw.max(axis=1, initial=0.0)
    rise = np.bincount(stores.transformer, stores.p_max_kw, nodes)
    rise += np.bincount(cars.transformer, cars.p_max_kw, nodes)
    rise += np.bincount(loads.transformer, loads.rebound_ratio * cut_kw, nodes)
    fall = np.bincount(stores.transformer, -stores.p_min_kw, nodes)
    fall += np.bincount(loads.transformer, cut_kw, nodes)
    own = problem.network.base_kw.copy()
    np.add.at(own, loads.transformer, loads.baseline_kw)
    high, low = own + rise[:, None], own - fall[:, None]
    np.subtract.at(low, solar.transformer, solar.available_kw)
    return high, low
