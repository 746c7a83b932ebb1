"""Measurement of a request revised under way: its target by interval, and a baseline that reaches further.

A target runs straight from corner to corner; a corner is epoch seconds and kW.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vpp.domain.performance import Baseline
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid

_EDGE_S = 1e-3
"""A jump takes this long: short beside a step, long beside a double's grain at epoch seconds."""


def course_means_kw(grid: TimeGrid, corners: Sequence[tuple[float, float]]) -> FloatArray:
    """Return the mean target of every step, shape ``(count,)``; nothing is due outside the corners."""
    edges_s = np.append(grid.starts_s(), grid.end_s)
    return np.diff(_energy(corners, edges_s)) / grid.step_s


def held_course_kw(grid: TimeGrid, corners: Sequence[tuple[float, float]], start_s: float, end_s: float) -> FloatArray:
    """Return the mean target of the held part of every step, NaN in steps that are not held, shape ``(count,)``."""
    begin_s = np.maximum(grid.starts_s(), start_s)
    until_s = np.minimum(grid.starts_s() + grid.step_s, end_s)
    held_s = np.where(until_s > begin_s, until_s - begin_s, np.nan)
    return np.asarray((_energy(corners, until_s) - _energy(corners, begin_s)) / held_s, dtype=np.float64)


def _energy(corners: Sequence[tuple[float, float]], at_s: FloatArray) -> FloatArray:
    """Return what was due from the first corner until each instant, kW times seconds."""
    corner_s, corner_kw = (np.array(column, dtype=np.float64) for column in zip(*corners, strict=True))
    corner_s = np.maximum.accumulate(corner_s + _EDGE_S * _place_in_tie(corner_s))
    inside_s = np.clip(at_s, corner_s[0], corner_s[-1])
    knots_s = np.unique(np.concatenate([corner_s, inside_s]))
    height_kw = np.interp(knots_s, corner_s, corner_kw)
    energy = np.concatenate([[0.0], np.cumsum(np.diff(knots_s) * (height_kw[1:] + height_kw[:-1]) / 2.0)])
    return np.asarray(np.interp(inside_s, knots_s, energy), dtype=np.float64)


def _place_in_tie(corner_s: FloatArray) -> FloatArray:
    """Return for each corner how many before it lie at the same instant."""
    place = np.zeros(len(corner_s))
    for k in range(1, len(corner_s)):
        place[k] = place[k - 1] + 1.0 if corner_s[k] <= corner_s[k - 1] else 0.0
    return place


def lengthened(frozen: Baseline, further: Baseline) -> Baseline:
    """Return a frozen baseline with the steps that another one of the same request has beyond its end.

    What was frozen stays as it is; a row without a baseline beyond it keeps its last step.

    Args:
        frozen: As it was issued.
        further: Computed anew over a longer time, from the same step on.
    """
    known, rows = frozen.grid.count, len(frozen.power_kw)
    if further.grid.count <= known or further.grid.start_s != frozen.grid.start_s:
        return frozen
    power_kw = further.power_kw[:rows].copy()
    power_kw[:, :known] = frozen.power_kw
    unknown = sorted(set(further.excluded_ids) - set(frozen.excluded_ids))
    held = _rows_without(further, rows, power_kw[:, known:])
    power_kw[held, known:] = frozen.power_kw[held, -1:]
    digest = hashlib.sha256(f"{frozen.input_sha256} {further.input_sha256}".encode()).hexdigest()
    notes = ((name, "kept at its last step where the request was prolonged") for name in unknown)
    return replace(frozen, grid=further.grid, power_kw=power_kw, input_sha256=digest, notes=(*frozen.notes, *notes))


def _rows_without(further: Baseline, rows: int, added_kw: FloatArray) -> FloatArray:
    """Return rows without a longer baseline: unknown, or excluded and so 0 throughout."""
    nothing = (further.power_kw[:rows] == 0.0).all(axis=1) if further.excluded_ids else np.zeros(rows, dtype=np.bool_)
    return np.asarray(nothing | ~np.isfinite(added_kw).all(axis=1))
