"""Standing commitments over HTTP: entered, listed, ended."""

from fastapi import APIRouter, Response

from vpp.api.deps import ThePage, TheScope, TheService
from vpp.api.problems import documented
from vpp.api.routes.requests import TheAct
from vpp.api.schemas.base import Page
from vpp.api.schemas.standing.commitments import StandingBody, StandingView
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.request import CITY

router = APIRouter(tags=["standing commitments"])


@router.post(
    "/standing-commitments",
    status_code=201,
    summary="Keep power available in stated hours, for a price",
    responses={
        200: {"model": StandingView, "description": "This key was used before"},
        **documented(401, 409, 422, 503),
    },
)
async def enter(body: StandingBody, service: TheService, act: TheAct, response: Response) -> StandingView:
    """Enter a standing commitment; every plan from the next one on weighs it against the price of energy."""
    scope = act["scope"]
    try:
        commitment, created = await service.enter_standing(body.terms(), **act)
    except UnknownIdError as error:
        areas = (CITY, *(area.id for area in service.fleet(scope=scope).index.areas))
        known = ", ".join(area for area in areas if scope.covers(area))
        raise InputError("area", body.area, f"one of {known}") from error
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/api/v1/standing-commitments/{commitment.id}"
    return StandingView.of(commitment)


@router.get("/standing-commitments", summary="List standing commitments", responses=documented(401, 422))
async def listed(service: TheService, scope: TheScope, page: ThePage) -> Page[StandingView]:
    """Return the commitments of the settings, then those that were entered, oldest first."""
    return page.of(service.standing_commitments(scope=scope), StandingView.of)


@router.get(
    "/standing-commitments/{commitment_id}", summary="One standing commitment", responses=documented(401, 404, 422)
)
async def one(commitment_id: str, service: TheService, scope: TheScope) -> StandingView:
    """Return a standing commitment."""
    return StandingView.of(service.standing_commitment(commitment_id, scope=scope))


@router.delete(
    "/standing-commitments/{commitment_id}",
    summary="End a standing commitment now",
    responses=documented(401, 404, 409, 422, 503),
)
async def end(commitment_id: str, service: TheService, act: TheAct) -> StandingView:
    """End a commitment; what was available until now stays paid. Ending again changes nothing."""
    ended = await service.end_standing(commitment_id, actor=act["actor"], scope=act["scope"])
    return StandingView.of(ended)
