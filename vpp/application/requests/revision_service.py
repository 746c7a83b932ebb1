"""Revisions of committed requests: quoted on the rest of the window, put in force once accepted."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from vpp.application.single_flight import SingleFlight
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.requests.revisions import asks_more
from vpp.domain.errors import ConflictError
from vpp.domain.request import DispatchRequest, Quote, RequestDraft, Revision, Verdict
from vpp.domain.timegrid import floor_s, instant
from vpp.domain.units import SECONDS_PER_MINUTE, STEP_S
from vpp.fleet.fleet_state import FleetState
from vpp.ports import Clock

Quoting = Callable[[RequestDraft, FleetState, str], Quote]
"""Quotes a draft on a snapshot, as if the named request were committed to nothing; called in a thread."""


_LEAST_LEFT = timedelta(seconds=STEP_S)
"""Least part of the window that is quoted, however near its end is."""


class RevisionService:
    """Quotes changes of committed requests and puts them in force.

    Args:
        quote: Answers a draft.
        ramp_minutes: Length of a ramp where a request names none.
        freeze: Lengthens the baseline of a request that ends later, and journals it.
        others_enlisted: Waits until those that overlap a request, by its id, have their rows.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        engine: DispatchEngine,
        state: Callable[[], FleetState],
        quote: Quoting,
        ramp_minutes: float,
        freeze: Callable[[DispatchRequest], Awaitable[None]],
        others_enlisted: Callable[[str], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._state = state
        self._quote = quote
        self._ramp_minutes = ramp_minutes
        self._freeze = freeze
        self._others_enlisted = others_enlisted
        self._under_way: SingleFlight[Revision] = SingleFlight()

    async def revise(
        self, request_id: str, *, target_kw: float | None, end_at: datetime | None, actor: str, key: str | None
    ) -> tuple[Revision, bool]:
        """Return a change and its quote; the flag is false where ``key`` was seen before."""
        known = self._asked(request_id, key, target_kw, end_at)
        if known is not None:
            return known, False

        async def work() -> Revision:
            return await self._answered(request_id, target_kw, end_at, actor=actor, key=key)

        if key is None:
            return await work(), True
        name = f"{request_id} {key} {target_kw} {end_at}"
        waited = name in self._under_way
        return await self._under_way.answer(name, work), not waited

    async def accept(self, request_id: str, number: int, *, actor: str, key: str | None) -> DispatchRequest:
        """Put a change in force."""
        request = self._engine.book.revisions.accept(request_id, number, actor=actor, now=self._clock.now(), key=key)
        await self._freeze(request)
        return self._engine.book.get(request_id)

    def _asked(
        self, request_id: str, key: str | None, target_kw: float | None, end_at: datetime | None
    ) -> Revision | None:
        """Return the revision asked under a key; raises ConflictError where it asked something else."""
        request = self._engine.book.get(request_id)
        known = next((r for r in request.revisions if key is not None and r.key == key), None)
        if known is None:
            return None
        if target_kw not in {None, known.target_kw} or end_at not in {None, known.end_at}:
            raise ConflictError(f"idempotency key {key!r} was used for revision {known.number} with other values")
        return known

    async def _answered(
        self, request_id: str, target_kw: float | None, end_at: datetime | None, *, actor: str, key: str | None
    ) -> Revision:
        book = self._engine.book
        asked = partial(book.revisions.draft, request_id, target_kw=target_kw, end_at=end_at)
        wanted = asked(now=self._clock.now())
        if asks_more(book.get(request_id), wanted.target_kw, wanted.end_at):
            await self._others_enlisted(request_id)
        now = self._clock.now()
        draft = asked(now=now)
        left = rest_of(draft, now, self._ramp_minutes)
        released = self._engine.as_if_free(self._state())
        quote = await asyncio.to_thread(self._quote, left, released, request_id)
        request = book.get(request_id)
        if not asks_more(request, draft.target_kw, draft.end_at):
            quote = replace(quote, verdict=Verdict.FEASIBLE)
        revision = Revision(
            number=len(request.revisions) + 1,
            asked_at=now,
            actor=actor,
            target_kw=draft.target_kw,
            end_at=draft.end_at,
            quote=quote,
            key=key,
        )
        book.revisions.add(request_id, revision)
        return revision


def rest_of(draft: RequestDraft, now: datetime, ramp_minutes: float) -> RequestDraft:
    """Return the rest of a draft that a change can still reach: from after a whole ramp on.

    A quote assumes devices that start from rest; those of a running request have moved already, and until the ramp ends
    the earlier commitment is delivered.
    """
    minutes = ramp_minutes if draft.ramp_minutes is None else draft.ramp_minutes
    # Quotes are by whole steps: the first one quoted begins no earlier than the ramp ends.
    reached_s = -floor_s(-(now.timestamp() + SECONDS_PER_MINUTE * minutes), STEP_S)
    reached_at = max(min(instant(reached_s), draft.end_at - _LEAST_LEFT), now)
    return replace(draft, start_at=max(draft.start_at, reached_at))
