"""Availability of standing commitments over HTTP: settled days, by operator and by site."""

import asyncio
from datetime import date

from fastapi import APIRouter

from vpp.api.deps import ThePage, TheScope, TheService
from vpp.api.problems import documented
from vpp.api.schemas.base import Page
from vpp.api.schemas.standing.availability import AvailabilityShare, AvailabilityView, availability_shares
from vpp.domain.errors import UnknownIdError

router = APIRouter(tags=["standing commitments"])


@router.get(
    "/standing-commitments/{commitment_id}/availability",
    summary="What a standing commitment kept available, by day and operator",
    responses=documented(401, 404, 422),
)
async def days(commitment_id: str, service: TheService, scope: TheScope, page: ThePage) -> Page[AvailabilityView]:
    """Return the settled days, newest first; today is provisional."""
    found = await asyncio.to_thread(service.standing_availability, commitment_id, scope=scope)
    return page.of(found, AvailabilityView.of)


@router.get(
    "/standing-commitments/{commitment_id}/availability/{day}",
    summary="One day of a standing commitment by site",
    responses=documented(401, 404, 422),
)
async def sites(
    commitment_id: str, day: date, service: TheService, scope: TheScope, page: ThePage
) -> Page[AvailabilityShare]:
    """Return the part of every site in a day, in the order of the fleet."""
    found = await asyncio.to_thread(service.standing_availability, commitment_id, scope=scope)
    one = next((one for one in found if one.day == day), None)
    if one is None:
        raise UnknownIdError("availability", f"{commitment_id} on {day}")
    parts = page.cut(range(len(one.shares)))
    return page.filled(availability_shares(one.shares.chosen(parts)), total=len(one.shares))
