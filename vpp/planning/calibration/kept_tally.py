"""Tally of promises kept: how many windows of each area were quoted, and how many were deliverable as quoted."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vpp.domain.request import CITY
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_DAY
from vpp.planning.calibration.cells import SHAPE, Cell
from vpp.record.state_codec import StateTree

QUANTILES = 3
_SHAPE = (SHAPE[0], *SHAPE[2:])
_HALF_LIFE_S = 20.0 * SECONDS_PER_DAY
_UNKNOWN = (float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Windows of an area in a cell and what became of them.

    Attributes:
        windows: Number judged so far.
        ratio: Share of them whose p10, p50 and p90 were deliverable, NaN before any; those of twenty days ago count
            half.
        since_s: Epoch seconds of the first, NaN before any.
    """

    windows: int = 0
    ratio: tuple[float, float, float] = _UNKNOWN
    since_s: float = float("nan")


class KeptTally:
    """Windows and promises kept by area, direction, notice and block."""

    def __init__(self) -> None:
        self._areas: dict[str, int] = {}
        self._windows = np.zeros((0, *_SHAPE), dtype=np.int64)
        self._judged = np.zeros((0, *_SHAPE, QUANTILES))
        self._kept = np.zeros((0, *_SHAPE, QUANTILES))
        self._since_s = np.zeros((0, *_SHAPE))
        self._at_s = 0.0

    def add(self, areas: list[str], cell: Cell, at_s: float, kept: FloatArray) -> None:
        """Count one window of each of ``areas``.

        Args:
            areas: Areas, ``k`` different ones.
            cell: Their cell.
            at_s: Epoch seconds of the windows' end.
            kept: 1 where p10, p50 and p90 were deliverable, 0 where not, NaN where nobody knows, shape ``(k, 3)``.
        """
        rows = np.array([self._row(area) for area in areas], dtype=np.int64)
        if self._at_s and at_s > self._at_s:
            fading = 0.5 ** ((at_s - self._at_s) / _HALF_LIFE_S)
            self._judged *= fading
            self._kept *= fading
        self._at_s = max(at_s, self._at_s)
        place = rows, cell.direction, cell.notice, cell.block
        first = self._windows[place] == 0
        self._since_s[place] = np.where(first, at_s, self._since_s[place])
        self._windows[place] += 1
        self._judged[place] += np.isfinite(kept)
        self._kept[place] += np.nan_to_num(kept)

    def of(self, area: str, cell: Cell) -> Kept:
        """Return what is known of an area in a cell."""
        row = self._areas.get(area)
        return Kept() if row is None else self._at((row, cell.direction, cell.notice, cell.block))

    def rows(self) -> Iterator[tuple[str, Cell, Kept]]:
        """Iterate every area's cells with a window, the city's first."""
        for area, row in sorted(self._areas.items(), key=lambda item: (item[0] != CITY, item[0])):
            for direction, notice, block in np.argwhere(self._windows[row]).tolist():
                cell = Cell(direction=direction, level=int(area != CITY), notice=notice, block=block)
                yield area, cell, self._at((row, direction, notice, block))

    def pooled(self, notice: int, block: int) -> Kept:
        """Return what is known of all areas and both directions together; ``since_s`` is the earliest."""
        windows, judged = self._windows[:, :, notice, block], self._judged[:, :, notice, block]
        known = self._since_s[:, :, notice, block][windows > 0]
        return Kept(
            windows=int(windows.sum()),
            ratio=_ratio(self._kept[:, :, notice, block].sum(axis=(0, 1)), judged.sum(axis=(0, 1))),
            since_s=float(known.min(initial=np.inf)) if len(known) else float("nan"),
        )

    def state(self) -> StateTree:
        """Return everything as a state tree."""
        return {
            "areas": list(self._areas),
            "windows": self._windows,
            "judged": self._judged,
            "kept": self._kept,
            "since_s": self._since_s,
            "at_s": self._at_s,
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        self._areas = {area: row for row, area in enumerate(state["areas"])}
        for name in ("windows", "judged", "kept", "since_s"):
            setattr(self, f"_{name}", np.array(state[name]))
        self._at_s = float(state["at_s"])

    def _row(self, area: str) -> int:
        row = self._areas.get(area)
        if row is None:
            row = self._areas[area] = len(self._areas)
            for name in ("windows", "judged", "kept", "since_s"):
                column = getattr(self, f"_{name}")
                setattr(self, f"_{name}", np.append(column, np.zeros((1, *column.shape[1:]), column.dtype), axis=0))
        return row

    def _at(self, place: tuple[int, int, int, int]) -> Kept:
        if not self._windows[place]:
            return Kept()
        return Kept(
            windows=int(self._windows[place]),
            ratio=_ratio(self._kept[place], self._judged[place]),
            since_s=float(self._since_s[place]),
        )


def _ratio(kept: FloatArray, judged: FloatArray) -> tuple[float, float, float]:
    p10, p50, p90 = np.divide(kept, judged, out=np.full(QUANTILES, np.nan), where=judged > 0.0).tolist()
    return p10, p50, p90
