"""Cells of calibration: direction, level of the area, class of notice, and six-hour block of the day.

Errors of quotes differ by these: a cut from a raise, a city from one of its areas, an hour ahead from a day ahead, and
the night from the afternoon.
"""

from typing import NamedTuple

import numpy as np

from vpp.domain.request import CITY, Direction
from vpp.domain.units import SECONDS_PER_DAY, STEP_S
from vpp.fleet.calendar import SHANGHAI_OFFSET_S

NOTICE_STEPS = (1, 4, 16, 96)
"""Notice of the standard windows, in quarters of an hour."""
NOTICES = ("15min", "1h", "4h", "24h")
LENGTH_STEPS = (4, 8)
"""Length of the standard windows, in quarters of an hour; Shanghai's products ask for an hour or two."""
BLOCKS = ("00-06", "06-12", "12-18", "18-24")
DIRECTIONS = (Direction.UP, Direction.DOWN)
LEVELS = ("city", "area")
SHAPE = (len(DIRECTIONS), len(LEVELS), len(NOTICES), len(BLOCKS))
"""Number of cells along each of their dimensions."""
_BLOCK_S = SECONDS_PER_DAY / len(BLOCKS)
_NOTICES_S = STEP_S * np.array(NOTICE_STEPS, dtype=np.float64)


class Cell(NamedTuple):
    """Position of a window among the cells."""

    direction: int
    level: int
    notice: int
    block: int


def cell_of(area: str, direction: Direction, *, start_s: float, now_s: float) -> Cell:
    """Return the cell of a window of ``area`` that begins at ``start_s`` and is quoted at ``now_s``, epoch seconds."""
    return Cell(
        direction=DIRECTIONS.index(direction),
        level=0 if area == CITY else 1,
        notice=notice_of(start_s - now_s),
        block=block_of(start_s),
    )


def notice_of(notice_s: float) -> int:
    """Return the class of a notice in seconds: the nearest standard one by its ratio."""
    return int(np.argmin(np.abs(np.log(_NOTICES_S / max(notice_s, 1.0)))))


def block_of(at_s: float) -> int:
    """Return the block of the day in Asia/Shanghai that holds epoch second ``at_s``."""
    return int((at_s + SHANGHAI_OFFSET_S) % SECONDS_PER_DAY // _BLOCK_S)
