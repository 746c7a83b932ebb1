"""Dependencies of routes: the service's two faces, pages, and the dispatcher's day.

None waits for anything; they are coroutines because the framework calls a plain function in a thread of its pool.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Query, Request

from vpp.api.schemas.base import FIRST_YEAR, LAST_YEAR, Item, Page
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.performance import Performance
from vpp.fleet.calendar import local_day
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.ports import Administration, GridSink

Thing = TypeVar("Thing")


async def _service(request: Request) -> GridSink:
    return cast(GridSink, request.app.state.service)


async def _administration(request: Request) -> Administration:
    return cast(Administration, request.app.state.administration)


async def _scope() -> Scope:
    """Return what the caller may see; everything, as long as nobody has rights of their own."""
    return EVERYTHING


TheService = Annotated[GridSink, Depends(_service)]
"""For callers who ask for flexibility and watch it."""
TheAdministration = Annotated[Administration, Depends(_administration)]
"""For callers who run sites, or the service."""
TheScope = Annotated[Scope, Depends(_scope)]
"""Members, requests and events that the caller may see and change."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Part of a list."""

    limit: int
    offset: int

    def cut(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """Return that part of ``things``."""
        return things[self.offset : self.offset + self.limit]

    def of(self, things: Sequence[Thing], show: Callable[[Thing], Item]) -> Page[Item]:
        """Return that part of ``things`` as it is shown, with the number of all."""
        return self.filled([show(thing) for thing in self.cut(things)], total=len(things))

    def filled(self, items: Sequence[Item], *, total: int) -> Page[Item]:
        """Return a page that holds ``items`` of ``total`` in all."""
        return Page(items=list(items), total=total, limit=self.limit, offset=self.offset)


async def _page(
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items to return.")] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000, description="Items to skip.")] = 0,
) -> PageQuery:
    return PageQuery(limit, offset)


ThePage = Annotated[PageQuery, Depends(_page)]

AreaQuery = Annotated[str, Query(min_length=1, max_length=200, description="city, or the id of an area")]


async def _day(
    service: TheService,
    day: Annotated[date | None, Query(alias="date", description="Day in Asia/Shanghai; today if not given.")] = None,
) -> date:
    if day is not None and not FIRST_YEAR <= day.year < LAST_YEAR:
        raise InputError("date", day.isoformat(), f"a day from {FIRST_YEAR} to {LAST_YEAR - 1}")
    return day or local_day(service.clock.now_s())


TheDay = Annotated[date, Depends(_day)]


async def measured_delivery(service: GridSink, request_id: str, scope: Scope) -> Performance:
    """Return a request's measurement, provisional while it runs; raises ConflictError before it is accepted."""
    # In a thread: metered intervals, and the baseline of an earlier run, are read from the database.
    measured = await asyncio.to_thread(service.performance, request_id, scope=scope)
    if measured is None:
        state = service.request(request_id, scope=scope).state
        raise ConflictError(f"request {request_id} is {state}: there is nothing to measure before it is accepted")
    return measured
