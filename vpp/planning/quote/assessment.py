"""Assessment of a draft: deliverable power of its window within the rebound cap, and the verdict."""

import math
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from vpp.domain.request import Direction, RequestDraft, Verdict
from vpp.domain.telemetry import BoolArray, FloatArray
from vpp.domain.timegrid import TimeGrid
from vpp.planning.flexibility.deliverable import Deliverable, deliverable
from vpp.planning.flexibility.error_law import ErrorLaws, NormalLaws
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import FlexibilityEnvelope, flexibility_envelope
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs, FlexibilityPolicy, Window
from vpp.planning.flexibility.promised_energy import spare_energy_kwh
from vpp.planning.quote.rebound import WATCH_STEPS, Rebound, fractions, rebound_of

NAMED_LIMIT_KW = 0.5
"""Power above which a cause of loss is named as a limit."""
_LEAST_PARTIAL_RATIO = 0.1
_REBOUND_TRIALS = 20
_LEAST_SIGMA_KW = 1e-9

Envelopes = dict[tuple[Direction, Window, int, str, bytes], FlexibilityEnvelope]
"""Envelopes by direction, window, steps ahead, area and what is promised to calls; valid for every target and cap on
the same basis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One draft assessed; powers have shape ``(len(window),)``.

    Attributes:
        grid: Intervals of the hold.
        window: The same on the grid of the inputs.
        found: Deliverable power before the rebound cap.
        p10_kw: Within the rebound cap, as the others.
        rebound_limited_kw: Greatest power whose rebound stays under the cap; infinite where the cap does not bind.
    """

    grid: TimeGrid
    window: Window
    found: Deliverable
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    rebound_limited_kw: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessor:
    """All that stays the same while variants of one draft are assessed; windows are computed once.

    Attributes:
        basis: Basis of the fleet.
        chosen: Groups of the draft's area, shape ``(C,)``.
        committed_kw: Already promised to others by step of the inputs, shape ``(grid.count,)``.
        called_kw: The part of it that takes energy: all but regulation, likewise.
        price: Price of a moved kWh by class, shape ``(classes,)``.
        merit: Merit order key of every class, lower first, shape ``(classes,)``.
        now: Moment of the quote.
        envelopes: Envelopes of this basis; new ones are added.
        laws: What is known of the errors of quotes.
        windows: What was found of each window.
        owed: What stores owe to each promise at other hours.
    """

    basis: FlexibilityBasis
    chosen: BoolArray
    committed_kw: FloatArray
    called_kw: FloatArray
    price: FloatArray
    merit: FloatArray
    now: datetime
    envelopes: Envelopes
    laws: ErrorLaws = field(default_factory=NormalLaws)
    windows: dict[Window, tuple[Deliverable, float]] = field(default_factory=dict)
    owed: dict[Window, FloatArray] = field(default_factory=dict)

    @property
    def inputs(self) -> FlexibilityInputs:
        """Inputs of the basis."""
        return self.basis.inputs

    def assess(self, draft: RequestDraft) -> Assessment:
        """Return the assessment of a draft of this area, direction and rebound cap."""
        grid = TimeGrid.covering(draft.start_at, draft.end_at, step_s=self.inputs.grid.step_s)
        first = self.inputs.grid.index_at(grid.start_s)
        window = Window(first=first, last=first + grid.count)
        found, most_kw = self.windows.get(window) or self._computed(draft, window)
        p10, p50, p90 = (np.minimum(values, most_kw) for values in (found.p10_kw, found.p50_kw, found.p90_kw))
        return Assessment(
            grid=grid,
            window=window,
            found=found,
            p10_kw=p10,
            p50_kw=p50,
            p90_kw=p90,
            rebound_limited_kw=most_kw,
            verdict=verdict_of(draft, float(p10.min()), float(p50.min()), certain_ratio=self.certain_ratio(draft)),
        )

    def certain_ratio(self, draft: RequestDraft) -> float:
        """Return the share of the target that the least p10 has to reach for a feasible verdict."""
        return certain_ratio(draft, self.inputs.policy)

    def class_shares(self, found: Deliverable, amount_kw: float) -> FloatArray:
        """Return the share of each class that gives ``amount_kw`` in merit order, shape ``(classes,)``."""
        return fractions(amount_kw, found.class_kw, self.merit)

    def _computed(self, draft: RequestDraft, window: Window) -> tuple[Deliverable, float]:
        """Return what a window can deliver, and the greatest power whose rebound stays under the cap."""
        # Under a rebound cap batteries keep what their schedule needs after the hold: missing it would be rebound.
        ahead = 0 if draft.rebound_cap_kw is None else WATCH_STEPS
        place = draft.direction, window, ahead, draft.area, self._promises
        if place not in self.envelopes:
            self.envelopes[place] = self._envelope(draft.direction, window, ahead)
        found = deliverable(
            self.basis,
            direction=draft.direction,
            window=window,
            chosen=self.chosen,
            committed_kw=self.committed_kw,
            now_s=self.now.timestamp(),
            found=self.envelopes[place],
            law=self.laws.law(
                draft.area, draft.direction, start_s=draft.start_at.timestamp(), now_s=self.now.timestamp()
            ),
        )
        most_kw = math.inf
        if draft.rebound_cap_kw is not None:
            rebound = rebound_of(self.basis, draft.direction, window, found, staged=True)
            most_kw = self._most_under(draft.rebound_cap_kw, found, rebound)
        self.windows[window] = found, most_kw
        return found, most_kw

    @property
    def _promises(self) -> bytes:
        """What is promised to calls, as part of a key; empty where nothing is."""
        return self.called_kw.tobytes() if self.called_kw.any() else b""

    def _envelope(self, direction: Direction, window: Window, ahead: int) -> FlexibilityEnvelope:
        """Return the envelope of one window, beside what is promised at other hours."""
        spare_kwh = spare_energy_kwh(
            self.basis, direction, window, chosen=self.chosen, called_kw=self.called_kw, owed=self.owed
        )
        return flexibility_envelope(
            self.basis,
            direction,
            np.array([window.first]),
            np.array([len(window)]),
            ahead=ahead,
            level=self.chosen,
            spare_kwh=None if spare_kwh is None else spare_kwh[:, None],
        )

    def _most_under(self, cap_kw: float, found: Deliverable, rebound: Rebound) -> float:
        """Return the greatest power whose rebound stays under ``cap_kw``; infinite where all of it does."""

        def peak(amount_kw: float) -> float:
            return float((self.class_shares(found, amount_kw) @ rebound.kw).max())

        low, high = 0.0, float(found.p90_kw.max())
        if peak(high) <= cap_kw:
            return math.inf
        for _ in range(_REBOUND_TRIALS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if peak(middle) <= cap_kw else (low, middle)
        return low


def certain_ratio(draft: RequestDraft, policy: FlexibilityPolicy) -> float:
    """Return the share of a draft's target that the least p10 has to reach for a feasible verdict."""
    return max(draft.min_delivered_ratio, policy.certain_ratio)


def verdict_of(draft: RequestDraft, p10_kw: float, p50_kw: float, *, certain_ratio: float) -> Verdict:
    """Return the verdict on a draft from the worst interval's quantiles.

    Args:
        draft: What is asked.
        p10_kw: Least power reached with nine chances in ten.
        p50_kw: Least power reached with even chances.
        certain_ratio: Share of the target that ``p10_kw`` has to reach; see ``certain_ratio``.
    """
    if p50_kw >= draft.target_kw and p10_kw >= certain_ratio * draft.target_kw:
        return Verdict.FEASIBLE
    if p50_kw >= max(draft.min_delivered_ratio, _LEAST_PARTIAL_RATIO) * draft.target_kw:
        return Verdict.PARTIAL
    return Verdict.INFEASIBLE


def confidence(p50_kw: FloatArray, sigma_kw: FloatArray, target_kw: float) -> float:
    """Return the chance that the worst interval reaches the target, by the normal distribution.

    Args:
        p50_kw: Median by interval, shape ``(count,)``.
        sigma_kw: Standard deviation by interval, shape ``(count,)``.
        target_kw: Power to be reached.
    """
    over = (p50_kw - target_kw) / np.maximum(sigma_kw, _LEAST_SIGMA_KW)
    return 0.5 * math.erfc(-float(over.min()) / math.sqrt(2.0))
