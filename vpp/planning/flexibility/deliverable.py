"""Deliverable power of a part of the fleet over a hold: its quantiles, and the causes that keep it from being more."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.request import Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.fleet.index import ADAPTERS, CLASSES
from vpp.planning.flexibility.aggregation import summed
from vpp.planning.flexibility.error_law import NORMAL, Z10, ErrorLaw
from vpp.planning.flexibility.flexibility_basis import EV, HVAC, INDUSTRY, STORAGE, V2G, FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import (
    NEGLIGIBLE_KW,
    FlexibilityEnvelope,
    flexibility_envelope,
    lost_name,
)
from vpp.planning.flexibility.flexibility_inputs import Window
from vpp.planning.flexibility.transformer_headroom import limited_by_feeders, named_caps


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """Deliverable power over one window; intervals have shape ``(len(window),)``.

    Attributes:
        p10_kw: With nine chances in ten at least this much, correlated loss included.
        p50_kw: With even chances at least this much.
        p90_kw: With one chance in ten at least this much.
        sigma_kw: Standard deviation that the distance of ``p10_kw`` from ``p50_kw`` stands for.
        class_kw: Expected power by class, mean over the window, shape ``(classes,)``.
        share: Share of every group's movement that is used, caps and area included, mean over the window, ``(C,)``.
        ramp_kw_per_min: How fast the rows together can move.
        delivery_ratio: Share of the movement that is delivered.
        lost_kw: What each named cause takes away.
        envelope: What groups could be moved before caps, for what follows from it.
    """

    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    sigma_kw: FloatArray
    class_kw: FloatArray
    share: FloatArray
    ramp_kw_per_min: float
    delivery_ratio: float
    lost_kw: dict[str, FloatArray]
    envelope: FlexibilityEnvelope


def deliverable(
    basis: FlexibilityBasis,
    *,
    direction: Direction,
    window: Window,
    chosen: BoolArray,
    committed_kw: FloatArray,
    now_s: float,
    found: FlexibilityEnvelope | None = None,
    law: ErrorLaw = NORMAL,
) -> Deliverable:
    """Return the power that the groups of ``chosen`` deliver in ``direction``.

    The sum of many rows is taken as normal unless another law is known. Its variance:
    ``sum r(1-r)k^2 + (r*min(s,k))^2`` over rows with delivery ratio ``r``, potential ``k`` and spread ``s``; the common
    error ``(c*sum rk)^2``; and, below the median only, the correlated loss ``sum q(1-q)X^2`` over operators and
    adapters that carry ``X`` and are away with chance ``q``.

    Args:
        basis: Basis of the fleet.
        direction: Cut or raise.
        window: Intervals of the hold.
        chosen: Groups of the area, shape ``(C,)``.
        committed_kw: Already promised to others by interval of the basis' grid, shape ``(grid.count,)``.
        now_s: Epoch seconds; devices can move from here on.
        found: The envelope of this window and direction, where it is known already.
        law: Quantiles of its error.
    """
    first, length = np.array([window.first]), np.array([len(window)])
    found = found or flexibility_envelope(basis, direction, first, length)
    asked = np.where(chosen[:, None, None], found.sums.potential_kw, 0.0)
    through = limited_by_feeders(basis, direction, first, asked)
    share = through.share[basis.groups.node, 0] * chosen[:, None]
    mean = found.sums.mean_kw[:, 0] * share
    total = mean.sum(axis=0)
    common = (basis.inputs.policy.common_error_ratio * total) ** 2
    own = (found.sums.variance[:, 0] * share**2).sum(axis=0)
    below, above = np.sqrt(own + common + correlated_variance(basis, mean)), np.sqrt(own + common)
    low, even, high = (quantile(total, below, above) for quantile in (law.p10_kw, law.p50_kw, law.p90_kw))
    promised = committed_kw[window.steps]
    used = _mean_share(mean, found.sums.mean_kw[:, 0])
    ramp = float((found.sums.ramp_kw_per_min[:, 0] * used).sum())
    starts_s = basis.inputs.grid.starts_s()[window.steps]
    reach = ramp * np.maximum((starts_s - now_s) / SECONDS_PER_MINUTE, 1.0)
    potential_kw = (found.sums.potential_kw[:, 0] * share).sum(axis=0)
    lost = {
        **_lost_by_class(basis, direction, window, chosen, found),
        **named_caps(basis, through.withheld_kw[:, 0]),
        **_lost_telemetry(basis, window, chosen),
        "delivery ratio measured so far": np.maximum(potential_kw - total, 0.0),
        "error of quotes measured so far": np.maximum(total - even, 0.0),
        "already promised to other requests": promised,
        "ramp until the start": np.maximum(total - promised - reach, 0.0),
    }
    return Deliverable(
        p10_kw=np.clip(low - promised, 0.0, reach),
        p50_kw=np.clip(even - promised, 0.0, reach),
        p90_kw=np.clip(high - promised, 0.0, reach),
        sigma_kw=below if law == NORMAL else (even - low) / Z10,
        class_kw=summed(mean.mean(axis=1), basis.groups.class_code, len(CLASSES)),
        share=used,
        ramp_kw_per_min=ramp,
        delivery_ratio=float(total.sum() / potential_kw.sum()) if potential_kw.sum() > NEGLIGIBLE_KW else 1.0,
        lost_kw=lost,
        envelope=found,
    )


def correlated_variance(basis: FlexibilityBasis, mean_kw: FloatArray) -> FloatArray:
    """Return the variance by links that fail for all rows behind them, from groups to shape ``mean_kw.shape[1:]``."""
    policy, index = basis.inputs.policy, basis.inputs.state.index
    variance: FloatArray = np.zeros(mean_kw.shape[1:])
    for code, count, outage in (
        (basis.groups.operator, len(index.operators), policy.operator_outage),
        (basis.groups.adapter, len(ADAPTERS), policy.adapter_outage),
    ):
        behind: FloatArray = summed(mean_kw, code, count)
        variance += outage * (1.0 - outage) * np.square(behind).sum(axis=0)
    return np.asarray(variance, dtype=np.float64)


def _mean_share(mean_kw: FloatArray, unlimited_kw: FloatArray) -> FloatArray:
    """Return the share of each group's movement that is left over the whole window, shape ``(C,)``."""
    left, all_of_it = np.abs(mean_kw).sum(axis=1), np.abs(unlimited_kw).sum(axis=1)
    share = np.divide(left, all_of_it, out=np.zeros_like(left), where=all_of_it > NEGLIGIBLE_KW)
    return np.asarray(share, dtype=np.float64)


