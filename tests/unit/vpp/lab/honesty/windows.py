"""Judged windows for tests: any columns, the others alike."""

from typing import Any

import numpy as np

from vpp.domain.request import CITY
from vpp.lab.honesty.judged_windows import JudgedWindows
from vpp.planning.calibration.cells import block_of

MONDAY_S = 1_780_243_200.0
"""Midnight of Monday, 1 June 2026, in Shanghai."""


def windows(deliverable_kw: Any, **given: Any) -> JudgedWindows:  # noqa: ANN401 - anything that is an array
    """Return windows of the city quoted at 90, 100 and 110 kW, a quarter of an hour after each other."""
    found = np.asarray(deliverable_kw, dtype=np.float64)
    count = len(found)
    start_s = np.asarray(given.get("start_s", MONDAY_S + 900.0 * np.arange(count)), dtype=np.float64)
    columns = {
        "seed": np.ones(count, dtype=np.int64),
        "quoted_s": start_s - 3600.0,
        "start_s": start_s,
        "steps": np.full(count, 4, dtype=np.int64),
        "area": np.full(count, CITY),
        "direction": np.zeros(count, dtype=np.int64),
        "notice": np.ones(count, dtype=np.int64),
        "block": np.array([block_of(at_s) for at_s in start_s.tolist()], dtype=np.int64),
        "learnt": np.zeros(count, dtype=np.bool_),
        "p10_kw": np.full(count, 90.0),
        "p50_kw": np.full(count, 100.0),
        "p90_kw": np.full(count, 110.0),
        "normal10_kw": np.full(count, 90.0),
        "normal90_kw": np.full(count, 110.0),
        "expected_kw": np.full(count, 100.0),
        "deliverable_kw": found,
    }
    return JudgedWindows(**(columns | given))
