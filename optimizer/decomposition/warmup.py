"""Warm-up: every kernel compiled, or loaded from the cache, before the first real plan needs it."""

import time

import numpy as np

from optimizer.decomposition.solve import decompose
from optimizer.problem.problem import (
    Band,
    Charging,
    Churn,
    Contracts,
    Flexible,
    Network,
    Problem,
    Regulation,
    Reserve,
    Solar,
    Storing,
)

_STEPS = 4
_ENOUGH_S = 600.0


def warm_up() -> float:
    """Solve a day of one transformer with one device of every kind; return the seconds of wall time it took."""
    began = time.perf_counter()
    decompose(_tiny(), deadline_s=_ENOUGH_S, gap_ratio=np.inf)
    return time.perf_counter() - began


def _tiny() -> Problem:
    node, one, row = np.zeros(1, dtype=np.int64), np.ones(1), np.ones((1, _STEPS))
    last = np.full(1, _STEPS, dtype=np.int64)
    return Problem(
        step_h=1.0,
        price_cny_per_kwh=np.linspace(0.1, 0.4, _STEPS),
        peak_price_cny_per_kw=0.1,
        unserved_price_cny_per_kwh=4.0,
        fixed_kw=np.zeros(_STEPS),
        network=Network(
            parent=np.array([-1, 0]),
            limit_kw=np.full((2, _STEPS), 20.0),
            export_limit_kw=np.full((2, _STEPS), 20.0),
            base_kw=np.ones((2, _STEPS)),
        ),
        charging=Charging(transformer=node + 1, arrive=node, depart=last, p_max_kw=7.0 * one, need_kwh=9.0 * one),
        storing=Storing(
            transformer=node + 1,
            arrive=node,
            depart=last,
            p_min_kw=-3.0 * one,
            p_max_kw=3.0 * one,
            capacity_kwh=10.0 * one,
            soc_start=0.5 * one,
            soc_min=0.1 * one,
            soc_max=0.9 * one,
            soc_end=0.5 * one,
            efficiency=0.95 * one,
            wear_price_cny_per_kwh=0.01 * one,
            reserving=np.ones(1, dtype=np.bool_),
        ),
        solar=Solar(transformer=node, available_kw=3.0 * row, curtailable=np.ones(1, dtype=np.int64)),
        flexible=Flexible(
            transformer=node,
            baseline_kw=5.0 * row,
            max_cut_kw=2.0 * row,
            max_cut_kwh=3.0 * one,
            price_cny_per_kwh=0.2 * one,
            rebound_ratio=0.5 * one,
            rebound_steps=2,
        ),
        band=Band(upper_kw=np.full(_STEPS, 15.0), lower_kw=np.full(_STEPS, -np.inf)),
        regulation=Regulation(price_cny_per_kw_h=np.full(_STEPS, 0.01)),
        reserve=Reserve(first=node + 1, last=last - 1, need_kw=one, price_cny_per_kw=1.0),
        contracts=Contracts(node=node, cut_kw=row, price_cny=one),
        churn=Churn(previous_kw=np.zeros((4, _STEPS)), price_cny_per_kwh=0.01),
    )
