"""True delivery of a request: actual world against counterfactual."""

from typing import Any

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.request import CITY, Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S
from vpp.fleet.index import CLASSES
from vpp.lab.twin.truth import SessionTruth, Truth
from vpp.lab.twin.worlds import ACTUAL, PREPARED

ROUNDING_KW = 1e-3
"""Sums of many powers agree to a watt; a minute mean above a limit by more is an overload."""

PROMISE_TOLERANCE_KWH = 0.2
LEFT_TOLERANCE_S = 60.0


def judge(
    truth: Truth,
    *,
    start_s: float,
    end_s: float,
    target_kw: float,
    direction: Direction | str,
    area: str = CITY,
    against: int = PREPARED,
    beside_kw: FloatArray | float = 0.0,
) -> dict[str, Any]:
    """Return the power truly delivered in the hold ``[start_s, end_s)``, and the limits and promises broken for it.

    Delivered power is the net load of the world ``against`` less the actual one (up) or the reverse (down). Keys:
    ``delivered_kw`` per 15-minute interval of the hold, ``interval_accuracy_ratio`` of each
    (``1 - |delivered - target| / target``), ``delivered_mean_kw``, ``class_delivered_kw`` (mean by resource class, of
    the whole city), ``accuracy_true_ratio`` (mean over the intervals), ``worst_interval_accuracy_ratio``,
    ``cap_violations`` (pairs of transformer and sample above a limit in the whole record where the load of others alone
    is not; the same in the counterfactual), ``base_load_violations`` (pairs where it is), ``overloads`` (transformer to
    greatest kW above its limit), ``promises_broken``, ``broken_sessions`` (numbers), ``sessions``,
    ``limits_not_restored``, ``rebound_peak_kw`` (greatest 15-minute mean the wrong way after the hold).

    Requests that overlap are judged by their sum: ``beside_kw`` is what others are due in the area in each interval of
    the hold, one value for all or shape ``(n_intervals,)``. They are taken to deliver it, so that what their sum lacks
    is lacking in ``delivered_kw``, and the accuracy is that of the sum.

    Raises:
        InputError: The record does not hold the whole window, or the area is not in it.
    """
    if not len(truth.start_s) or truth.start_s[0] > start_s or truth.end_s[-1] < end_s:
        raise InputError("start_s, end_s", (start_s, end_s), "a window inside the record")
    sign = Direction(direction).sign
    net_kw = _area_kw(truth, area)
    change_kw = sign * (net_kw[against] - net_kw[ACTUAL])
    edges_s = [*np.arange(start_s, end_s, STEP_S).tolist(), end_s]
    delivered_kw = _means(truth, change_kw, edges_s)
    due_kw = target_kw + np.asarray(beside_kw)
    accuracy = 1.0 - np.abs(delivered_kw - due_kw) / due_kw
    delivered_kw = delivered_kw - beside_kw
    after_s = np.arange(end_s, float(truth.end_s[-1]), STEP_S).tolist()
    after_kw = _means(truth, -change_kw, [*after_s, float(truth.end_s[-1])])
    broken = broken_promises(truth.sessions, float(truth.end_s[-1]))
    return {
        "delivered_kw": delivered_kw.tolist(),
        "interval_accuracy_ratio": accuracy.tolist(),
        "delivered_mean_kw": float(delivered_kw.mean()),
        "class_delivered_kw": _class_means_kw(
            truth, sign * (truth.class_kw[against] - truth.class_kw[ACTUAL]), start_s, end_s
        ),
        "accuracy_true_ratio": float(accuracy.mean()),
        "worst_interval_accuracy_ratio": float(accuracy.min()),
        "cap_violations": int(_overloaded(truth, ACTUAL).sum()),
        "cap_violations_counterfactual": int(_overloaded(truth, PREPARED).sum()),
        "base_load_violations": int((truth.base_kw > truth.limit_kw + ROUNDING_KW).sum()),
        "overloads": _overloads(truth),
        "promises_broken": int(broken.sum()),
        "broken_sessions": truth.sessions.numbers[broken].tolist(),
        "sessions": len(truth.sessions.numbers),
        "limits_not_restored": len(np.union1d(truth.dispatch_left, truth.default_changed)),
        "rebound_peak_kw": float(max(after_kw.max(initial=0.0), 0.0)),
    }


