"""Registration of areas, operators, transformers, sites and devices: records, lists or tables, all or nothing."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from vpp.api.auth import UNNAMED, OptionalActor
from vpp.api.deps import TheAdministration, TheScope
from vpp.api.problems import documented
from vpp.api.registration import (
    AREAS,
    OPERATORS,
    RESOURCES,
    SITES,
    TRANSFORMERS,
    Part,
    checked,
    parts_of,
    records_of,
)
from vpp.api.schemas.registration import Registered
from vpp.fleet.scope import Scope
from vpp.ports import Administration

MAX_BYTES = 256 * 2**20
"""Enough for a city of 300,000 devices as JSON."""

router = APIRouter(tags=["registry"])
_ERRORS = documented(401, 409, 413, 422)


def _accepts(schema: str) -> dict[str, Any]:
    one = {"$ref": f"#/components/schemas/{schema}"}
    content = {
        "application/json": {"schema": {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]}},
        "text/csv": {
            "schema": {"type": "string", "description": "First line the field names, then one record a line."}
        },
    }
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/areas",
    status_code=201,
    summary="Add areas",
    responses=_ERRORS,
    openapi_extra=_accepts("AreaBody"),
)
async def add_areas(
    request: Request,
    response: Response,
    administration: TheAdministration,
    scope: TheScope,
    actor: OptionalActor = UNNAMED,
) -> Registered:
    """Add areas that dispatchers can name."""
    return await _add(AREAS, request, response, administration, scope, actor=actor)


@router.post(
    "/operators",
    status_code=201,
    summary="Add operators",
    responses=_ERRORS,
    openapi_extra=_accepts("OperatorBody"),
)
async def add_operators(
    request: Request,
    response: Response,
    administration: TheAdministration,
    scope: TheScope,
    actor: OptionalActor = UNNAMED,
) -> Registered:
    """Add operators of sites."""
    return await _add(OPERATORS, request, response, administration, scope, actor=actor)


@router.post(
    "/transformers",
    status_code=201,
    summary="Add transformers",
    responses=_ERRORS,
    openapi_extra=_accepts("TransformerBody"),
)
async def add_transformers(
    request: Request,
    response: Response,
    administration: TheAdministration,
    scope: TheScope,
    actor: OptionalActor = UNNAMED,
) -> Registered:
    """Add nodes of the feeder tree."""
    return await _add(TRANSFORMERS, request, response, administration, scope, actor=actor)


@router.post(
    "/sites",
    status_code=201,
    summary="Add sites",
    responses=_ERRORS,
    openapi_extra=_accepts("SiteBody"),
)
async def add_sites(
    request: Request,
    response: Response,
    administration: TheAdministration,
    scope: TheScope,
    actor: OptionalActor = UNNAMED,
) -> Registered:
    """Add sites of known operators behind known transformers."""
    return await _add(SITES, request, response, administration, scope, actor=actor)


@router.post(
    "/resources",
    status_code=201,
    summary="Add devices",
    responses=_ERRORS,
    openapi_extra=_accepts("ResourceBody"),
)
async def add_resources(
    request: Request,
    response: Response,
    administration: TheAdministration,
    scope: TheScope,
    actor: OptionalActor = UNNAMED,
) -> Registered:
    """Add devices at known sites; each gets a capability card."""
    return await _add(RESOURCES, request, response, administration, scope, actor=actor)


@router.post(
    "/fleet",
    status_code=201,
    summary="Add any number of everything",
    responses=_ERRORS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FleetBody"}}},
        }
    },
)
async def add_fleet(
    request: Request,
    response: Response,
    administration: TheAdministration,
    scope: TheScope,
    actor: OptionalActor = UNNAMED,
) -> Registered:
    """Add areas, operators, transformers, sites and resources in one go."""
    body = await request.body()
    things = await asyncio.to_thread(lambda: checked(parts_of(body), administration.fleet(scope=scope).index))
    await administration.connect(**things, actor=actor, scope=scope)
    response.headers["Location"] = "/api/v1/fleet"
    return Registered(**{name: len(members) for name, members in things.items()})


async def _add(
    part: Part, request: Request, response: Response, administration: Administration, scope: Scope, *, actor: str
) -> Registered:
    body = await request.body()
    content_type = request.headers.get("content-type", "")
    things = await asyncio.to_thread(
        lambda: checked({part.name: records_of(body, content_type, part)}, administration.fleet(scope=scope).index)[
            part.name
        ]
    )
    await administration.connect(**{part.name: things}, actor=actor, scope=scope)
    single = part is RESOURCES and len(things) == 1
    response.headers["Location"] = f"/api/v1/{part.name}/{things[0].id}" if single else f"/api/v1/{part.name}"
    return Registered(**{part.name: len(things)})
