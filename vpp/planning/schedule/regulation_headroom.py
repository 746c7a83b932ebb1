"""Regulation headroom: power and energy of stationary storage that a plan leaves free for regulation."""

from dataclasses import replace

import numpy as np

from optimizer.problem.problem import Storing

_BACKED_H = 0.25
"""For so long power is backed by energy, as a quote for regulation does (`vpp.planning.quote.regulation_quote`)."""


def narrowed(storing: Storing, regulation_kw: float) -> Storing:
    """Return the block with the range left to the plan when stationary stores keep regulation free in both directions.

    Each of them keeps the same share of its power, and at both ends of its charge the energy to give or take that for
    a quarter of an hour. More than they have is kept as far as they have it. Cars are left as they are.

    Args:
        storing: The block, without charge limits step by step yet; its ``reserving`` stores are the stationary ones.
        regulation_kw: Power to be free upwards and downwards, all together.
    """
    fixed = storing.reserving
    whole_kw = min(-float(storing.p_min_kw[fixed].sum()), float(storing.p_max_kw[fixed].sum()))
    if regulation_kw <= 0.0 or whole_kw <= 0.0:
        return storing
    share = np.where(fixed, min(regulation_kw / whole_kw, 1.0), 0.0)
    per_kw = share * _BACKED_H / np.maximum(storing.capacity_kwh, 1e-9)
    middle = 0.5 * (storing.soc_min + storing.soc_max)
    least = np.minimum(storing.soc_min - per_kw * storing.p_min_kw / storing.efficiency, middle)
    most = np.maximum(storing.soc_max - per_kw * storing.p_max_kw * storing.efficiency, middle)
    left = 1.0 - share
    return replace(
        storing,
        p_min_kw=left * storing.p_min_kw,
        p_max_kw=left * storing.p_max_kw,
        soc_min=np.where(fixed, least, storing.soc_min),
        soc_max=np.where(fixed, most, storing.soc_max),
        soc_end=np.where(fixed, np.clip(storing.soc_end, least, most), storing.soc_end),
    )
