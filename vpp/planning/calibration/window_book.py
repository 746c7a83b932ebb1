"""Book of standard windows: quoted ones that wait to be judged, and all that was learnt from those that were.

Everything in it follows from the bodies of its journal entries, in their order, so a restart and a standby hold the
same book bit for bit.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vpp.domain.request import CITY, Direction
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import SECONDS_PER_HOUR, STEP_S, WATT
from vpp.planning.calibration.calibration import Calibration, Judged
from vpp.planning.calibration.cells import DIRECTIONS, LENGTH_STEPS, Cell, block_of, cell_of
from vpp.planning.calibration.error_scores import scores
from vpp.planning.calibration.kept_tally import KeptTally
from vpp.planning.calibration.standard_windows import StandardWindows
from vpp.record.state_codec import StateTree

_PATIENCE_S = 6.0 * SECONDS_PER_HOUR
"""Time after its end in which a window may be judged."""
_LEAST_KW = 1.0
"""Power below which there is nothing to promise, and nothing to learn."""
_EQUAL_KW = 1e-3
NOT_SEEN = "not_seen"
"""Reason of windows that ended while nobody watched: the service was down, or had just begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWindow:
    """What turned out to be deliverable in the least quarter of an hour of a window.

    Attributes:
        start_s: Begin, epoch seconds.
        steps: Length in quarters of an hour.
        areas: Ids of the areas, the city's last.
        deliverable_kw: By direction and area, NaN for windows left out, shape ``(2, A)``.
        class_kw: Mean over the window by direction, area without the city, and class, shape ``(2, A - 1, classes)``;
            ``None`` for windows of more than the shortest length, and of entries before it was kept.
        left_out: Reason for which windows are left out, empty where none is.
    """

    start_s: float
    steps: int
    areas: tuple[str, ...]
    deliverable_kw: FloatArray
    class_kw: FloatArray | None = None
    left_out: str = ""

    def body(self) -> dict[str, object]:
        """Return the window as part of the body of a journal entry, powers to the watt."""
        return {
            "start_s": self.start_s,
            "steps": self.steps,
            "areas": list(self.areas),
            "deliverable_kw": np.round(self.deliverable_kw, WATT),
            "left_out": self.left_out,
            **({} if self.class_kw is None else {"class_kw": np.round(self.class_kw, WATT)}),
        }

    @classmethod
    def from_body(cls, body: Any) -> "KnownWindow":  # noqa: ANN401 - a journal's body
        """Return the window that ``body`` wrote."""
        return cls(
            start_s=float(body["start_s"]),
            steps=int(body["steps"]),
            areas=tuple(body["areas"]),
            deliverable_kw=np.asarray(body["deliverable_kw"], dtype=np.float64),
            class_kw=np.asarray(body["class_kw"], dtype=np.float64) if "class_kw" in body else None,
            left_out=str(body["left_out"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRequest:
    """What became of the quote of a finished request.

    Attributes:
        area: Its area.
        direction: Its direction.
        start_s: Begin of its hold, epoch seconds.
        quoted_s: Instant of its quote, epoch seconds.
        at_s: End of its hold, epoch seconds.
        kept: 1 where p10, p50 and p90 were deliverable, 0 where not, NaN where nobody knows.
    """

    area: str
    direction: Direction
    start_s: float
    quoted_s: float
    at_s: float
    kept: tuple[float, float, float]

    def body(self) -> dict[str, object]:
        """Return the request as part of the body of a journal entry."""
        return {
            "area": self.area,
            "direction": self.direction.value,
            "start_s": self.start_s,
            "quoted_s": self.quoted_s,
            "at_s": self.at_s,
            "kept": np.array(self.kept),
        }

    @classmethod
    def from_body(cls, body: Any) -> "KnownRequest":  # noqa: ANN401 - a journal's body
        """Return the request that ``body`` wrote."""
        p10, p50, p90 = (float(value) for value in body["kept"])
        return cls(
            area=str(body["area"]),
            direction=Direction(body["direction"]),
            start_s=float(body["start_s"]),
            quoted_s=float(body["quoted_s"]),
            at_s=float(body["at_s"]),
            kept=(p10, p50, p90),
        )


class WindowBook:
    """Standard windows from their quote to their judgement.

    Attributes:
        calibration: Law of errors learnt so far.
        tally: Promises kept so far.
        left_out: Number of windows left out so far, by reason.
        settled_s: Epoch seconds until which finished requests are counted.
    """

    def __init__(self) -> None:
        self.calibration = Calibration()
        self.tally = KeptTally()
        self.left_out: Counter[str] = Counter()
        self.settled_s = 0.0
        self._open: list[tuple[StandardWindows, BoolArray]] = []

    def due(self, until_s: float) -> list[tuple[float, int]]:
        """Return begin and steps of every open window that ends by ``until_s``, epoch seconds, each once, in order."""
        found = {
            (start_s, LENGTH_STEPS[length])
            for windows, is_open in self._open
            for notice, start_s in enumerate(windows.start_s.tolist())
            for length in np.flatnonzero(is_open[notice]).tolist()
            if start_s + STEP_S * LENGTH_STEPS[length] <= until_s
        }
        return sorted(found)

    def follow(self, body: Any) -> None:  # noqa: ANN401 - a journal's body
        """Take one entry: what became known, then what was quoted.

        Attributes of the body:
            at_s: Epoch seconds of the entry.
            known: Windows that were judged, see ``KnownWindow``.
            requests: Finished requests, see ``KnownRequest``.
            settled_s: Epoch seconds until which finished requests are counted.
            quoted: Standard windows quoted now, see ``StandardWindows``; none where nothing could be quoted.
        """
        judged = [one for known in body["known"] for one in self._judged(KnownWindow.from_body(known))]
        judged += [self._counted(KnownRequest.from_body(one)) for one in body["requests"]]
        self.calibration.take(judged)
        self.settled_s = float(body["settled_s"])
        self._forget(float(body["at_s"]))
        if body["quoted"] is not None:
            windows = StandardWindows.from_body(body["quoted"])
            self._open.append((windows, np.ones(windows.law_kw.shape[:2], dtype=np.bool_)))

    def state(self) -> StateTree:
        """Return everything as a state tree."""
        return {
            "calibration": self.calibration.state(),
            "tally": self.tally.state(),
            "left_out": dict(self.left_out),
            "settled_s": self.settled_s,
            "open": [[windows.body(), is_open] for windows, is_open in self._open],
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned; values are copied."""
        self.calibration.load(state["calibration"])
        self.tally.load(state["tally"])
        self.left_out = Counter(state["left_out"])
        self.settled_s = float(state["settled_s"])
        self._open = [(StandardWindows.from_body(body), np.array(is_open)) for body, is_open in state["open"]]

    def _judged(self, known: KnownWindow) -> Iterator[Judged]:
        length = LENGTH_STEPS.index(known.steps)
        for windows, is_open in self._open:
            for notice in np.flatnonzero((windows.start_s == known.start_s) & is_open[:, length]).tolist():
                is_open[notice, length] = False
                for code in range(len(DIRECTIONS)):
                    yield from self._of_levels(windows, known, (notice, length, code))

    def _of_levels(self, windows: StandardWindows, known: KnownWindow, place: tuple[int, int, int]) -> Iterator[Judged]:
        """Judge the city, then its areas, in one notice, length and direction."""
        notice, _, code = place
        column = {area: number for number, area in enumerate(known.areas)}
        for level, areas in enumerate(([CITY], [area for area in windows.areas if area != CITY])):
            cell = Cell(code, level, notice, block_of(known.start_s))
            rows = np.array([windows.areas.index(area) for area in areas], dtype=np.int64)
            found = np.array([known.deliverable_kw[code, column[area]] if area in column else np.nan for area in areas])
            law_kw, quoted_kw = windows.law_kw[place][rows], windows.quoted_kw[place][rows]
            worth = law_kw[:, 1] >= _LEAST_KW
            self.left_out[known.left_out or NOT_SEEN] += int((np.isnan(found) & worth).sum())
            chosen = np.flatnonzero(np.isfinite(found) & worth)
            if not len(chosen):
                continue
            found, law_kw, quoted_kw = found[chosen], law_kw[chosen], quoted_kw[chosen]
            kept = (found[:, None] >= quoted_kw - _EQUAL_KW).astype(np.float64)
            at_s = known.start_s + STEP_S * known.steps
            self.tally.add([areas[number] for number in chosen.tolist()], cell, at_s, kept)
            learnt = bool(windows.learnt[code, level])
            yield Judged(cell=cell, at_s=at_s, scores=scores(found, law_kw), kept=kept, learnt=learnt)

    def _counted(self, one: KnownRequest) -> Judged:
        cell = cell_of(one.area, one.direction, start_s=one.start_s, now_s=one.quoted_s)
        kept = np.array([one.kept])
        self.tally.add([one.area], cell, one.at_s, kept)
        learnt = self.calibration.learns(cell.direction, cell.level)
        return Judged(cell=cell, at_s=one.at_s, scores=np.zeros(0), kept=kept, learnt=learnt)

    def _forget(self, at_s: float) -> None:
        """Drop windows whose judgement does not come any more, and quotes with no open window."""
        ends_s = STEP_S * np.array(LENGTH_STEPS, dtype=np.float64)
        for windows, is_open in self._open:
            late = (windows.start_s[:, None] + ends_s + _PATIENCE_S < at_s) & is_open
            self.left_out[NOT_SEEN] += int((windows.law_kw[late][..., 1] >= _LEAST_KW).sum())
            is_open[late] = False
        self._open = [(windows, is_open) for windows, is_open in self._open if is_open.any()]
        self.left_out = +self.left_out
