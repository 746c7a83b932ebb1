"""Rules of every route: problem documents, tokens, probes, description."""

from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from vpp.api.app import _ROUTES, describe
from vpp.api.auth import bearer

if TYPE_CHECKING:
    from conftest import _FakePlant as FakePlant


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/api/v1/fleet", 405)])
async def test_strange_paths_and_methods_are_problems_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_surprise_tells_the_log_and_not_the_caller(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    plant.broken = True
    with capture_logs() as logs:
        answer = await client.get("/api/v1/fleet")

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:vpp:problem:internal"
    assert "secret" not in answer.text
    assert [(entry["event"], entry["path"]) for entry in logs] == [("request failed", "/api/v1/fleet")]


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic s3cret", "Bearer s3cret\u00e9"])
async def test_without_the_token_nobody_is_let_in(guarded: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = await guarded.get("/api/v1/fleet", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_token_opens_the_api_and_probes_need_none(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.get("/api/v1/fleet", headers={"Authorization": "Bearer s3cret"})).status_code == 200
    assert (await guarded.get("/healthz")).status_code == 200
    assert (await guarded.get("/metrics")).status_code == 200


async def test_health_and_readiness_tell_apart_alive_and_able(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok", "version": "1.2.3"}
    assert (await client.get("/readyz")).json() == {
        "status": "ready",
        "role": "leader",
        "checks": {"database": True, "plan": True},
    }
    plant.checks["plan"] = False
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "starting")


async def test_who_knocked_is_listed_in_pages_and_only_for_those_who_may(
    client: httpx.AsyncClient, guarded: httpx.AsyncClient
) -> None:
    page = (await client.get("/api/v1/knocks", params={"limit": 2, "offset": 1})).json()
    assert (page["total"], [item["id"] for item in page["items"]]) == (3, ["CS-1", "CS-2"])
    assert page["items"][1] == {
        "adapter": "ocpp",
        "id": "CS-2",
        "peer": "192.0.2.7",
        "reason": "unknown_station",
        "first_at": "2026-07-15T04:00:00Z",
        "last_at": "2026-07-15T04:00:02Z",
        "count": 3,
    }
    assert (await guarded.get("/api/v1/knocks")).status_code == 401


async def test_metrics_come_in_the_format_the_scraper_wants(client: httpx.AsyncClient) -> None:
    text = await client.get("/metrics")
    modern = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})

    assert "vpp_target_kw 5.0" in text.text
    assert text.headers["content-type"].startswith("text/plain")
    assert modern.headers["content-type"].startswith("application/openmetrics-text")


def test_the_description_names_every_route_with_examples_and_errors() -> None:
    description = describe("1.2.3")
    schemas = description["components"]["schemas"]

    assert description["info"]["version"] == "1.2.3"
    assert "HTTPValidationError" not in schemas
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            if path.startswith("/api/v1"):
                assert "401" in operation["responses"], (method, path)
            if method == "post":
                assert "422" in operation["responses"], path
                assert "requestBody" in operation, path
    for name in ("RequestBody", "AcceptBody", "CancelBody", "PromiseBody", "ResourceBody", "SiteBody", "Problem"):
        assert schemas[name]["examples"], name


def test_no_route_and_none_of_its_dependencies_is_called_in_a_thread() -> None:
    def calls(dependant: Dependant) -> Iterator[object]:
        yield dependant.call
        for other in dependant.dependencies:
            yield from calls(other)

    routes = [route for module in _ROUTES for route in module.router.routes if isinstance(route, APIRoute)]
    found = {bearer("s3cret"), *(call for route in routes for call in calls(route.dependant))}
    plain = [call for call in found if not iscoroutinefunction(call)]
    assert len(found) > len(routes) > 40
    assert plain == [], "the framework calls a plain function in a thread of its pool"
