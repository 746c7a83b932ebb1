"""Eligibility of rows for a request: the same for its quote and its acceptance, with the reasons of those excluded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vpp.application.row_alignment import FittedMeter, fitted_flags
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction, RequestDraft
from vpp.domain.resource import ResourceClass
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray, CodeArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.ports import IntervalMeter
from vpp.settlement.baselines.measurable import measurable_rows
from vpp.settlement.money.programme import Programme
from vpp.state.eligibility import WORDS, Standing, part_rows, reference_roofs, standing

SERVING = len(Standing)
"""Code of rows that serve another request at that time, beside those of ``Standing``."""
SERVING_WORDS = "serves another request at that time"
_WORDS: Mapping[int, str] = {int(code): words for code, words in WORDS.items()} | {SERVING: SERVING_WORDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Participation:
    """Judges rows by plan, meters and commands (`vpp.state.eligibility`)."""

    engine: DispatchEngine
    meters: IntervalMeter
    programme: Programme

    def standing(
        self,
        draft: RequestDraft,
        times: PhaseTimes,
        state: FleetState,
        schedule: Schedule | None,
        *,
        late: bool = False,
    ) -> CodeArray:
        """Return the ``Standing`` of every row for a request as it would be accepted now, shape ``(n_resources,)``.

        Rows of every class and area are judged; those without a part are left out by `part_rows`.

        Args:
            draft: The request; its baseline method says what is needed of meters.
            times: When its phases would begin.
            state: The snapshot.
            schedule: The plan in force.
            late: Acceptance was long before this snapshot, in which devices may not be back yet: links and fresh
                meters are not required.
        """
        due_s = max(times.ramp_s, state.at_s)
        count = len(state)
        refusing = fitted_flags(self.engine.outbox.refusing(due_s), count)
        measurable = measurable_rows(
            draft,
            index=state.index,
            meter=FittedMeter(meter=self.meters, count=count),
            schedule=schedule,
            event=TimeGrid.covering(instant(due_s), instant(times.watched_s)),
            known_s=state.at_s,
            rules=self.programme.rules,
            choice=self.programme.choice,
        )
        found = standing(state, part=np.ones(count, dtype=np.bool_), measurable=measurable, refusing=refusing)
        if late:
            away = (found == Standing.DISCONNECTED) | (found == Standing.STALE)
            found[away] = np.where(measurable[away], Standing.ELIGIBLE, Standing.NO_BASELINE)
        if draft.direction is Direction.DOWN and ResourceClass.PV in self.programme.choice.own_meters(draft):
            found[(found == Standing.ELIGIBLE) & reference_roofs(draft, state.index)] = Standing.REFERENCE
        return found


def eligible(found: CodeArray) -> BoolArray:
    """Return the rows that can be counted on, shape ``(n_resources,)``."""
    return np.asarray(found == Standing.ELIGIBLE)


def enlisted(baseline: Baseline, draft: RequestDraft, index: FleetIndex, found: CodeArray) -> Baseline:
    """Return a baseline with the rows of its part that are not eligible named, and counted by reason."""
    part = part_rows(draft, index)
    without = np.array([index.row_of[identity] for identity in baseline.excluded_ids], dtype=np.int64)
    codes = found.copy()
    codes[without] = Standing.NO_BASELINE
    left_out = np.flatnonzero(part & (codes != Standing.ELIGIBLE))
    tally = np.bincount(codes[left_out], minlength=len(Standing) + 1)
    return replace(
        baseline,
        excluded_ids=tuple(index.resources[row].id for row in left_out.tolist()),
        excluded_why={words: int(tally[code]) for code, words in _WORDS.items() if tally[code]},
    )
