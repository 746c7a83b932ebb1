"""Requests of dispatchers: submitted, accepted, revised, ended; their delivery."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, TypedDict

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from vpp.api.auth import Actor
from vpp.api.deps import ThePage, TheScope, TheService, measured_delivery
from vpp.api.problems import documented
from vpp.api.schemas.base import Page, json_bytes
from vpp.api.schemas.performance import PerformanceView
from vpp.api.schemas.requests import (
    AcceptBody,
    CancelBody,
    RequestBody,
    RequestView,
    RevisionAcceptBody,
    RevisionBody,
    RevisionView,
)
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.request import CITY, DispatchRequest, RequestState
from vpp.fleet.scope import Scope
from vpp.ports import GridSink

Report = Callable[[str, Scope], tuple[str, dict[str, Any]]]
"""Returns a request's report as a printable page and as JSON-like content."""

# A report is a page of its own: nothing in it may run or be fetched.
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

router = APIRouter(tags=["requests"])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Repeating a call under its key does it once; a key stands for one request, or one act on one.",
    ),
]


class _Act(TypedDict):
    """What every act on requests states: in whose name, under what key, and what its author may see and change."""

    actor: str
    key: str | None
    scope: Scope


async def _act(scope: TheScope, actor: Actor = "dispatcher", key: Key = None) -> _Act:
    return _Act(actor=actor, key=key, scope=scope)


TheAct = Annotated[_Act, Depends(_act)]
Number = Annotated[int, Path(ge=1, le=100_000, description="Number of the revision, from 1.")]
State = Annotated[RequestState | None, Query()]
Before = Annotated[
    str | None,
    Query(max_length=200, description="Only requests that were asked before this one: the last id of the page before."),
]
_ENDINGS = {
    "cancel": ("Stop safely, at any time", "Cancel before the start, abort through the release ramp after it."),
    "decline": ("Turn a quote down", "Turn a quote down; the power it held is free at once."),
    "supersede": (
        "End a committed request in favour of a higher authority",
        "End a committed request through its release, so that its power can be asked for another.",
    ),
}
"""Ways to end a request, by their names in routes and in `vpp.ports.GridSink`, with their summary and description."""


@router.post(
    "/requests",
    status_code=201,
    summary="Ask for a change of net load and get a quote",
    responses={200: {"model": RequestView, "description": "This key was used before"}, **documented(401, 409, 422)},
)
async def submit(body: RequestBody, service: TheService, act: TheAct, response: Response) -> RequestView:
    """Quote a request; there is no commitment until it is accepted."""
    scope = act["scope"]
    try:
        request, created = await service.submit(body.draft(), **act)
    except UnknownIdError as error:
        if error.kind != "area":
            raise
        areas = (CITY, *(area.id for area in service.fleet(scope=scope).index.areas))
        known = ", ".join(area for area in areas if scope.covers(area))
        raise InputError("area", body.area, f"one of {known}") from error
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/api/v1/requests/{request.id}"
    return _view(service, scope, request)


@router.get("/requests", summary="List requests, newest first", responses=documented(401, 422))
async def listed(
    *,
    service: TheService,
    scope: TheScope,
    page: ThePage,
    state: State = None,
    before: Before = None,
) -> Page[RequestView]:
    """Return requests, of one state only if it is named; with ``before``, no row comes twice while new ones arrive."""
    found, rest = selected(service.requests(scope=scope), state, before)
    return page.filled([_view(service, scope, request) for request in page.cut(rest)], total=len(found))


@router.get("/requests/{request_id}", summary="One request with its history", responses=documented(401, 404, 410, 422))
async def one(request_id: str, service: TheService, scope: TheScope) -> RequestView:
    """Return a request."""
    return _view(service, scope, service.request(request_id, scope=scope))


@router.post(
    "/requests/{request_id}/accept",
    summary="Commit to the quote or to a counter-offer",
    responses=documented(401, 404, 409, 410, 422),
)
async def accept(request_id: str, service: TheService, act: TheAct, body: AcceptBody | None = None) -> RequestView:
    """Commit to the quote: the power is reserved and will be delivered."""
    offer = None if body is None else body.offer
    return _view(service, act["scope"], await service.accept(request_id, offer=offer, **act))


@router.post(
    "/requests/{request_id}/revisions",
    status_code=201,
    summary="Ask for a change of a committed or running request and get a quote",
    responses={
        200: {"model": RevisionView, "description": "This key was used before"},
        **documented(401, 404, 409, 410, 422),
    },
)
async def revise(
    request_id: str, body: RevisionBody, service: TheService, act: TheAct, response: Response
) -> RevisionView:
    """Quote another power, another end or both for what is left of the window; nothing changes until it is accepted."""
    if body.target_kw is None and body.end_at is None:
        raise InputError("target_kw", None, "a power, or another end_at")
    revision, created = await service.revise(request_id, target_kw=body.target_kw, end_at=body.end_at, **act)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/api/v1/requests/{request_id}/revisions/{revision.number}"
    return RevisionView.of(revision)


