"""HTTP application of a standby: probes, metrics, requests as the journal tells them, and the leader's address."""

from collections.abc import Sequence
from typing import Protocol, cast

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from vpp.api import problems
from vpp.api.auth import bearer
from vpp.api.deps import ThePage, TheScope
from vpp.api.routes.operations import Readiness, healthz, metrics
from vpp.api.routes.requests import Before, State, selected
from vpp.api.schemas.base import Problem, Schema, json_bytes
from vpp.api.schemas.requests import RequestView
from vpp.domain.errors import UnknownIdError
from vpp.domain.request import DispatchRequest
from vpp.fleet.scope import Scope

_RETRY_S = "1"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class StandbyStatus(Protocol):
    """A standby as its callers see it."""

    @property
    def leader(self) -> str:
        """Address of the leader, HOST:PORT; empty where nobody leads."""
        ...

    def ready(self) -> dict[str, bool]:
        """Return named checks of what a takeover needs."""
        ...

    def requests(self) -> Sequence[DispatchRequest] | None:
        """Return every request as the journal told it last, newest first; ``None`` before it was read."""
        ...

    def check_kept(self, request_id: str) -> None:
        """Raise ForgottenError for a request that was forgotten."""
        ...


class StandbyProblem(Problem):
    """Why a standby does not answer, and who does."""

    leader: str | None = None


def create_standby_app(
    status: StandbyStatus, *, metrics: CollectorRegistry, version: str, token: str | None = None
) -> FastAPI:
    """Return the application of a standby.

    Args:
        status: The standby.
        metrics: What ``/metrics`` shows.
        version: Of the program.
        token: Bearer token every call under ``/api/v1`` must carry, if set.
    """
    app = FastAPI(title="Virtual power plant, standby", version=version, openapi_url=None)
    app.state.status, app.state.metrics = status, metrics
    problems.install(app)
    app.include_router(_probes)
    app.include_router(_elsewhere, prefix="/api/v1", dependencies=[Depends(bearer(token))])
    return app


_probes, _elsewhere = APIRouter(), APIRouter()
_probes.get("/healthz")(healthz)
_probes.get("/metrics")(metrics)


def _status(request: Request) -> StandbyStatus:
    return cast(StandbyStatus, request.app.state.status)


@_probes.get("/readyz")
async def readyz(request: Request) -> Response:
    """Answer 503: requests are for the leader; the checks say whether this process could take over."""
    readiness = Readiness(status="standby", role="standby", checks=_status(request).ready())
    return Response(json_bytes(readiness.model_dump(mode="json")), status_code=503, media_type="application/json")


@_elsewhere.get("/requests", response_model=None)
async def listed(
    request: Request, page: ThePage, scope: TheScope, state: State = None, before: Before = None
) -> Response:
    """Return requests as a leader does; what only that one knows of them, their progress, is null."""
    known = _in_sight(request, scope)
    if known is None:
        return await elsewhere(request)
    found, rest = selected(known, state, before)
    return _json(page.filled([RequestView.of(one, None) for one in page.cut(rest)], total=len(found)))


@_elsewhere.get("/requests/{request_id}", response_model=None)
async def one(request: Request, request_id: str, scope: TheScope) -> Response:
    """Return a request; see ``listed``."""
    known = _in_sight(request, scope)
    if known is None:
        return await elsewhere(request)
    for found in known:
        if found.id == request_id:
            return _json(RequestView.of(found, None))
    if scope.is_everything:
        _status(request).check_kept(request_id)
    raise UnknownIdError("request", request_id)


@_elsewhere.api_route("/{path:path}", methods=_METHODS)
async def elsewhere(request: Request) -> Response:
    """Answer 503 with the address of the leader."""
    leader = _status(request).leader
    problem = StandbyProblem(
        type="urn:vpp:problem:standby",
        title="This process is a standby",
        status=503,
        detail=f"the leader serves at {leader}" if leader else "nobody leads just now; try again",
        leader=leader or None,
    )
    return Response(
        json_bytes(problem.model_dump(mode="json", exclude_none=True)),
        status_code=503,
        headers={"Retry-After": _RETRY_S},
        media_type=problems.MEDIA_TYPE,
    )


def _in_sight(request: Request, scope: Scope) -> Sequence[DispatchRequest] | None:
    """Return the requests that the journal told of and the caller may see, ``None`` before it was read."""
    known = _status(request).requests()
    return known if known is None or scope.is_everything else [one for one in known if scope.covers(one.draft.area)]


def _json(shown: Schema) -> Response:
    return Response(json_bytes(shown.model_dump(mode="json")), media_type="application/json")
