"""Declared capability, the plan in force, and how quotes were kept."""

import asyncio

from fastapi import APIRouter

from vpp.api.deps import AreaQuery, TheDay, TheScope, TheService
from vpp.api.problems import documented
from vpp.api.schemas.plans import CalibrationView, CapabilityView, ScheduleView
from vpp.domain.request import CITY, Direction
from vpp.fleet.calendar import day_grid

router = APIRouter(tags=["plans"])


@router.get("/capability", summary="96 points up and down", responses=documented(401, 404, 409, 422))
async def capability(service: TheService, scope: TheScope, day: TheDay, area: AreaQuery = CITY) -> CapabilityView:
    """Return the declaration of an area for one day; a conflict before the first forecast."""
    up = await asyncio.to_thread(service.capability, area, Direction.UP, day, scope=scope)
    down = await asyncio.to_thread(service.capability, area, Direction.DOWN, day, scope=scope)
    return CapabilityView.of(area, day, up, down)


@router.get("/quotes/calibration", summary="How quotes were kept so far", responses=documented(401, 422))
async def calibration(service: TheService, scope: TheScope) -> CalibrationView:
    """Return the windows quoted for nobody and the finished requests, and how many were deliverable as quoted."""
    return CalibrationView.of(service.quote_calibration(scope=scope))


@router.get("/schedule", summary="The plan, 96 points per area and class", responses=documented(401, 404, 409, 422))
async def schedule(service: TheService, scope: TheScope, day: TheDay, area: AreaQuery = CITY) -> ScheduleView:
    """Return the plan in force on one day; a conflict before the first plan."""
    plan, index = service.schedule(scope=scope), service.fleet(scope=scope).index
    return await asyncio.to_thread(ScheduleView.of, plan, index, area=area, grid=day_grid(day), day=day)
