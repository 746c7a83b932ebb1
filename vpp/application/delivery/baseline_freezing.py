"""Baselines frozen at acceptance, and lengthened for requests that end later."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from vpp.application.cycle_record import baseline_body
from vpp.application.delivery.measurement import Measurement
from vpp.application.operating_picture import OperatingPicture
from vpp.application.single_flight import SingleFlight
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import COMMITTED
from vpp.domain.errors import ConflictError
from vpp.domain.performance import Baseline
from vpp.domain.request import DispatchRequest
from vpp.domain.telemetry import BoolArray
from vpp.ports import Journal
from vpp.settlement.revised_course import lengthened

BASELINE = "baseline.issued"
_LONGEST_WAIT_S = 900.0
"""Longest wait for devices that do not come back after a restart, before rows are divided without them."""

Spared = Callable[[DispatchRequest], Awaitable[Mapping[str, BoolArray]]]
"""Returns the rows that overlapping requests can spare for one, by their ids, shape ``(n_resources,)`` each."""


class BaselineFreezing:
    """Freezes the baseline of each accepted request once, however many callers wait for it, and journals it.

    Args:
        book: All requests.
        journal: Records every baseline.
        picture: The fleet as it is known.
        measurement: Computes and keeps them.
        spared: Says what overlapping requests can spare.
        are_back: Says whether the devices of overlapping requests are back after a restart.
    """

    def __init__(
        self,
        *,
        book: RequestBook,
        journal: Journal,
        picture: OperatingPicture,
        measurement: Measurement,
        spared: Spared,
        are_back: Callable[[DispatchRequest], bool],
    ) -> None:
        self._book = book
        self._journal = journal
        self._picture = picture
        self._measurement = measurement
        self._spared = spared
        self._are_back = are_back
        self._waiting_s: dict[str, float] = {}
        # One after the other: what one request enlists is no longer there for the next.
        self._enlisting = asyncio.Lock()
        self._freezing: SingleFlight[None] = SingleFlight()

    def under_way(self, request_id: str) -> bool:
        """Return whether a first baseline is being computed."""
        return request_id in self._freezing

    async def freeze(self, request: DispatchRequest, *, late: bool = False) -> None:
        """Freeze the baseline of an accepted request; ``late`` where acceptance was long before this snapshot."""
        await self._freezing.answer(request.id, partial(self._freeze, request, late=late))

    def is_ripe(self, request: DispatchRequest) -> bool:
        """Return whether rows can be divided late: devices of those that overlap are back, or were waited for."""
        now_s = self._picture.clock.now_s()
        waited_s = now_s - self._waiting_s.setdefault(request.id, now_s)
        ripe = waited_s >= _LONGEST_WAIT_S or self._are_back(request)
        if ripe:
            del self._waiting_s[request.id]
        return ripe

    async def others_enlisted(self, request_id: str) -> None:
        """Wait until every request that overlaps one has its rows: until then some of this one's may be about to go.

        Raises:
            ConflictError: One of them is still to be enlisted, and nobody is at it.
        """
        while missing := [
            one for one in self._book.overlapping(request_id) if not self._measurement.has_baseline(one.id)
        ]:
            if not self.under_way(missing[0].id):
                raise ConflictError(f"request {missing[0].id} is still to be given its devices; ask again in a minute")
            await self.freeze(missing[0])

    async def lengthen(self, request: DispatchRequest) -> None:
        """Extend the baseline of a request that ends later; the part frozen before stays as it is."""
        known = self._measurement.baselines.get(request.id)
        if known is None or known.grid.end_s >= self._book.timetable(request.id).watched_s:
            return
        await self._freezing.answer(f"{request.id} {request.version}", partial(self._lengthen, request))

    async def _freeze(self, request: DispatchRequest, *, late: bool) -> None:
        async with self._enlisting:
            await self._hand_over(request)
            self._keep(request, await self._computed(request, late=late))

    async def _lengthen(self, request: DispatchRequest) -> None:
        async with self._enlisting:
            further = await self._computed(request, late=True)
            # As it is now: rows may have been handed over while the turn was another request's.
            self._keep(request, lengthened(self._measurement.baselines[request.id], further))

    async def _computed(self, request: DispatchRequest, *, late: bool) -> Baseline:
        picture = self._picture
        return await asyncio.to_thread(
            self._measurement.baseline, request, picture.state(), picture.schedule, late=late
        )

    def _keep(self, request: DispatchRequest, baseline: Baseline) -> None:
        self._measurement.keep(request, baseline)
        self._record(request, baseline)

    async def _hand_over(self, request: DispatchRequest) -> None:
        """Take what overlapping requests can spare out of their portfolios, so that this one may enlist it."""
        spared = await self._spared(request)
        if self._book.get(request.id).state not in COMMITTED:
            return  # it was stopped meanwhile
        for other_id, rows in spared.items():
            if rows.any() and other_id in self._measurement.baselines:
                other = self._book.get(other_id)
                self._record(other, self._measurement.hand_over(other, rows))

    def _record(self, request: DispatchRequest, baseline: Baseline) -> None:
        body = baseline_body(request.id, baseline)
        self._measurement.noted(request.id, self._journal.append(BASELINE, self._picture.clock.now_s(), body))
