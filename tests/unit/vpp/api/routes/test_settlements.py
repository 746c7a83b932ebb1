"""Settlement over HTTP: by operator, by site, paged and filtered."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

REQUEST = {
    "product": "peak_shaving",
    "direction": "up",
    "target_kw": 2.0,
    "area": "city",
    "start_at": "2026-07-15T14:00:00+08:00",
    "end_at": "2026-07-15T15:00:00+08:00",
    "notice_class": "intraday",
}


@pytest.fixture(name="asked")
async def _asked(client: httpx.AsyncClient) -> str:
    """Submit and accept two requests; return the id of the first."""
    ids = [(await client.post("/api/v1/requests", json=REQUEST)).json()["id"] for _ in range(2)]
    await client.post(f"/api/v1/requests/{ids[0]}/accept")
    return str(ids[0])


async def listed(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - as httpx takes them
    answer = await client.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.usefixtures("asked")
async def test_every_operator_has_its_part_of_every_settled_request(client: httpx.AsyncClient) -> None:
    found = await listed(client, "settlements")
    assert found["total"] == 4
    parts = [(item["request_id"], item["share"]["operator_id"]) for item in found["items"]]
    assert parts == [("r1", "op-1"), ("r1", "op-2"), ("r2", "op-1"), ("r2", "op-2")]
    first = found["items"][0]["share"]
    assert (first["site_id"], first["energy_kwh"], first["settlement_cny"]) == (None, 1.75, {"energy": 0.87})


@pytest.mark.usefixtures("asked")
async def test_pages_and_filters_name_one_operator(client: httpx.AsyncClient) -> None:
    found = await listed(client, "settlements", operator="op-2", limit=1, offset=1)
    assert (found["total"], [item["request_id"] for item in found["items"]]) == (2, ["r2"])
    sites = await listed(client, "settlements/r1", operator="op-1")
    assert [item["share"]["site_id"] for item in sites["items"]] == ["mall", "yard"]


async def test_a_performance_shows_operators_and_pages_sites(client: httpx.AsyncClient, asked: str) -> None:
    whole = await listed(client, f"requests/{asked}/performance")
    sites = (await listed(client, f"requests/{asked}/performance/sites"))["items"]
    for parts in (whole["operators"], sites):
        assert sum(part["energy_kwh"] for part in parts) == whole["energy_kwh"]
        assert sum(Decimal(str(part["settlement_cny"]["energy"])) for part in parts) == Decimal(1)
        assert sum(part["delivered_kw"][0] for part in parts) == whole["intervals"][0]["delivered_kw"]
    page = await listed(client, f"requests/{asked}/performance/sites", operator="op-1", limit=1, offset=1)
    assert (page["total"], page["items"][0]["site_id"]) == (2, "yard")


@pytest.mark.parametrize("path", ["settlements", "settlements/r1", "requests/r1/performance/sites"])
@pytest.mark.usefixtures("asked")
async def test_an_operator_nobody_knows_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/v1/{path}", params={"operator": "nobody"})
    assert answer.status_code == 404
    assert "nobody" in answer.text


@pytest.mark.usefixtures("asked")
async def test_what_is_not_settled_or_accepted_has_no_parts(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/settlements/r9")).status_code == 404
    assert (await client.get("/api/v1/requests/r9/performance/sites")).status_code == 404
    assert (await client.get("/api/v1/requests/r2/performance/sites")).status_code == 409
