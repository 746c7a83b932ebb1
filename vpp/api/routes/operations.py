"""Liveness, readiness, metrics, command ledger and refused devices, for those who run the service."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from pydantic import Field

from vpp.api.deps import TheAdministration, ThePage, TheScope
from vpp.api.problems import documented
from vpp.api.schemas.base import Page, Schema
from vpp.api.schemas.knocks import KnockView

probes = APIRouter(tags=["operations"])
router = APIRouter(tags=["operations"])


class Health(Schema):
    """The process answers."""

    status: str
    version: str


class Readiness(Schema):
    """Readiness of the service, check by check."""

    status: str = Field(description="ready, starting or standby")
    role: str = Field(
        default="leader", description="leader, or standby: reads only and leads once the leader's lease has ended"
    )
    checks: dict[str, bool]


@probes.get("/healthz", summary="Liveness")
async def healthz(request: Request) -> Health:
    """Answer as long as the event loop turns."""
    return Health(status="ok", version=request.app.version)


@probes.get(
    "/readyz", summary="Readiness", responses={503: {"model": Readiness, "description": "Some check is not passed"}}
)
async def readyz(administration: TheAdministration, response: Response) -> Readiness:
    """Answer 503 until every check passes."""
    checks = dict(administration.ready())
    ready = all(checks.values())
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "starting", checks=checks)


@probes.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}, "application/openmetrics-text": {}}}},
)
async def metrics(request: Request) -> Response:
    """Return every metric in the text format the scraper asks for."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.metrics), headers={"Content-Type": content_type})


@router.get("/knocks", summary="Devices whose connection was refused", responses=documented(401, 422))
async def knocks(administration: TheAdministration, scope: TheScope, page: ThePage) -> Page[KnockView]:
    """Return ids that are not registered, gave a wrong key and the like, the latest first."""
    return page.of(administration.refused_connections(scope=scope), KnockView.of)


@router.get("/commands", summary="Outcomes of all setpoints", responses=documented(401))
async def commands(administration: TheAdministration, scope: TheScope) -> dict[str, int]:
    """Return how many were sent, confirmed, refused and so on; ``unaccounted`` must be 0."""
    return dict(administration.commands(scope=scope))
