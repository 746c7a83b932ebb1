"""Dependencies of routes: the service's two faces, pages, and the dispatcher's day."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, cast

from fastapi import Depends, Query, Request

from vpp.api.schemas.base import FIRST_YEAR, LAST_YEAR
from vpp.domain.errors import InputError
from vpp.domain.timegrid import TimeGrid
from vpp.fleet.calendar import day_grid, local_day
from vpp.fleet.scope import Scope
from vpp.ports import Administration, GridSink


def _service(request: Request) -> GridSink:
    return cast(GridSink, request.app.state.service)


def _administration(request: Request) -> Administration:
    return cast(Administration, request.app.state.administration)


def _scope() -> Scope:
    """Return what the caller may see; everything, as long as nobody has rights of their own."""
    return Scope.everything()


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


def _page(
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items to return.")] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000, description="Items to skip.")] = 0,
) -> PageQuery:
    return PageQuery(limit, offset)


ThePage = Annotated[PageQuery, Depends(_page)]

AreaQuery = Annotated[str, Query(min_length=1, max_length=200, description="city, or the id of an area")]


def _day(
    service: TheService,
    day: Annotated[date | None, Query(alias="date", description="Day in Asia/Shanghai; today if not given.")] = None,
) -> date:
    if day is not None and not FIRST_YEAR <= day.year < LAST_YEAR:
        raise InputError("date", day.isoformat(), f"a day from {FIRST_YEAR} to {LAST_YEAR - 1}")
    return day or local_day(service.clock.now_s())


TheDay = Annotated[date, Depends(_day)]


def grid_of(day: date) -> TimeGrid:
    """Return the 96 quarters of an hour of a day in Asia/Shanghai."""
    return day_grid(day)
