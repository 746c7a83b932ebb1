"""What comes back after a hold, and what the hold costs."""

from dataclasses import dataclass

import numpy as np

from optimizer.allocate import merit_order
from vpp.domain.fleet import CLASSES, FleetIndex
from vpp.domain.request import Direction, RequestDraft
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray
from vpp.planning.forecasting import charging_power_kw, promised_cars
from vpp.planning.outlook import Outlook, Window

WATCH_STEPS = 8
"""Two hours of rebound are told."""
_LAST = 1000.0
_RETURN_STEPS = 6
"""Cut energy of buildings comes back over about 90 minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPrices:
    """What moving a kWh costs, by class, and therefore who goes first; settings."""

    storage: float = 0.35
    v2g: float = 0.8
    ev: float = 0.5
    hvac: float = 1.2
    industry: float = 2.0
    pv: float = 5.0

    def of_rows(self, index: FleetIndex) -> FloatArray:
        """Return the price of every row, shape ``(n_resources,)``."""
        by_class = {
            ResourceClass.EV: self.ev,
            ResourceClass.V2G: self.v2g,
            ResourceClass.STORAGE: self.storage,
            ResourceClass.PV: self.pv,
            ResourceClass.HVAC: self.hvac,
            ResourceClass.INDUSTRY: self.industry,
        }
        return np.array([by_class[cls] for cls in CLASSES])[index.class_code]


def merit_key(draft: RequestDraft, index: FleetIndex, price: FloatArray) -> FloatArray:
    """Return who goes first, lower first: the cheapest, and under a rebound cap whoever returns nothing, ``(n,)``."""
    if draft.rebound_cap_kw is None:
        return price
    returning = index.is_class(ResourceClass.EV) | (index.rebound_ratio > 0.0)
    return price + np.where(returning, _LAST, 0.0)


def shares_kw(amount_kw: float, mean_kw: FloatArray, key: FloatArray) -> FloatArray:
    """Return who gives how much of ``amount_kw`` on average over the hold, by merit order, shape ``(n_resources,)``.

    Args:
        amount_kw: Power to be held.
        mean_kw: Deliverable by row and interval, shape ``(n_resources, steps)``.
        key: Who goes first, see ``merit_key``, shape ``(n_resources,)``.
    """
    average = mean_kw.mean(axis=1) if mean_kw.shape[1] else np.zeros(len(mean_kw))
    return merit_order(amount_kw, average, key)


def rebound_kw(outlook: Outlook, direction: Direction, window: Window, share_kw: FloatArray) -> FloatArray:
    """Return net load above the reference in the ``WATCH_STEPS`` intervals after the hold, below 0 after a raise.

    Buildings return ``rebound_ratio`` of the energy over 90 minutes; plugged-in cars take deferred energy at the power
    they have left over their reference. Storage and V2G return by the next plan, under its caps, and are not counted.
    Together with the staged release this is the upper estimate.

    Args:
        outlook: The picture.
        direction: Of the hold.
        window: The hold.
        share_kw: Who moved how much on average, shape ``(n_resources,)``.
    """
    energy = share_kw * len(window) * outlook.grid.step_h
    back = np.zeros(WATCH_STEPS)
    back[:_RETURN_STEPS] = (energy * outlook.state.index.rebound_ratio).sum() / (_RETURN_STEPS * outlook.grid.step_h)
    back += _payback_kw(outlook, direction, window, energy)
    return back if direction is Direction.UP else -back


def _payback_kw(outlook: Outlook, direction: Direction, window: Window, energy_kwh: FloatArray) -> FloatArray:
    state, h = outlook.state, outlook.grid.step_h
    rows = np.flatnonzero(state.index.is_class(ResourceClass.EV) & promised_cars(state) & (energy_kwh > 0.0))
    steps = np.minimum(np.arange(window.last, window.last + WATCH_STEPS), outlook.grid.count - 1)
    reference = outlook.reference_kw[np.ix_(rows, steps)]
    most = charging_power_kw(state)[rows, None]
    able = np.maximum(most - reference, 0.0) if direction is Direction.UP else np.maximum(reference, 0.0)
    repaid = np.minimum(np.cumsum(able, axis=1) * h, energy_kwh[rows, None])
    return np.asarray(np.diff(repaid, axis=1, prepend=0.0).sum(axis=0) / h)


def cost_cny(outlook: Outlook, window: Window, share_kw: FloatArray, price: FloatArray) -> float:
    """Return what the hold costs by class prices."""
    return float((share_kw * price).sum() * len(window) * outlook.grid.step_h)
