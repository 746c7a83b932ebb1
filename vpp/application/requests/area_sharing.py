"""Sharing of an area among requests that overlap: each row serves one of them.

The request committed first keeps every row it has moved. Of the others it keeps as large a part as it needs to hold its
promise with nine chances in ten; what it can spare serves the newcomer. So what is quoted, dispatched and settled for
each of them are rows of its own, and a kWh is paid once (docs/adr/0046).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vpp.application.delivery.measurement import Measurement
from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.quoting import Quoter
from vpp.application.requests.revision_service import rest_of
from vpp.application.requests.row_division import even_part
from vpp.application.row_alignment import fitted_flags
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.errors import VppError
from vpp.domain.request import DispatchRequest, Quote, RequestDraft
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import BoolArray
from vpp.domain.timegrid import instant
from vpp.fleet.fleet_state import FleetState
from vpp.planning.flexibility.flexibility_inputs import usable_rows
from vpp.state.eligibility import part_rows

_TRIALS = 4
_LEAST_STEP = 0.05
_OVER_RATIO = 1.5
"""By how much more than what lacked a part that was too small is enlarged."""
_BACK_RATIO = 0.9
"""Least share of a request's devices that are metered before others are given any of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """Fleet on which rows are divided; ``free`` is the snapshot with every commanded row as if it were free."""

    state: FleetState
    free: FleetState
    schedule: Schedule | None


