"""Stiffness of the augmented terms, in units of a typical price: how steeply prices answer a load, and its growth."""

import numpy as np

from optimizer.decomposition.arrays import City, Fleet, Floats, Flows, Previous, Prices, Stiffness

_GROWTH, _GROW_AFTER, _GROW_UNTIL = 1.1, 8, 25
"""Slopes grow from sweep to sweep, by which prices settle; ever steeper ones would freeze them where they are."""
_BAND_STIFFNESS = 8.0
_BAND_SHARE = 4.0
_MANY, _MOST_STEEPER = 4_000.0, 10.0
"""Number of devices from which the band's slope grows with the root of their number: each of many jumps less far."""
_BEYOND_SHARE = 0.1
"""At least this share of the total counts as beyond the band: a first schedule inside it is no measure of the slope."""
_FOLLOW = 0.5


def typical_price(city: City) -> float:
    """Return a typical price of a kW-step, by which all stiffness is measured."""
    return max(float(np.abs(city.price).mean()), 1e-3 * city.unserved_price, 1e-9)


def opening_stiffness(fleet: Fleet, flows: Flows, previous: Previous) -> Stiffness:
    """Return the slopes of the first sweep."""
    unit, dear, city = typical_price(fleet.city), _moving_price(fleet, previous), fleet.city
    span = max(float(np.abs(flows.total).max(initial=0.0)), 1.0)
    reach = np.minimum(fleet.tree.most, -fleet.tree.least).mean(1) if len(fleet.base) else np.zeros(0)
    size = np.maximum(np.maximum(reach, 0.02 * np.abs(flows.node).max(1, initial=0.0)), 1.0)
    beyond = float(np.maximum(flows.total - city.upper, city.lower - flows.total).max(initial=_BEYOND_SHARE * span))
    need = np.maximum(fleet.holds.need, 1.0)
    devices = len(fleet.cars.need) + len(fleet.stores.due) + len(fleet.loads.price)
    steeper = _BAND_SHARE * float(np.clip(np.sqrt(devices / _MANY), 1.0, _MOST_STEEPER))
    return Stiffness(
        node=2.0 * dear / size,
        total=0.5 * unit / span,
        # What is beyond the band now is worth about what moving a device costs.
        band=max(_BAND_STIFFNESS * unit / span, steeper * min(dear, city.band_price) / beyond),
        moved=0.2 * unit / span,
        hold=0.5 * fleet.holds.price / need,
        car=2e-3 * unit,
        store=1e-3 * unit,
        large=0.2 * unit,
    )


def grown(stiff: Stiffness, node: Floats, prices: Prices, *, sweeps: int, unit: float) -> Stiffness:
    """Return the slopes of the next sweep: the city's grow slowly, a node's follow the prices it has come to.

    Args:
        stiff: Slopes of the last sweep.
        node: Slopes of the nodes in the first sweep, shape ``(m,)``.
        prices: Multipliers after the last sweep.
        sweeps: Sweeps done so far.
        unit: Typical price, see ``typical_price``.
    """
    growth = _GROWTH if _GROW_AFTER < sweeps <= _GROW_UNTIL else 1.0
    dearest = np.maximum(prices.up, prices.down).max(1, initial=0.0)
    return stiff._replace(
        node=node * np.maximum(1.0, _FOLLOW * dearest / unit),
        total=stiff.total * growth,
        moved=stiff.moved * growth,
        band=stiff.band * growth,
    )


def _moving_price(fleet: Fleet, previous: Previous) -> float:
    """Return a typical price at which devices move: energy's, or that of cuts, wear or churn where those are dearer."""
    loads, stores = fleet.loads, fleet.stores
    cut, wear = _mean(loads.price, loads.most.max(1, initial=0.0)), _mean(stores.wear, stores.discharge)
    return max(typical_price(fleet.city), previous.price, cut, wear)


def _mean(price: Floats, weight: Floats) -> float:
    """Return the mean price by weight, 0 where nothing has any."""
    whole = float(weight.sum())
    return float(price @ weight) / whole if whole > 0.0 else 0.0
