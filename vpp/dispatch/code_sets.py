"""Membership of code arrays by table look-up; ``numpy.isin`` costs more than the control of a whole cycle."""

from collections.abc import Iterable

import numpy as np

from vpp.domain.telemetry import BoolArray, CodeArray


def among(codes: CodeArray, wanted: Iterable[int]) -> BoolArray:
    """Return where an array of 8-bit codes holds any of ``wanted``; same shape."""
    table = np.zeros(256, dtype=np.bool_)
    table[list(wanted)] = True
    return np.asarray(table[codes])
