"""Collector of standard windows: a journal that hands their entries on, and the match of quotes with what became known.

It does what the service's own book does, but for one thing: it keeps every window, while the book keeps what was learnt
from them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from vpp.application.requests.shadow_quotes import WINDOWS
from vpp.bootstrap.volatile_store import CountingJournal
from vpp.domain.request import CITY
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import STEP_S
from vpp.lab.honesty.judged_windows import JudgedWindows
from vpp.planning.calibration.cells import DIRECTIONS, LENGTH_STEPS, block_of
from vpp.planning.calibration.standard_windows import StandardWindows
from vpp.planning.calibration.window_book import KnownWindow

LEAST_KW = 1.0
"""Expected power below which there is nothing to promise."""


class WindowJournal(CountingJournal):
    """Counts entries, and hands on those of standard windows.

    Args:
        take: Called with the body of each.
    """

    def __init__(self, take: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._take = take

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> int:
        """Count one entry, and hand it on."""
        if kind == WINDOWS:
            self._take(body)
        return super().append(kind, at_s, body)


class WindowCollector:
    """Collects the windows that begin within ``[from_s, until_s)``, epoch seconds.

    Args:
        seed: Of the city.
        from_s: See above.
        until_s: See above.
    """

    def __init__(self, *, seed: int, from_s: float, until_s: float) -> None:
        self._seed, self._from_s, self._until_s = seed, from_s, until_s
        self._open: defaultdict[float, list[tuple[StandardWindows, int]]] = defaultdict(list)
        self._parts: list[JudgedWindows] = []

    def take(self, body: Mapping[str, Any]) -> None:
        """Take one entry: what became known, then what was quoted."""
        known = [KnownWindow.from_body(one) for one in body["known"]]
        for one in known:
            if self._from_s <= one.start_s < self._until_s and len(one.areas):
                self._parts += self._judged(one)
        if body["quoted"] is not None:
            windows = StandardWindows.from_body(body["quoted"])
            for notice, start_s in enumerate(windows.start_s.tolist()):
                self._open[start_s].append((windows, notice))
        oldest_s = min((one.start_s for one in known), default=0.0) - max(LENGTH_STEPS) * STEP_S
        for start_s in [at_s for at_s in self._open if at_s < oldest_s]:
            del self._open[start_s]

    def windows(self) -> JudgedWindows:
        """Return all windows collected so far."""
        return JudgedWindows.together(self._parts)

    def _judged(self, known: KnownWindow) -> Iterator[JudgedWindows]:
        length = LENGTH_STEPS.index(known.steps)
        column = {area: number for number, area in enumerate(known.areas)}
        for windows, notice in self._open[known.start_s]:
            found = np.array([known.deliverable_kw[:, column[area]] for area in windows.areas if area in column]).T
            there = np.array([area in column for area in windows.areas])
            areas = np.array(windows.areas)[there]
            for code in range(len(DIRECTIONS)):
                law_kw, quoted_kw = (all_kw[notice, length, code][there] for all_kw in _laws(windows))
                worth = np.isfinite(found[code]) & (law_kw[:, 1] >= LEAST_KW)
                learnt = np.where(areas == CITY, windows.learnt[code, 0], windows.learnt[code, 1])
                whole = self._columns(known, windows, (notice, code), len(areas))
                yield JudgedWindows(
                    **whole,
                    area=areas,
                    learnt=learnt.astype(np.bool_),
                    p10_kw=quoted_kw[:, 0],
                    p50_kw=quoted_kw[:, 1],
                    p90_kw=quoted_kw[:, 2],
                    normal10_kw=law_kw[:, 0],
                    normal90_kw=law_kw[:, 2],
                    expected_kw=law_kw[:, 1],
                    deliverable_kw=found[code],
                ).chosen(worth)

    def _columns(
        self, known: KnownWindow, windows: StandardWindows, place: tuple[int, int], count: int
    ) -> dict[str, Any]:
        """Return the columns that all areas of a window share."""
        notice, code = place
        numbers = {
            "seed": self._seed,
            "steps": known.steps,
            "direction": code,
            "notice": notice,
            "block": block_of(known.start_s),
        }
        instants = {"quoted_s": windows.at_s, "start_s": known.start_s}
        return {name: np.full(count, value, dtype=np.int64) for name, value in numbers.items()} | {
            name: np.full(count, value) for name, value in instants.items()
        }


def _laws(windows: StandardWindows) -> tuple[FloatArray, FloatArray]:
    """Return p10, p50 and p90 by the normal law and as quoted."""
    return windows.law_kw, windows.quoted_kw
