"""Calibration: the law of errors of quotes, learnt from windows whose deliverable power is known by now.

The distribution of error scores of every cell fades with a half-life, as weighted conformal prediction has it (Barber,
Candès, Ramdas and Tibshirani 2023, "Conformal prediction beyond exchangeability"). A cell is drawn towards all blocks
of its notice, these towards all notices, these towards the normal law, each by the weight of ``_PRIOR_WINDOWS``. The
level that is looked up in it adapts to what was missed (Gibbs and Candès 2021, "Adaptive conformal inference under
distribution shift"); labels come late, so it moves slowly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.calendar import day_number
from vpp.planning.calibration.cells import SHAPE, Cell, cell_of
from vpp.planning.calibration.score_histogram import BINS, bins_of, normal_mass, quantiles
from vpp.planning.flexibility.error_law import NORMAL, ErrorLaw
from vpp.record.state_codec import StateTree

LEVELS = np.array([0.1, 0.5, 0.9])
"""Shares of windows that may stay below p10, p50 and p90."""
LEAST_DAYS, LEAST_WINDOWS = 5, 200
"""Days and windows of a direction and level that have to be judged before the normal law is left."""
_HALF_LIFE_S = 20.0 * SECONDS_PER_DAY
_PRIOR_WINDOWS = 48.0
_GAIN = 0.003
"""Step of the adaptive level for each window; a day has some fifty of a cell."""
_LOWEST = np.array([0.0, 0.2, 0.7])
_HIGHEST = np.array([0.3, 0.8, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Windows of one cell and one time, judged together; ``k`` areas.

    Attributes:
        cell: Cell of all of them.
        at_s: Epoch seconds of their end.
        scores: Error scores, shape ``(k,)``; none where only the promise is known to have been kept or not.
        kept: 1 where p10, p50 and p90 as quoted were deliverable, 0 where not, NaN where nobody knows, ``(k, 3)``.
        learnt: They were quoted by the learnt law; for a request, there is one by now.
    """

    cell: Cell
    at_s: float
    scores: FloatArray
    kept: FloatArray
    learnt: bool


class Calibration:
    """Law of errors by cell; looking one up is safe from any thread, taking windows is for one."""

    def __init__(self) -> None:
        self._mass = np.zeros((*SHAPE, BINS))
        self._level = np.tile(LEVELS, (*SHAPE, 1))
        self._windows = np.zeros(SHAPE[:2], dtype=np.int64)
        self._days = np.zeros(SHAPE[:2], dtype=np.int64)
        self._last_day = np.full(SHAPE[:2], -1, dtype=np.int64)
        self._at_s = 0.0
        self._laws: dict[Cell, ErrorLaw] = {}

    def law(self, area: str, direction: Direction, *, start_s: float, now_s: float) -> ErrorLaw:
        """Return the law of a window (`vpp.planning.flexibility.error_law.ErrorLaws`)."""
        return self._laws.get(cell_of(area, direction, start_s=start_s, now_s=now_s), NORMAL)

    def law_in(self, cell: Cell) -> ErrorLaw:
        """Return the law of a cell; the normal one while too little was judged."""
        return self._laws.get(cell, NORMAL)

    def learns(self, direction: int, level: int) -> bool:
        """Return whether the windows of a direction and level are enough to leave the normal law."""
        place = direction, level
        return bool(self._windows[place] >= LEAST_WINDOWS and self._days[place] >= LEAST_DAYS)

    def take(self, judged: Sequence[Judged]) -> None:
        """Learn from windows; those of one call count as of one time."""
        if not judged:
            return
        self._fade(max(one.at_s for one in judged))
        for one in judged:
            self._learn(one)
        self._refresh()

    def state(self) -> StateTree:
        """Return everything as a state tree."""
        return {
            "mass": self._mass,
            "level": self._level,
            "windows": self._windows,
            "days": self._days,
            "last_day": self._last_day,
            "at_s": self._at_s,
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        for name in ("mass", "level", "windows", "days", "last_day"):
            getattr(self, f"_{name}")[...] = state[name]
        self._at_s = float(state["at_s"])
        self._refresh()

    def _fade(self, at_s: float) -> None:
        if self._at_s and at_s > self._at_s:
            self._mass *= 0.5 ** ((at_s - self._at_s) / _HALF_LIFE_S)
        self._at_s = max(at_s, self._at_s)

    def _learn(self, one: Judged) -> None:
        if one.learnt:
            known = np.isfinite(one.kept).sum(axis=0)
            missed = 1.0 - np.divide(np.nansum(one.kept, axis=0), known, out=1.0 - LEVELS, where=known > 0)
            self._level[one.cell] = np.clip(self._level[one.cell] + _GAIN * (LEVELS - missed), _LOWEST, _HIGHEST)
        if not len(one.scores):
            return
        # Areas of one time err together: all of them weigh as much as one window of the city.
        np.add.at(self._mass[one.cell], bins_of(one.scores), 1.0 / len(one.scores))
        place, day = one.cell[:2], int(day_number(one.at_s))
        self._windows[place] += len(one.scores)
        self._days[place] += day > self._last_day[place]
        self._last_day[place] = max(day, int(self._last_day[place]))

    def _refresh(self) -> None:
        prior = normal_mass()
        laws = {}
        for direction, level in np.ndindex(SHAPE[:2]):
            if not self.learns(direction, level):
                continue
            mass = self._mass[direction, level]
            every = mass.sum(axis=(0, 1))
            every = _drawn(every, prior)
            for notice in range(SHAPE[2]):
                alike = _drawn(mass[notice].sum(axis=0), every)
                found = quantiles(_drawn(mass[notice], alike), self._level[direction, level, notice])
                for block, (z10, z50, z90) in enumerate(np.sort(found, axis=1).tolist()):
                    laws[Cell(direction, level, notice, block)] = ErrorLaw(z10=z10, z50=z50, z90=z90)
        self._laws = laws


def _drawn(mass: FloatArray, towards: FloatArray) -> FloatArray:
    """Return a histogram drawn towards another by the weight of the prior windows."""
    return np.asarray(mass + _PRIOR_WINDOWS * towards / towards.sum())
