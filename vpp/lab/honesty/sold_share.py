"""Share sold of what could have been: p10 against the tenth part from below of what turned out deliverable.

Within each cell the oracle knows the law of ``Y / p50``, what was deliverable over the even chance, and would have
quoted its 10 % quantile. Its advantage is that it has seen the very windows; a quote below it is too careful, one above
it breaks its promise.
"""

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.telemetry import FloatArray
from vpp.lab.honesty.judged_windows import JudgedWindows
from vpp.planning.calibration.cells import BLOCKS, DIRECTIONS, NOTICES

LEAST_WINDOWS = 40
"""Windows of a cell below which its quantile says nothing."""
_MISSED = 0.1


def sold_ratio(windows: JudgedWindows, weight: FloatArray) -> float:
    """Return the mean of p10 over the oracle's over cells of level, direction, notice and block, by their weight.

    Args:
        windows: The windows.
        weight: Of each, shape ``(n,)``.

    Returns:
        NaN where no cell has enough windows.
    """
    worth = windows.p50_kw > 0.0
    windows, weight = windows.chosen(worth), weight[worth]
    cells = _cells(windows)
    found, weights = [], []
    for cell in np.unique(cells).tolist():
        inside = cells == cell
        if np.count_nonzero(inside) < LEAST_WINDOWS:
            continue
        p50_kw = windows.p50_kw[inside]
        oracle = _quantile(windows.deliverable_kw[inside] / p50_kw, weight[inside])
        sold = float(np.average(windows.p10_kw[inside] / p50_kw, weights=weight[inside]))
        if oracle > 0.0:
            found.append(sold / oracle)
            weights.append(float(weight[inside].sum()))
    return float(np.average(found, weights=weights)) if found else float("nan")


def _cells(windows: JudgedWindows) -> IntArray:
    cell = windows.is_city.astype(np.int64)
    for code, count in ((windows.direction, DIRECTIONS), (windows.notice, NOTICES), (windows.block, BLOCKS)):
        cell = cell * len(count) + code
    return cell


def _quantile(values: FloatArray, weight: FloatArray) -> float:
    """Return the value below which a tenth of the weight lies."""
    order = np.argsort(values)
    share = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(share, _MISSED * share[-1])])
