"""Grid links of ``vpp serve``: the HTTP API, at an address that is taken before anything else is touched."""

import json
import socket
from importlib.metadata import version

from fastapi import FastAPI

from vpp.api.app import create_app, describe
from vpp.application.scoping.sample_queries import SampleQueries
from vpp.bootstrap.service import Service
from vpp.config import address_of
from vpp.console.report import render_report, report_json
from vpp.domain.errors import ConfigurationError, ConflictError
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.ports import GridSink, TelemetryHistory

_BACKLOG = 2048


def listener_at(address: str) -> socket.socket:
    """Return a socket that listens at ``HOST:PORT``.

    Raises:
        ConfigurationError: The address is taken or not ours.
    """
    host, port = address_of(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"VPP_HTTP: cannot listen on {address}: {error.strerror}") from error


def http_application(service: Service, sink: GridSink, history: TelemetryHistory | None = None) -> FastAPI:
    """Return the HTTP application over a service.

    Args:
        service: The composed service.
        sink: Where requests go.
        history: Stored samples, where they are kept.
    """
    return create_app(
        sink,
        service.plant,
        metrics=service.core.metrics.registry,
        report=lambda request_id, scope: report_of(service, request_id, scope),
        version=version("vpp"),
        token=service.settings.api_token,
        history=None if history is None else SampleQueries(history, sink),
    )


def report_of(service: Service, request_id: str, scope: Scope = EVERYTHING) -> tuple[str, dict[str, object]]:
    """Return the report of a request as a page and as JSON-like content; blocks.

    Raises:
        UnknownIdError: There is no such request.
        ConflictError: It is not accepted yet.
    """
    request, settlement = service.plant.request(request_id, scope=scope), service.requests.settlement
    performance, minutes = settlement.performance(request_id), settlement.minutes(request_id)
    if performance is None or minutes is None:
        raise ConflictError(f"request {request_id} is {request.state.value}; there is a report once it is accepted")
    return render_report(request, performance, series=minutes), report_json(request, performance, series=minutes)


def openapi_json() -> str:
    """Return the API's OpenAPI description; no service needs to run."""
    return json.dumps(describe(version("vpp")), indent=2)
