"""Settlement by operator and by site."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from vpp.api.deps import ThePage, TheScope, TheService, measured_delivery
from vpp.api.problems import documented
from vpp.api.schemas.base import Page
from vpp.api.schemas.performance import SettlementView, ShareView, share_views
from vpp.domain.errors import UnknownIdError
from vpp.domain.performance import Settled, Shares
from vpp.domain.timegrid import instant
from vpp.fleet.index import FleetIndex

router = APIRouter(tags=["settlements"])
OperatorId = Annotated[
    str | None, Query(alias="operator", min_length=1, max_length=200, description="Only the parts of this operator.")
]


@router.get("/settlements", summary="Settled requests by operator, newest first", responses=documented(401, 404, 422))
async def settlements(
    service: TheService, scope: TheScope, page: ThePage, operator: OperatorId = None
) -> Page[SettlementView]:
    """Return the part of every operator in every settled request, of one operator only if it is named."""
    found = [replace(one, shares=one.shares.by_operator()) for one in service.settlements(scope=scope)]
    _must_know(operator, service.fleet(scope=scope).index, (one.shares for one in found))
    parts = [(one, place) for one in found for place in _places(one.shares, operator)]
    return page.of(parts, lambda part: _view(*part))


@router.get(
    "/settlements/{request_id}", summary="One settled request by site", responses=documented(401, 404, 410, 422)
)
async def settlement(
    request_id: str, service: TheService, scope: TheScope, page: ThePage, operator: OperatorId = None
) -> Page[SettlementView]:
    """Return the part of every site in a settled request, in the order of the fleet."""
    one = next((s for s in service.settlements(scope=scope) if s.request_id == request_id), None)
    if one is None:
        service.request(request_id, scope=scope)  # one that was forgotten says so
        raise UnknownIdError("settlement", request_id)
    _must_know(operator, service.fleet(scope=scope).index, [one.shares])
    return page.of(_places(one.shares, operator), lambda place: _view(one, place))


@router.get(
    "/requests/{request_id}/performance/sites",
    summary="Measured delivery by site",
    responses=documented(401, 404, 409, 410, 422),
)
async def performance_sites(
    request_id: str, service: TheService, scope: TheScope, page: ThePage, operator: OperatorId = None
) -> Page[ShareView]:
    """Return the part of every site in a request's delivery, provisional while it runs."""
    measured = await measured_delivery(service, request_id, scope)
    _must_know(operator, service.fleet(scope=scope).index, [measured.shares])
    parts = _places(measured.shares, operator)
    return page.filled(share_views(measured.shares.chosen(page.cut(parts))), total=len(parts))


def _view(one: Settled, place: int) -> SettlementView:
    (share,) = share_views(one.shares.chosen([place]))
    return SettlementView(request_id=one.request_id, settled_at=instant(one.at_s), version=one.version, share=share)


def _places(shares: Shares, operator_id: str | None) -> list[int]:
    return [place for place, owner in enumerate(shares.operator_ids) if operator_id in {None, owner}]


def _must_know(operator_id: str | None, index: FleetIndex, shares: Iterable[Shares]) -> None:
    """Raise UnknownIdError for an operator that neither is in sight nor ever had a part in sight."""
    if operator_id is None or any(known.id == operator_id for known in index.operators):
        return
    if not any(operator_id in one.operator_ids for one in shares):
        raise UnknownIdError("operator", operator_id)
