"""Registration of areas, operators, transformers, sites and devices: records, lists or tables, all or nothing."""

import asyncio
from collections.abc import Awaitable, Callable
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


_KINDS = (
    (AREAS, "Add areas", "Add areas that dispatchers can name."),
    (OPERATORS, "Add operators", "Add operators of sites."),
    (TRANSFORMERS, "Add transformers", "Add nodes of the feeder tree."),
    (SITES, "Add sites", "Add sites of known operators behind known transformers."),
    (RESOURCES, "Add devices", "Add devices at known sites; each gets a capability card."),
)
"""Kinds of records that a route of their own adds, with its summary and description."""


def _add_route(part: Part) -> Callable[..., Awaitable[Registered]]:
    async def add(
        request: Request,
        response: Response,
        administration: TheAdministration,
        scope: TheScope,
        actor: OptionalActor = UNNAMED,
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

    return add


for _part, _summary, _description in _KINDS:
    router.add_api_route(
        f"/{_part.name}",
        _add_route(_part),
        methods=["POST"],
        status_code=201,
        name=f"add_{_part.name}",
        summary=_summary,
        description=_description,
        responses=_ERRORS,
        openapi_extra=_accepts(_part.schema.__name__),
    )


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
