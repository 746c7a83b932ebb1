"""Automatic drills: at random times the service tests its own fleet, part by part, and never at a call's cost."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from vpp.application.drills.drill_plan import DrillRules, Part, asked_kw, begins, drill_draft, in_turn
from vpp.application.drills.drill_results import DrillResults, Found
from vpp.application.loops.quarter_hours import every_quarter_hour
from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.capability_declaration import CapabilityDeclaration
from vpp.application.requests.request_service import RequestService
from vpp.domain.errors import VppError
from vpp.domain.request import CITY, DispatchRequest, RequestDraft, Verdict
from vpp.domain.timegrid import floor_s
from vpp.domain.units import STEP_S
from vpp.fleet.calendar import local_day

_log = structlog.get_logger(__name__)
ACTOR = "drills"
_AFTER_S = 210.0
"""Time after a quarter of an hour's begin: its plan is in force by then."""
_AHEAD_STEPS = 2
"""Steps ahead in which the hold begins: after the notice of the class ``fast`` and the ramp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillActs:
    """Parts by which a drill is sized, asked for and accepted."""

    requests: RequestService
    declarations: CapabilityDeclaration


class AutomaticDrills:
    """Begins drills by chance, and shows what drills have found, also those an operator asks for.

    Args:
        picture: The fleet as it is known.
        acts: Parts by which a drill is made.
        results: Shows what was found.
        rules: How often, when, and how much.
        draw: Returns a random number, evenly spread over [0, 1).
    """

    def __init__(
        self,
        *,
        picture: OperatingPicture,
        acts: DrillActs,
        results: DrillResults,
        rules: DrillRules,
        draw: Callable[[], float],
    ) -> None:
        self._picture, self._acts, self._results = picture, acts, results
        self._rules, self._draw = rules, draw

    async def run(self) -> None:
        """Look every quarter of an hour until cancelled; a turn that fails is logged, and the next comes."""
        await every_quarter_hour(self._picture.clock, self.turn, after_s=_AFTER_S, failed="drills failed")

    async def turn(self) -> DispatchRequest | None:
        """Show what was found so far, and begin a drill if chance has it; return the one that was committed."""
        now_s, areas = self._picture.clock.now_s(), self._areas()
        requests = self._acts.requests.all()
        found = await asyncio.to_thread(self._results.found, areas)
        self._results.show(found, now_s)
        start_s = floor_s(now_s, STEP_S) + _AHEAD_STEPS * STEP_S
        if self._picture.schedule is None or not begins(self._rules, requests, start_s, self._draw):
            return None
        for part in in_turn(areas, self._rules.directions, _tested_s(found, requests), self._draw):
            drill = await self._held(part, start_s)
            if drill is not None:
                return drill
        return None

    def _areas(self) -> Sequence[str]:
        return [area.id for area in self._picture.state().index.areas] or [CITY]

    async def _held(self, part: Part, start_s: float) -> DispatchRequest | None:
        """Return a committed drill of an area, ``None`` where it has nothing to test or a call comes first."""
        service = self._acts.requests
        try:
            target_kw = asked_kw(await self._available_kw(part, start_s), self._rules.share)
            if not target_kw > 0.0:
                return None
            drill, _ = await service.submit(self._draft(part, start_s, target_kw), key=None, actor=ACTOR)
            if drill.quote is None or drill.quote.verdict is Verdict.INFEASIBLE:
                await service.decline(drill.id, actor=ACTOR, reason="there is nothing to test")
                return None
            return await service.accept(drill.id, offer=None, actor=ACTOR)
        except VppError as error:
            _log.info("no drill", area=part[0], direction=part[1].value, why=str(error))
            return None

    async def _available_kw(self, part: Part, start_s: float) -> float:
        area, direction = part
        day, state = local_day(start_s), self._picture.state()
        found = await asyncio.to_thread(self._acts.declarations.capability, state, area, direction, day)
        return float(found.available_kw[found.grid.index_at(start_s)])

    def _draft(self, part: Part, start_s: float, target_kw: float) -> RequestDraft:
        rules = self._rules
        return drill_draft(part, target_kw=target_kw, start_s=start_s, minutes=rules.minutes, drawn_ratio=rules.share)


def _tested_s(found: Found, requests: Sequence[DispatchRequest]) -> Mapping[Part, float]:
    """Return when each area and direction was last verified, or a drill of it was tried, epoch seconds."""
    tested_s = {part: at_s for part, at_s in found.verified_s.items() if not math.isnan(at_s)}
    for request in requests:
        part = request.draft.area, request.draft.direction
        if request.draft.is_drill:
            tested_s[part] = max(tested_s.get(part, -math.inf), request.created_at.timestamp())
    return tested_s