class AreaSharing:
    """Divides rows among overlapping requests; nothing is changed here.

    Args:
        engine: Holds requests, and the commands of every row.
        picture: The fleet as it is known.
        measurement: Holds the enlisted rows.
        quoter: Says what rows can deliver.
    """

    def __init__(
        self, *, engine: DispatchEngine, picture: OperatingPicture, measurement: Measurement, quoter: Quoter
    ) -> None:
        self._engine, self._picture, self._measurement, self._quoter = engine, picture, measurement, quoter

    async def spared(self, request: DispatchRequest) -> Mapping[str, BoolArray]:
        """Return the rows that overlapping requests can spare for a request, by their ids; empty without any.

        Arrays of shape ``(n_resources,)``.
        """
        others = self._engine.book.overlapping(request.id)
        if not others:
            return {}
        spared = await asyncio.to_thread(self._spared, request, others, self._scene())
        # A request that ramps has gone on moving rows while they were divided.
        return {other.id: spared[other.id] & ~self._moved(other, len(spared[other.id])) for other in others}

    def are_back(self, request: DispatchRequest) -> bool:
        """Return whether nearly all devices of the requests that overlap one are metered, so that they can be divided.

        After a restart they come back one by one; until then nobody can tell what those requests need.
        """
        there = usable_rows(self._picture.state())
        held = [self._measurement.portfolios.get(other.id) for other in self._engine.book.overlapping(request.id)]
        return all(
            int((fitted_flags(rows, len(there)) & there).sum()) >= _BACK_RATIO * int(rows.sum())
            for rows in held
            if rows is not None
        )

    async def quote(self, request: DispatchRequest, others: Sequence[DispatchRequest]) -> Quote:
        """Return the quote of a request on the rows that ``others``, which overlap it, leave.

        Never more than all of them together can deliver beyond what is promised to the others: they may share the
        headroom of a transformer.
        """
        return await asyncio.to_thread(self._quote, request, others, self._scene())

    def revised(self, draft: RequestDraft, free: FleetState, request_id: str) -> Quote:
        """Return the quote of a change of a committed request on its own rows; blocks.

        As for a new one, never more than everybody can deliver beyond what is promised to others.

        Args:
            draft: The rest of the request as changed.
            free: The snapshot with every commanded row as if it were free.
            request_id: The request.
        """
        scene = _Scene(state=free, free=free, schedule=self._picture.schedule)
        own = self._quoter.quote(request_id, draft, free, scene.schedule, besides=True)
        shared = self._engine.book.overlapping(request_id)
        return min(own, self._joint(request_id, draft, scene), key=_certain_kw) if shared else own

    def _scene(self) -> _Scene:
        state = self._picture.state()
        return _Scene(state=state, free=self._engine.as_if_free(state), schedule=self._picture.schedule)

    def _spared(
        self, request: DispatchRequest, others: Sequence[DispatchRequest], scene: _Scene
    ) -> dict[str, BoolArray]:
        return {other.id: self._enlisted(other, scene) & ~self._kept(request, other, scene) for other in others}

    def _quote(self, request: DispatchRequest, others: Sequence[DispatchRequest], scene: _Scene) -> Quote:
        kept = {other.id: self._kept(request, other, scene) for other in others}
        without = np.logical_or.reduce(list(kept.values()))
        mine, draft = ~without, request.draft
        own = self._quoter.quote(request.id, draft, scene.state, scene.schedule, besides=True, among=mine)
        lesser = min(own, self._joint(request.id, draft, scene), key=_certain_kw)
        index, part = scene.state.index, part_rows(draft, scene.state.index)
        shares = (
            f"shares {draft.area} with request {other.id}, which keeps {int((kept[other.id] & part).sum())} of the "
            f"{int((self._enlisted(other, scene) & part).sum())} devices it has there, of {len(index)} in all"
            for other in others
        )
        return replace(lesser, notices=(*lesser.notices, *shares))

    def _joint(self, request_id: str, draft: RequestDraft, scene: _Scene) -> Quote:
        """Return what all rows together can deliver beyond what is promised to others."""
        everybody = np.ones(len(scene.state), dtype=np.bool_)
        return self._quoter.quote(request_id, draft, scene.free, scene.schedule, among=everybody)

    def _enlisted(self, other: DispatchRequest, scene: _Scene) -> BoolArray:
        known = self._measurement.portfolios.get(other.id)
        return part_rows(other.draft, scene.state.index) if known is None else fitted_flags(known, len(scene.state))

    def _kept(self, request: DispatchRequest, other: DispatchRequest, scene: _Scene) -> BoolArray:
        """Return the rows that a committed request keeps from another, shape ``(n_resources,)``."""
        enlisted, times = self._enlisted(other, scene), self._engine.book.timetable(other.id)
        open_ = enlisted & part_rows(request.draft, scene.state.index) & ~self._moved(other, len(scene.state))
        fixed, now_s = enlisted & ~open_, scene.state.at_s
        due_kw = max((kw for at_s, kw in times.corners() if at_s >= now_s), default=0.0)
        if not open_.any() or now_s >= times.end_s:
            return fixed
        most_kw, least_kw = (self._certain_kw(other, rows, scene) for rows in (enlisted, fixed))
        if most_kw < due_kw or most_kw <= least_kw:
            return enlisted
        ratio = (due_kw - least_kw) / (most_kw - least_kw)
        for _ in range(_TRIALS):
            if ratio >= 1.0:
                break
            kept = fixed | even_part(open_, max(ratio, 0.0), scene.state)
            lacking_kw = due_kw - self._certain_kw(other, kept, scene)
            if lacking_kw <= 0.0:
                return kept
            ratio += max(_OVER_RATIO * lacking_kw / (most_kw - least_kw), _LEAST_STEP)
        return enlisted

    def _moved(self, other: DispatchRequest, count: int) -> BoolArray:
        """Return the rows that may have been commanded since a request's ramp began, shape ``(count,)``."""
        ramp_s = self._engine.book.timetable(other.id).ramp_s
        return fitted_flags(self._engine.in_force.dispatched_since(ramp_s), count)

    def _certain_kw(self, other: DispatchRequest, rows: BoolArray, scene: _Scene) -> float:
        """Return what some rows deliver with nine chances in ten in the rest of a request, 0 where nobody can tell."""
        if not rows.any():
            return 0.0
        left = rest_of(other.draft, instant(scene.state.at_s), self._engine.settings.requests.phases.ramp_minutes)
        try:
            quote = self._quoter.quote(other.id, left, scene.free, scene.schedule, besides=True, among=rows)
        except VppError:
            return 0.0
        return _certain_kw(quote)


def _certain_kw(quote: Quote) -> float:
    """Return the least power of a quote with nine chances in ten, 0 for no interval."""
    return min(quote.deliverable_p10_kw, default=0.0)
