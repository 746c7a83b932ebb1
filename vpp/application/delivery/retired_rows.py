"""Rows whose device was retired during a request: they count until that instant, and with nothing from then on."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vpp.domain.performance import Baseline
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.fleet.index import FleetIndex


class Metered(NamedTuple):
    """Baseline and meters of a request on the baseline's grid.

    Attributes:
        baseline: Baseline.
        measured_kw: Means over what was metered, NaN where that was too little, shape ``(n_resources, count)``.
        metered_ratio: Share of each interval that was metered, likewise.
    """

    baseline: Baseline
    measured_kw: FloatArray
    metered_ratio: FloatArray


def counted_until_retired(index: FleetIndex, metered: Metered) -> Metered:
    """Return baseline and meters with nothing of a device after it was retired.

    In the interval of its retirement baseline and meter count for the part before; later intervals have neither, and
    count as metered: a device that has gone neither delivers nor lacks a meter.
    """
    grid, count = metered.baseline.grid, len(metered.baseline.power_kw)
    rows = index.out_of_service[index.out_of_service < count]
    left_s = np.array([index.resources[row].valid_to_s for row in rows.tolist()], dtype=np.float64)
    rows, left_s = rows[left_s < grid.end_s], left_s[left_s < grid.end_s]
    if not len(rows):
        return metered
    share = np.clip((left_s[:, None] - grid.starts_s()[None, :]) / grid.step_s, 0.0, 1.0)
    return Metered(
        replace(metered.baseline, power_kw=_scaled(metered.baseline.power_kw, rows, share)),
        _scaled(metered.measured_kw, rows, share),
        _complete(metered.metered_ratio, rows, share),
    )


def _scaled(power_kw: FloatArray, rows: RowArray, share: FloatArray) -> FloatArray:
    scaled = power_kw.copy()
    scaled[rows] = np.where(share > 0.0, power_kw[rows] * share, 0.0)
    return scaled


def _complete(ratio: FloatArray, rows: RowArray, share: FloatArray) -> FloatArray:
    complete = ratio.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        complete[rows] = np.where(share > 0.0, np.minimum(ratio[rows] / share, 1.0), 1.0)
    return complete
