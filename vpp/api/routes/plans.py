"""Declared capability, and the plan in force."""

import asyncio

from fastapi import APIRouter

from vpp.api.deps import AreaQuery, TheDay, TheScope, TheService
from vpp.api.problems import documented
from vpp.api.schemas.plans import CapabilityView, ScheduleView
from vpp.domain.request import CITY, Direction
from vpp.fleet.calendar import day_grid

router = APIRouter(tags=["plans"])


@router.get("/capability", summary="96 points up and down", responses=documented(401, 404, 409, 422))
async def capability(service: TheService, scope: TheScope, day: TheDay, area: AreaQuery = CITY) -> CapabilityView:
    """Return the declaration of an area for one day; a conflict before the first forecast."""
    up = await asyncio.to_thread(service.capability, area, Direction.UP, day, scope=scope)
    down = await asyncio.to_thread(service.capability, area, Direction.DOWN, day, scope=scope)
    return CapabilityView.of(area, day, up, down)


@router.get("/schedule", summary="The plan, 96 points per area and class", responses=documented(401, 404, 409, 422))
async def schedule(service: TheService, scope: TheScope, day: TheDay, area: AreaQuery = CITY) -> ScheduleView:
    """Return the plan in force on one day; a conflict before the first plan."""
    plan, index = service.schedule(scope=scope), service.fleet(scope=scope).index
    return await asyncio.to_thread(ScheduleView.of, plan, index, area=area, grid=day_grid(day), day=day)
