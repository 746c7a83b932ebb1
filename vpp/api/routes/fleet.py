"""Live state of the fleet, paged and filtered."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from vpp.api.deps import ThePage, TheScope, TheService
from vpp.api.problems import documented
from vpp.api.schemas.base import Page
from vpp.api.schemas.device_schedule import DeviceScheduleView
from vpp.api.schemas.fleet import (
    AreaView,
    FleetView,
    OperatorView,
    ResourceDetail,
    ResourceView,
    SiteView,
    TransformerView,
    area_views,
    fleet_view,
    operator_view,
    resource_detail,
    resource_view,
    site_view,
    transformer_views,
)
from vpp.domain.errors import UnknownIdError
from vpp.domain.request import CITY
from vpp.domain.resource import Adapter, ResourceClass
from vpp.domain.telemetry import BoolArray, Quality
from vpp.domain.trouble import Trouble
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import ADAPTERS, CLASSES

router = APIRouter(tags=["fleet"])

Text = Annotated[str | None, Query(min_length=1, max_length=200)]
QualityName = Annotated[str | None, Query(pattern="^(good|stale|substituted|bad)$")]
Duration = Annotated[int, Query(ge=60, le=172_800, description="Length of the schedule that is asked for, in s.")]
TroubleName = Annotated[str | None, Query(pattern=f"^({'|'.join(trouble.name.lower() for trouble in Trouble)})$")]


@router.get("/fleet", summary="The fleet in a few numbers", responses=documented(401))
async def fleet(service: TheService, scope: TheScope) -> FleetView:
    """Return the latest snapshot, summed."""
    return fleet_view(service.fleet(scope=scope), service.troubles(scope=scope))


@router.get("/areas", summary="Areas now", responses=documented(401, 422))
async def areas(service: TheService, scope: TheScope, page: ThePage) -> Page[AreaView]:
    """Return the areas a dispatcher can name."""
    views = area_views(service.fleet(scope=scope))
    return page.filled(page.cut(views), total=len(views))


@router.get("/operators", summary="Operators", responses=documented(401, 422))
async def operators(service: TheService, scope: TheScope, page: ThePage) -> Page[OperatorView]:
    """Return the operators of sites."""
    known = [operator for operator in service.fleet(scope=scope).index.operators if not operator.retired]
    return page.of(known, operator_view)


@router.get("/sites", summary="Sites", responses=documented(401, 404, 422))
async def sites(
    service: TheService, scope: TheScope, page: ThePage, area: Text = None, operator: Text = None
) -> Page[SiteView]:
    """Return sites, of one area or operator only if named."""
    index = service.fleet(scope=scope).index
    _must_know("area", area, [a.id for a in index.areas])
    _must_know("operator", operator, [o.id for o in index.operators])
    found = [
        site
        for site in index.sites
        if not site.retired and area in {None, CITY, site.area_id} and operator in {None, site.operator_id}
    ]
    return page.of(found, site_view)


@router.get("/transformers", summary="Transformers and their load now", responses=documented(401, 404, 422))
async def transformers(service: TheService, scope: TheScope, page: ThePage, area: Text = None) -> Page[TransformerView]:
    """Return transformers, of one area only if it is named."""
    state = service.fleet(scope=scope)
    _must_know("area", area, [a.id for a in state.index.areas])
    found = [view for view in transformer_views(state) if area in {None, CITY, view.area_id}]
    return page.filled(page.cut(found), total=len(found))


@router.get("/resources", summary="Devices now", responses=documented(401, 404, 422))
async def resources(
    *,
    service: TheService,
    scope: TheScope,
    page: ThePage,
    area: Text = None,
    operator: Text = None,
    resource_class: Annotated[ResourceClass | None, Query(alias="class")] = None,
    adapter: Annotated[Adapter | None, Query()] = None,
    quality: QualityName = None,
    connected: Annotated[bool | None, Query()] = None,
    trouble: TroubleName = None,
    in_service: Annotated[bool | None, Query(description="false for retired devices; those in service else.")] = True,
) -> Page[ResourceView]:
    """Return devices that match every filter given, in the order they were registered."""
    state = service.fleet(scope=scope)
    chosen = state.index.in_area(area or CITY) & (state.index.in_service == (in_service is not False))
    for wanted in (
        None if operator is None else _of_operator(state, operator),
        None if resource_class is None else state.index.class_code == CLASSES.index(resource_class),
        None if adapter is None else state.index.adapter_code == ADAPTERS.index(adapter),
        None if quality is None else state.quality == Quality[quality.upper()],
        None if connected is None else state.connected == connected,
        None if trouble is None else _fitted(service.rows_with(Trouble[trouble.upper()], scope=scope), len(state)),
    ):
        if wanted is not None:
            chosen = chosen & wanted
    return page.of(np.flatnonzero(chosen).tolist(), lambda row: resource_view(state, row))


@router.get(
    "/resources/{resource_id:path}/device-schedule",
    summary="The schedule a device says it holds",
    responses=documented(401, 404, 409, 422, 503),
)
async def device_schedule(
    resource_id: str, service: TheService, scope: TheScope, duration_s: Duration = 86_400
) -> DeviceScheduleView:
    """Ask a device which limits or setpoints it holds from now on; 503 while it is not connected or does not answer.

    409 where the device says that it cannot tell, or its protocol has no such question.
    """
    schedule = await service.device_schedule(resource_id, duration_s, scope=scope)
    return DeviceScheduleView.of(resource_id, schedule)


@router.get(
    "/resources/{resource_id:path}",
    summary="One device with its capability card",
    responses=documented(401, 404, 422),
)
async def resource(resource_id: str, service: TheService, scope: TheScope) -> ResourceDetail:
    """Return a device now, its nameplate and what is known of its abilities."""
    state = service.fleet(scope=scope)
    row = _row_of(state, resource_id)
    card, health = service.card(resource_id, scope=scope), service.health(resource_id, scope=scope)
    return resource_detail(state, row, card, health)


def _row_of(state: FleetState, resource_id: str) -> int:
    row = state.index.row_of.get(resource_id)
    if row is None or row >= len(state):
        raise UnknownIdError("resource", resource_id)
    return row


def _fitted(flags: BoolArray, count: int) -> BoolArray:
    """Return flags of ``count`` rows, unset for those that have just joined."""
    return np.append(flags[:count], np.zeros(max(count - len(flags), 0), dtype=np.bool_))


def _of_operator(state: FleetState, operator_id: str) -> BoolArray:
    ids = [operator.id for operator in state.index.operators]
    _must_know("operator", operator_id, ids)
    return np.asarray(state.index.operator_code == ids.index(operator_id))


def _must_know(kind: str, identity: str | None, known: Sequence[str]) -> None:
    if identity is not None and identity not in known and not (kind == "area" and identity == CITY):
        raise UnknownIdError(kind, identity)