def broken_promises(sessions: SessionTruth, now_s: float) -> BoolArray:
    """Return which promises were broken or can no longer be kept, shape ``(n_sessions,)``.

    A car that has left received less than promised; a car still plugged in lacks more than full power could deliver. A
    driver who left before the departure he stated was promised nothing for that: see ``left_early``.
    """
    lacking_kwh = sessions.promised_kwh - sessions.delivered_kwh[ACTUAL]
    possible_kwh = sessions.car_kw * np.maximum(sessions.depart_s - now_s, 0.0) / SECONDS_PER_HOUR
    hopeless = np.where(sessions.finished, lacking_kwh, lacking_kwh - possible_kwh)
    return np.asarray((hopeless > PROMISE_TOLERANCE_KWH) & ~left_early(sessions))


def left_early(sessions: SessionTruth) -> BoolArray:
    """Return which cars leave before the departure that was stated, shape ``(n_sessions,)``."""
    return np.asarray(sessions.depart_s < sessions.stated_s - LEFT_TOLERANCE_S)


def _area_kw(truth: Truth, area: str) -> FloatArray:
    if area == CITY:
        return truth.city_kw
    if area not in truth.area_ids:
        raise InputError("area", area, f"{CITY} or one of {', '.join(truth.area_ids)}")
    return truth.area_kw[:, :, truth.area_ids.index(area)]


def _means(truth: Truth, series_kw: FloatArray, edges_s: list[float]) -> FloatArray:
    """Return time-weighted means between neighbouring edges, shape ``(len(edges_s) - 1,)``."""
    energy = np.concatenate([[0.0], np.cumsum(series_kw * (truth.end_s - truth.start_s))])
    at_s = np.concatenate([truth.start_s[:1], truth.end_s])
    return np.asarray(np.diff(np.interp(edges_s, at_s, energy)) / np.maximum(np.diff(edges_s), 1e-9))


def _class_means_kw(truth: Truth, change_kw: FloatArray, start_s: float, end_s: float) -> dict[str, float]:
    """Return the mean change over the hold by class; ``change_kw`` has shape ``(n_samples, n_classes)``."""
    return {
        cls.value: float(_means(truth, change_kw[:, code], [start_s, end_s])[0]) for code, cls in enumerate(CLASSES)
    }


def above_limits_kw(load_kw: FloatArray, limit_kw: FloatArray, export_limit_kw: FloatArray) -> FloatArray:
    """Return kW of import or export above the limit, at or below 0 within it, shape as ``load_kw``."""
    above_kw = np.maximum(load_kw - limit_kw, -export_limit_kw - load_kw)
    return np.asarray(np.where(above_kw > ROUNDING_KW, above_kw, np.minimum(above_kw, 0.0)))


def _above_kw(truth: Truth, world: int) -> FloatArray:
    """Return kW above the limit where the load of others alone is not, shape ``(n_samples, n_transformers)``."""
    above_kw = above_limits_kw(truth.transformer_kw[world], truth.limit_kw, truth.export_limit_kw)
    return np.where(truth.base_kw > truth.limit_kw + ROUNDING_KW, np.minimum(above_kw, 0.0), above_kw)


def _overloaded(truth: Truth, world: int) -> BoolArray:
    return np.asarray(_above_kw(truth, world) > 0.0)


def _overloads(truth: Truth) -> dict[str, float]:
    worst_kw = _above_kw(truth, ACTUAL).max(axis=0, initial=0.0)
    return {name: float(kw) for name, kw in zip(truth.transformer_ids, worst_kw, strict=True) if kw > 0.0}