@router.get(
    "/requests/{request_id}/revisions",
    summary="Changes that were asked",
    responses=documented(401, 404, 410, 422),
)
async def revisions(request_id: str, service: TheService, scope: TheScope) -> list[RevisionView]:
    """Return a request's revisions, oldest first."""
    return [RevisionView.of(revision) for revision in service.request(request_id, scope=scope).revisions]


@router.get("/requests/{request_id}/revisions/{number}", summary="One change", responses=documented(401, 404, 410, 422))
async def revision(request_id: str, number: Number, service: TheService, scope: TheScope) -> RevisionView:
    """Return one revision."""
    known = service.request(request_id, scope=scope).revisions
    if number > len(known):
        raise UnknownIdError("revision", f"{request_id}/{number}")
    return RevisionView.of(known[number - 1])


@router.post(
    "/requests/{request_id}/revisions/{number}/accept",
    summary="Put a change in force",
    responses=documented(401, 404, 409, 410, 422),
)
async def accept_revision(
    request_id: str, number: Number, service: TheService, act: TheAct, body: RevisionAcceptBody | None = None
) -> RequestView:
    """Commit to a change; the target moves by the request's ramp, settlement counts each interval by its own target."""
    del body  # there is nothing in it
    return _view(service, act["scope"], await service.accept_revision(request_id, number, **act))


def _ending_route(name: str) -> Callable[..., Awaitable[RequestView]]:
    async def ending(request_id: str, service: TheService, act: TheAct, body: CancelBody | None = None) -> RequestView:
        end: Callable[..., Awaitable[DispatchRequest]] = getattr(service, name)
        request = await end(request_id, reason=(body or CancelBody()).reason, **act)
        return _view(service, act["scope"], request)

    return ending


for _name, (_summary, _description) in _ENDINGS.items():
    router.add_api_route(
        f"/requests/{{request_id}}/{_name}",
        _ending_route(_name),
        methods=["POST"],
        name=_name,
        summary=_summary,
        description=_description,
        responses=documented(401, 404, 409, 410, 422),
    )


@router.get(
    "/requests/{request_id}/performance",
    summary="Measured delivery",
    responses=documented(401, 404, 409, 410, 422),
)
async def performance(request_id: str, service: TheService, scope: TheScope) -> PerformanceView:
    """Return the measurement, provisional while the request runs."""
    return PerformanceView.of(await measured_delivery(service, request_id, scope))


@router.get(
    "/requests/{request_id}/report",
    summary="The report, as JSON or as a printable page",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}}, "text/html": {}}},
        **documented(401, 404, 409, 410, 422),
    },
)
async def report(
    *,
    request_id: str,
    request: Request,
    service: TheService,
    scope: TheScope,
    format_: Annotated[str | None, Query(alias="format", pattern="^(json|html)$")] = None,
) -> Response:
    """Return the report in the format asked for, by query or by the Accept header."""
    service.request(request_id, scope=scope)
    make: Report = request.app.state.report
    html, content = await asyncio.to_thread(make, request_id, scope)
    if _wants_html(format_, request.headers):
        return Response(html, media_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})
    return Response(json_bytes(content), media_type="application/json")


def _view(service: GridSink, scope: Scope, request: DispatchRequest) -> RequestView:
    return RequestView.of(
        request,
        service.progress(request.id, scope=scope),
        service.unsettled(request.id, scope=scope),
        service.losses(request.id, scope=scope),
    )


def selected(
    requests: Sequence[DispatchRequest], state: RequestState | None, before: str | None
) -> tuple[Sequence[DispatchRequest], Sequence[DispatchRequest]]:
    """Return the requests of a state, or all, and those of them submitted before a request, or all.

    Raises:
        InputError: There is no request ``before``.
    """
    found = [request for request in requests if state is None or request.state is state]
    return found, found if before is None else _older(requests, before, found)


def _older(requests: Sequence[DispatchRequest], before: str, found: Sequence[DispatchRequest]) -> list[DispatchRequest]:
    """Return those of ``found`` submitted before a request; raises InputError for an unknown one."""
    ids = [request.id for request in requests]
    if before not in ids:
        raise InputError("before", before, "the id of a request, best the last one of the page before")
    older = set(ids[ids.index(before) + 1 :])
    return [request for request in found if request.id in older]


def _wants_html(format_: str | None, headers: Mapping[str, str]) -> bool:
    if format_ is not None:
        return format_ == "html"
    accept = headers.get("accept", "")
    return "text/html" in accept and "application/json" not in accept
