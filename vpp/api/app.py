"""HTTP application: routes under ``/api/v1``, probes and metrics beside it, every error a problem document."""

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry
from pydantic.json_schema import models_json_schema

from vpp.api import problems
from vpp.api.auth import bearer
from vpp.api.limits import BodyLimit
from vpp.api.registration import PARTS
from vpp.api.routes import (
    fleet,
    members,
    meters,
    official,
    operations,
    plans,
    registry,
    regulation,
    requests,
    sessions,
    settlements,
    stream,
    telemetry,
)
from vpp.api.routes.requests import Report
from vpp.api.routes.standing import availability, commitments
from vpp.api.schemas.base import Problem
from vpp.api.schemas.registration import AreaBody, FleetBody, OperatorBody, ResourceBody, SiteBody, TransformerBody
from vpp.ports import Administration, GridSink, SampleHistory

PREFIX = "/api/v1"
MAX_BYTES = 2**20
"""Longest body of a route that takes one record."""

_DESCRIPTION = """The virtual power plant of a megacity: ask for a change of net load, get a quote, accept it, watch it.

Power is kW, energy kWh, load positive: consumption and charging above zero, production and discharging below. Times
are ISO-8601 with an offset. Unknown is `null`, never zero.

Errors are problem details (RFC 9457) that name the field, what it was given and what it accepts."""
_REFERENCED = (Problem, AreaBody, OperatorBody, TransformerBody, SiteBody, ResourceBody, FleetBody)


def create_app(
    service: GridSink,
    administration: Administration,
    *,
    metrics: CollectorRegistry,
    report: Report,
    version: str,
    token: str | None = None,
    history: SampleHistory | None = None,
) -> FastAPI:
    """Return the application that serves dispatchers and operators.

    Args:
        service: The service as dispatchers see it.
        administration: The service as operators see it.
        metrics: What ``/metrics`` shows.
        report: Returns a request's report for a scope as a page and as JSON-like content; called in a thread, may
            raise UnknownIdError and ConflictError.
        version: Of the program.
        token: Bearer token every call under ``/api/v1`` must carry, if set.
        history: Samples as they were kept, where they are.
    """
    app = _routed(version, token)
    app.state.service = service
    app.state.administration = administration
    app.state.metrics = metrics
    app.state.report = report
    app.state.telemetry = history
    app.state.seats = stream.Seats()
    return app


def describe(version: str) -> dict[str, Any]:
    """Return the OpenAPI description, which needs no running service."""
    return _routed(version, None).openapi()


def _routed(version: str, token: str | None) -> FastAPI:
    app = _Application(title="Virtual power plant", version=version, description=_DESCRIPTION, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=MAX_BYTES, exceptions=_bulk(), endings=_endings())
    problems.install(app)
    guarded = APIRouter(prefix=PREFIX, dependencies=[Depends(bearer(token))])
    for module in _ROUTES:
        guarded.include_router(module.router)
    app.include_router(guarded)
    app.include_router(operations.probes)
    return app


def _endings() -> dict[str, int]:
    return {"/signal": regulation.MAX_BYTES, "/official": official.MAX_BYTES}


def _bulk() -> dict[str, int]:
    limits = {f"{PREFIX}/{name}": registry.MAX_BYTES for name in ("fleet", *(part.name for part in PARTS))}
    return {**limits, f"{PREFIX}/meter-intervals": meters.MAX_BYTES}


_ROUTES = (
    requests,
    commitments,
    availability,
    settlements,
    official,
    regulation,
    plans,
    telemetry,  # before the fleet, whose device route takes any path
    fleet,
    registry,
    members,
    sessions,
    meters,
    stream,
    operations,
)


class _Application(FastAPI):
    """FastAPI with the schemas that routes refer to by name."""

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            schema = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            _, named = models_json_schema(
                [(model, "validation") for model in _REFERENCED], ref_template="#/components/schemas/{model}"
            )
            schema["components"]["schemas"].update(named["$defs"])
            self.openapi_schema = schema
        return self.openapi_schema