def _lost_by_class(
    basis: FlexibilityBasis, direction: Direction, window: Window, chosen: BoolArray, found: FlexibilityEnvelope
) -> dict[str, FloatArray]:
    lost = summed(found.lost_kw[chosen, 0], basis.groups.class_code[chosen], len(CLASSES))
    named = {}
    for class_code in (EV, V2G, STORAGE, HVAC, INDUSTRY):
        if lost[class_code].any():
            shortest = _shortest_minutes(basis, chosen, class_code) if class_code in (HVAC, INDUSTRY) else np.nan
            named[lost_name(class_code, direction, shortest_minutes=shortest)] = lost[class_code, : len(window)]
    return named


def _shortest_minutes(basis: FlexibilityBasis, chosen: BoolArray, class_code: int) -> float:
    loads = basis.loads
    of_class = chosen[loads.members.group] & (basis.groups.class_code[loads.members.group] == class_code)
    return float(loads.holds_h[of_class].min(initial=np.inf)) * 60.0


def _lost_telemetry(basis: FlexibilityBasis, window: Window, chosen: BoolArray) -> dict[str, FloatArray]:
    unusable = basis.power.unusable_kw[chosen, window.steps].sum(axis=0)
    whole = float(basis.power.magnitude_kw[chosen, window.steps].sum())
    ratio = unusable.sum() / whole if whole > 0.0 else 0.0
    return {f"telemetry stale for {ratio:.0%} of power, or not to be counted on": unusable} if ratio > 0.0 else {}
