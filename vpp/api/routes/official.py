"""Official results of settlements over HTTP: taken, and compared with ours."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from vpp.api.deps import ThePage, TheScope, TheService
from vpp.api.problems import documented
from vpp.api.schemas.official import OfficialBody, ReconciliationView
from vpp.domain.errors import InputError

router = APIRouter(tags=["settlements"])
MAX_BYTES = 32 * 2**20
Version = Annotated[int | None, Query(ge=1, le=1_000_000, description="Number of the version; the last if not given.")]


@router.post(
    "/settlements/{request_id}/official",
    summary="Import the official result of a settled request",
    status_code=status.HTTP_201_CREATED,
    responses={
        200: {"description": "This result was the last one already."},
        **documented(401, 404, 409, 410, 413, 422, 503),
    },
)
async def take_official(
    request_id: str, body: OfficialBody, *, service: TheService, scope: TheScope, page: ThePage, response: Response
) -> ReconciliationView:
    """Record the market operator's result, a version of its own, and return it line by line against ours.

    The same result again changes nothing and answers 200.
    """
    try:
        lines = await asyncio.to_thread(body.stated)
    except ValueError as error:
        raise InputError("csv", "", str(error)) from error
    _, new = await service.take_official(request_id, source=body.source, lines=lines, scope=scope)
    if not new:
        response.status_code = status.HTTP_200_OK
    found = await asyncio.to_thread(service.official, request_id, None, scope=scope)
    return ReconciliationView.of(found, list(page.cut(found.lines)))


@router.get(
    "/settlements/{request_id}/official",
    summary="The official result line by line against ours",
    responses=documented(401, 404, 410, 422),
)
async def official(
    request_id: str, service: TheService, scope: TheScope, page: ThePage, version: Version = None
) -> ReconciliationView:
    """Return a version of the official result, the last one unless it is named, and where it differs from ours."""
    found = await asyncio.to_thread(service.official, request_id, version, scope=scope)
    return ReconciliationView.of(found, list(page.cut(found.lines)))
