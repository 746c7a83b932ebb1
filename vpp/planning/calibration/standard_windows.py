"""Standard windows: what would be quoted now, for nobody, at some notices and lengths in both directions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vpp.domain.request import CITY
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.units import STEP_S, WATT
from vpp.fleet.index import CLASSES
from vpp.planning.calibration.calibration import Calibration
from vpp.planning.calibration.cells import DIRECTIONS, LENGTH_STEPS, NOTICE_STEPS, SHAPE, Cell, block_of
from vpp.planning.calibration.kept_tally import QUANTILES
from vpp.planning.flexibility.area_law import AreaLaw
from vpp.planning.flexibility.error_law import NORMAL, ErrorLaw
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis

MOST_AREAS = 32
"""Areas quoted at a time; of more, these come round in turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardWindows:
    """Windows quoted at one time; ``N`` notices, ``L`` lengths, two directions, ``A`` areas, the city last.

    Attributes:
        at_s: Epoch seconds of the quote.
        areas: Ids of the areas, the city's last.
        start_s: Begin of the windows of every notice, epoch seconds, shape ``(N,)``.
        law_kw: Least p10, p50 and p90 by the normal law, shape ``(N, L, 2, A, 3)``.
        quoted_kw: The same by the law in force, shape ``(N, L, 2, A, 3)``.
        learnt: The law in force was learnt, by direction and level, shape ``(2, 2)``.
        class_kw: Expected power by notice, direction, area and ``K`` classes, mean over the shortest length, without
            the city, shape ``(N, 2, A - 1, K)``; ``None`` in entries before it was kept.
    """

    at_s: float
    areas: tuple[str, ...]
    start_s: FloatArray
    law_kw: FloatArray
    quoted_kw: FloatArray
    learnt: BoolArray
    class_kw: FloatArray | None = None

    def body(self) -> dict[str, object]:
        """Return the windows as the body of a journal entry, powers to the watt."""
        return {
            "at_s": self.at_s,
            "areas": list(self.areas),
            "start_s": self.start_s,
            "law_kw": np.round(self.law_kw, WATT),
            "quoted_kw": np.round(self.quoted_kw, WATT),
            "learnt": self.learnt,
            **({} if self.class_kw is None else {"class_kw": np.round(self.class_kw, WATT)}),
        }

    @classmethod
    def from_body(cls, body: Any) -> "StandardWindows":  # noqa: ANN401 - a journal's body
        """Return the windows that ``body`` wrote."""
        return cls(
            at_s=float(body["at_s"]),
            areas=tuple(body["areas"]),
            start_s=np.asarray(body["start_s"], dtype=np.float64),
            law_kw=np.asarray(body["law_kw"], dtype=np.float64),
            quoted_kw=np.asarray(body["quoted_kw"], dtype=np.float64),
            learnt=np.asarray(body["learnt"], dtype=np.bool_),
            class_kw=np.asarray(body["class_kw"], dtype=np.float64) if "class_kw" in body else None,
        )


def standard_windows(basis: FlexibilityBasis, calibration: Calibration, now_s: float) -> StandardWindows:
    """Return the standard windows quoted on a basis; the first ones begin with the next quarter of an hour."""
    index = basis.inputs.state.index
    chosen = areas_in_turn(len(index.areas), now_s)
    steps = basis.inputs.grid.index_at(now_s) + np.array(NOTICE_STEPS)
    start_s = basis.inputs.grid.start_s + STEP_S * steps
    shape = (len(NOTICE_STEPS), len(LENGTH_STEPS), len(DIRECTIONS), len(chosen) + 1, QUANTILES)
    law_kw, quoted_kw = np.empty(shape), np.empty(shape)
    class_kw = np.empty((len(NOTICE_STEPS), len(DIRECTIONS), len(chosen), len(CLASSES)))
    every = np.ones(len(basis.groups), dtype=np.bool_)
    for length_code, length in enumerate(LENGTH_STEPS):
        for code, direction in enumerate(DIRECTIONS):
            apart = AreaLaw.of(basis, direction, steps, length)
            whole = AreaLaw.of(basis, direction, steps, length, level=every)
            if not length_code:
                class_kw[:, code] = np.moveaxis(apart.class_kw[chosen], 2, 0)
            for notice, at_s in enumerate(start_s.tolist()):
                city, area = (calibration.law_in(Cell(code, level, notice, block_of(at_s))) for level in range(2))
                place = notice, length_code, code
                law_kw[place] = np.append(_least(apart, NORMAL, notice)[chosen], _least(whole, NORMAL, notice)[-1:], 0)
                quoted_kw[place] = np.append(_least(apart, area, notice)[chosen], _least(whole, city, notice)[-1:], 0)
    return StandardWindows(
        at_s=now_s,
        areas=(*(index.areas[place].id for place in chosen), CITY),
        start_s=start_s,
        law_kw=law_kw,
        quoted_kw=quoted_kw,
        learnt=np.array([[calibration.learns(code, level) for level in range(SHAPE[1])] for code in range(SHAPE[0])]),
        class_kw=class_kw,
    )


def areas_in_turn(count: int, at_s: float) -> list[int]:
    """Return the areas that are quoted at ``at_s``, epoch seconds, by their positions among ``count``."""
    if count <= MOST_AREAS:
        return list(range(count))
    first = int(at_s // STEP_S) * MOST_AREAS % count
    return sorted((first + place) % count for place in range(MOST_AREAS))


def _least(law: AreaLaw, errors: ErrorLaw, window: int) -> FloatArray:
    """Return least p10, p50 and p90 of every area and the city in a window, shape ``(A + 1, 3)``."""
    sums = law.expected_kw[:, window], law.below_kw[:, window], law.above_kw[:, window]
    return np.stack([found(*sums).min(axis=1) for found in (errors.p10_kw, errors.p50_kw, errors.p90_kw)], axis=1)
