"""Members of the fleet one by one: read with their history, put, patched, retired.

Every answer carries the member's version as its ETag; ``If-Match`` makes a change only of that version, and
``If-None-Match: *`` only where there is no such member.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from vpp.api.auth import UNNAMED, OptionalActor
from vpp.api.bodies import json_content
from vpp.api.deps import TheAdministration, TheScope
from vpp.api.problems import documented, shown
from vpp.api.registration import PARTS, Part, checked
from vpp.api.schemas.members import ChangeView, MemberView, change_view, member_view, merged
from vpp.domain.errors import InputError, VersionError
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.change_plan import find
from vpp.fleet.members.changes import ChangeOutcome
from vpp.fleet.members.member_codec import KINDS, FleetMember
from vpp.fleet.scope import Scope

router = APIRouter(tags=["registry"])
_KIND_OF = {kind.members: kind.name for kind in KINDS}
_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,9})"?')
_ATTEMPTS = 3
"""How often a patch without ``If-Match`` is made again on a version that has come between."""

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=64, description="ETag of the version that is to be changed, or *.")
]
IfNoneMatch = Annotated[
    Literal["*"] | None, Header(alias="If-None-Match", description="* to put a member only where there is none.")
]
DryRun = Annotated[bool, Query(description="Say what would happen, and change nothing.")]


class _How(TypedDict):
    """In whose name a change is made, what its author may see and change, and whether it is made at all."""

    actor: str
    scope: Scope
    dry_run: bool


class _Edit(NamedTuple):
    """What every change of a member states, whatever its kind: which one, of which version, and how."""

    member_id: str
    if_match: str | None
    how: _How


async def _edit(
    member_id: str,
    scope: TheScope,
    *,
    actor: OptionalActor = UNNAMED,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
) -> _Edit:
    return _Edit(member_id, if_match, _How(actor=actor, scope=scope, dry_run=dry_run))


async def _only_new(if_none_match: IfNoneMatch = None) -> bool:
    return if_none_match is not None


TheEdit = Annotated[_Edit, Depends(_edit)]
OnlyNew = Annotated[bool, Depends(_only_new)]


@router.get(
    "/members/{kind}/{member_id:path}",
    summary="One member with its validity, version and history",
    responses=documented(401, 404, 422),
)
async def member(
    kind: Literal["areas", "operators", "transformers", "sites", "resources"],
    member_id: str,
    administration: TheAdministration,
    scope: TheScope,
    response: Response,
) -> MemberView:
    """Return a member of the fleet, in service or retired, with its former versions."""
    _, known = find(administration.fleet(scope=scope).index, _KIND_OF[kind], member_id)
    former = await administration.member_history(_KIND_OF[kind], member_id, scope=scope)
    response.headers["ETag"] = _etag(known.version)
    return member_view(known, former)


def _put_route(part: Part) -> Callable[..., Awaitable[ChangeView]]:
    async def put(
        edit: TheEdit, only_new: OnlyNew, administration: TheAdministration, request: Request, response: Response
    ) -> ChangeView:
        index = administration.fleet(scope=edit.how["scope"]).index
        record = _identified(json_content(await request.body()), edit.member_id)
        thing = _checked(part, record, index)
        version = 0 if only_new else _version(edit, index, part)
        outcome = await administration.put_member(thing, version=version, **edit.how)
        joined = any(one.old is None for one in outcome.change.members)
        response.status_code = 201 if joined and not outcome.dry_run else 200
        return _answer(outcome, response, part, edit.member_id)

    return put


def _patch_route(part: Part) -> Callable[..., Awaitable[ChangeView]]:
    async def patch(
        edit: TheEdit, administration: TheAdministration, request: Request, response: Response
    ) -> ChangeView:
        fields = _identified(json_content(await request.body()), edit.member_id)
        for attempt in range(_ATTEMPTS):
            index = administration.fleet(scope=edit.how["scope"]).index
            _, known = find(index, part.kind.name, edit.member_id)
            version = _version(edit, index, part)
            thing = _checked(part, merged(part, known, fields), index)
            try:
                outcome = await administration.put_member(
                    thing, version=known.version if version is None else version, **edit.how
                )
            except VersionError:
                if edit.if_match is not None or attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(0)
                continue
            return _answer(outcome, response, part, edit.member_id)
        raise AssertionError("a patch ends by an answer or an error")

    return patch


def _retire_route(part: Part) -> Callable[..., Awaitable[ChangeView]]:
    async def retire(edit: TheEdit, administration: TheAdministration, response: Response) -> ChangeView:
        version = _version(edit, administration.fleet(scope=edit.how["scope"]).index, part)
        outcome = await administration.retire_member(part.kind.name, edit.member_id, version=version, **edit.how)
        return _answer(outcome, response, part, edit.member_id)

    return retire


def _add_routes() -> None:
    """Add the three ways to change a member, for every kind."""
    for part in PARTS:
        name, path = part.kind.name, f"/{part.name}/{{member_id:path}}"
        one: dict[str, Any] = {"$ref": f"#/components/schemas/{part.schema.__name__}"}
        fields = {"type": "object", "description": f"Some fields of {part.schema.__name__}; null takes a value back."}
        router.add_api_route(
            path,
            _put_route(part),
            methods=["PUT"],
            name=f"put_{name}",
            summary=f"Let a {name} stand as stated",
            description=f"Create the {name}, or replace all its fields; repeating it changes nothing.",
            responses={**documented(401, 404, 412, 422, 503), 201: {"model": ChangeView, "description": "Created"}},
            openapi_extra=_body(one),
        )
        router.add_api_route(
            path,
            _patch_route(part),
            methods=["PATCH"],
            name=f"patch_{name}",
            summary=f"Change some fields of a {name}",
            description=f"Change the fields that are given of a {name} in service, and leave the others as they are.",
            responses=documented(401, 404, 412, 422, 503),
            openapi_extra=_body(fields),
        )
        router.add_api_route(
            path,
            _retire_route(part),
            methods=["DELETE"],
            name=f"retire_{name}",
            summary=f"Retire a {name}",
            description=(
                f"Take the {name} out of service with all that cannot be without it; its id is never used again."
                " Devices are released before their links are dropped. Repeating it changes nothing."
            ),
            responses=documented(401, 404, 409, 412, 422, 503),
        )


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _identified(record: object, member_id: str) -> dict[str, Any]:
    """Return a record with the id of its path; raises InputError where it is none, or names another id."""
    if not isinstance(record, dict):
        raise InputError("body", shown(record), "one JSON object")
    if record.get("id", member_id) != member_id:
        raise InputError("id", shown(record["id"]), f"{member_id}, the id in the path, or none")
    return {**record, "id": member_id}


def _checked(part: Part, record: dict[str, Any], index: FleetIndex) -> FleetMember:
    """Return the member a record describes; raises RejectedFieldsError as a registration does."""
    thing: FleetMember = checked({part.name: [record]}, index)[part.name][0]
    return thing


def _version(edit: _Edit, index: FleetIndex, part: Part) -> int | None:
    """Return the version that a caller has read, ``None`` where it does not say."""
    if edit.if_match is None:
        return None
    if edit.if_match == "*":
        return find(index, part.kind.name, edit.member_id)[1].version
    stated = _ETAG.fullmatch(edit.if_match)
    if stated is None:
        raise InputError("If-Match", edit.if_match, 'the ETag of a version, e.g. "3", or *')
    return int(stated.group(1))


def _answer(outcome: ChangeOutcome, response: Response, part: Part, member_id: str) -> ChangeView:
    """Return a change for its author, with the version that stands now as its ETag."""
    if outcome.stands is not None and not outcome.dry_run:
        response.headers["ETag"] = _etag(outcome.stands)
        response.headers["Location"] = f"/api/v1/members/{part.name}/{quote(member_id, safe='/:@+')}"
    return change_view(outcome)


def _etag(version: int) -> str:
    return f'"{version}"'


_add_routes()
