"""Acts on requests: submitted and quoted, accepted, revised, declined, superseded, cancelled."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from vpp.application.delivery.baseline_freezing import BaselineFreezing
from vpp.application.delivery.measurement import Measurement
from vpp.application.operating_picture import OperatingPicture
from vpp.application.requests.announcements import Announcements
from vpp.application.requests.area_sharing import AreaSharing
from vpp.application.requests.commitment_gate import CommitmentGate
from vpp.application.requests.quoting import Quoter
from vpp.application.requests.revision_service import RevisionService
from vpp.application.single_flight import SingleFlight
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.errors import ConflictError, VppError
from vpp.domain.request import DispatchRequest, Quote, RequestDraft, RequestState, Revision
from vpp.domain.schedule import Schedule
from vpp.fleet.fleet_state import FleetState
from vpp.ports import Journal


class RequestService:
    """Carries out what dispatchers ask; see `vpp.ports.RequestHandling` for what each act means.

    Args:
        engine: Holds the book of requests.
        picture: The fleet as it is known.
        journal: Makes every act durable before it is answered.
        gate: Keeps new commitments back while they could be forgotten, or the record is not trusted.
        measurement: Holds the frozen baselines.
        quoter: Quotes drafts.
        sharing: Quotes those that overlap others.
        freezing: Freezes the baseline of an accepted request.
        announcements: Publishes transitions.
        changed: Called when commitments change, so that the fleet is planned for them.
    """

    def __init__(
        self,
        *,
        engine: DispatchEngine,
        picture: OperatingPicture,
        journal: Journal,
        gate: CommitmentGate,
        measurement: Measurement,
        quoter: Quoter,
        sharing: AreaSharing,
        freezing: BaselineFreezing,
        announcements: Announcements,
        changed: Callable[[], None],
    ) -> None:
        self._book = engine.book
        self._picture = picture
        self._clock = picture.clock
        self._journal = journal
        self._gate = gate
        self._measurement = measurement
        self._quoter = quoter
        self._sharing = sharing
        self._freezing = freezing
        self._announcements = announcements
        self._changed = changed
        self._quoting: SingleFlight[DispatchRequest] = SingleFlight()
        self._revisions = RevisionService(
            clock=picture.clock,
            engine=engine,
            state=picture.state,
            quote=self._quote_besides,
            ramp_minutes=engine.settings.requests.phases.ramp_minutes,
            freeze=freezing.lengthen,
            others_enlisted=freezing.others_enlisted,
        )

    def all(self) -> Sequence[DispatchRequest]:
        """Return every request, newest first."""
        return self._book.all()

    def get(self, request_id: str) -> DispatchRequest:
        """Return one request; raises UnknownIdError."""
        return self._book.get(request_id)

    async def submit(self, draft: RequestDraft, *, key: str | None, actor: str) -> tuple[DispatchRequest, bool]:
        """Record a request and quote it; the flag is false if ``key`` was seen before."""
        now, state = self._clock.now(), self._picture.state()
        areas = {area.id for area in state.index.areas}
        if not self._asked_before(key):
            # What makes no sense is refused by name, whether or not anything could be quoted just now.
            self._book.check(draft, now=now, known_areas=areas)
            check_quotable(state, self._picture.schedule)
        request, created = self._book.submit(draft, key=key, actor=actor, now=now, known_areas=areas)
        # Callers with the same key meanwhile get the same quote; one that a crash cut short is made now.
        if request.state is RequestState.SUBMITTED:
            request = await self._quoting.answer(request.id, partial(self._quote, request.id, draft))
        if request.state is RequestState.FAILED and request.quote is None:
            raise ConflictError(f"request {request.id} could not be quoted: {request.history[-1].reason}")
        return request, created

    async def accept(
        self, request_id: str, *, offer: int | None, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Commit, and freeze the baseline that delivery is measured against; not while a crash would forget it."""
        await self._gate.require()
        request = self._book.accept(request_id, offer=offer, actor=actor, now=self._clock.now(), key=key)
        await self._yield_to(request)
        if not self._measurement.has_baseline(request_id):
            await self._freezing.freeze(request)
        await self._announcements.announce(request)
        await self._gate.made()
        self._changed()
        return self._book.get(request_id)

    async def cancel(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Stop safely."""
        request = self._book.cancel(request_id, actor=actor, reason=reason, now=self._clock.now(), key=key)
        await self._announcements.announce(request)
        self._changed()
        return request

    async def decline(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """Turn a quote down."""
        request = self._book.decline(request_id, actor=actor, reason=reason, now=self._clock.now(), key=key)
        await self._announcements.announce(request)
        return request

    async def supersede(self, request_id: str, *, actor: str, reason: str, key: str | None = None) -> DispatchRequest:
        """End a committed request in favour of a higher authority, through the release."""
        request = self._book.supersede(request_id, actor=actor, reason=reason, now=self._clock.now(), key=key)
        await self._announcements.announce(request)
        self._changed()
        return request

    async def revise(
        self, request_id: str, *, target_kw: float | None, end_at: datetime | None, actor: str, key: str | None
    ) -> tuple[Revision, bool]:
        """Quote a change of a committed request."""
        await self._gate.require()
        revision, created = await self._revisions.revise(
            request_id, target_kw=target_kw, end_at=end_at, actor=actor, key=key
        )
        await self._journal.flush()
        return revision, created

    async def accept_revision(
        self, request_id: str, number: int, *, actor: str, key: str | None = None
    ) -> DispatchRequest:
        """Put a change in force; the fleet is planned for it."""
        await self._gate.require()
        request = await self._revisions.accept(request_id, number, actor=actor, key=key)
        await self._yield_to(request)
        await self._announcements.announce(request)
        await self._gate.made()
        self._changed()
        return request

    async def _quote(self, request_id: str, draft: RequestDraft) -> DispatchRequest:
        """Quote a submitted request; one that cannot be quoted has failed."""
        state, schedule = self._picture.state(), self._picture.schedule
        check_quotable(state, schedule)
        others = self._book.overlapping(request_id)
        try:
            if others:
                quote = await self._sharing.quote(self._book.get(request_id), others)
            else:
                quote = await asyncio.to_thread(self._quoter.quote, request_id, draft, state, schedule)
        except VppError as error:
            failed = self._book.fail(request_id, reason=str(error), now=self._clock.now())
            await self._announcements.announce(failed)
            raise
        request = self._book.quoted(request_id, quote, self._clock.now(), counted=[other.id for other in others])
        await self._announcements.announce(request)
        return request

    async def _yield_to(self, request: DispatchRequest) -> None:
        """End the drills that a committed call overlaps; they release in stages, so that what they hold goes on."""
        for drill in self._book.yield_to(request.id, now=self._clock.now()):
            await self._announcements.announce(drill)

    def _quote_besides(self, draft: RequestDraft, state: FleetState, request_id: str) -> Quote:
        """Quote a draft as if the request it changes were committed to nothing."""
        check_quotable(state, self._picture.schedule)
        return self._sharing.revised(draft, state, request_id)

    def _asked_before(self, key: str | None) -> bool:
        return key is not None and any(request.idempotency_key == key for request in self._book.all())


def check_quotable(state: FleetState, schedule: Schedule | None) -> None:
    """Raise ConflictError while nothing can be quoted: before the first devices, and before the first plan."""
    if not len(state):
        raise ConflictError("nothing is connected yet, so nothing can be quoted")
    if schedule is None:
        raise ConflictError(
            "there is no plan yet, so nothing can be quoted; the first follows the first connected devices"
        )
