"""Official results over HTTP: lines or CSV, once or again, line by line against ours."""

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
PATH = "/api/v1/settlements/r1/official"
LINES = [
    {"operator_id": "op-1", "site_id": "mall", "energy_kwh": "0.5", "amount_cny": "0.25"},
    {"operator_id": "op-2", "energy_kwh": 0.5},
]


@pytest.fixture(autouse=True)
async def _settled(client: httpx.AsyncClient) -> None:
    identity = (await client.post("/api/v1/requests", json=REQUEST)).json()["id"]
    await client.post(f"/api/v1/requests/{identity}/accept")


async def taken(client: httpx.AsyncClient, status: int = 201, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    answer = await client.post(PATH, json={"source": "grid company", **body})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_lines_are_shown_beside_ours_and_the_rest_of_ours_is_named(client: httpx.AsyncClient) -> None:
    found = await taken(client, lines=LINES)
    assert [line["agreement"] for line in found["lines"]] == ["equal", "differs", "only_ours"]
    assert found["lines"][1] == {
        "operator_id": "op-2",
        "site_id": None,
        "start_at": None,
        "our_energy_kwh": "0.250",
        "official_energy_kwh": "0.5",
        "our_amount_cny": None,
        "official_amount_cny": None,
        "agreement": "differs",
    }
    assert found["lines"][2]["site_id"] == "yard"
    assert (found["version"], found["total"]) == (1, 3)
    assert found["counts"] == {"equal": 1, "differs": 1, "only_official": 0, "only_ours": 1}
    shown = (await client.get(PATH)).json()
    assert shown == found


async def test_the_same_again_is_no_new_version_and_a_correction_is_one(client: httpx.AsyncClient) -> None:
    first = await taken(client, lines=LINES)
    assert await taken(client, 200, lines=LINES) == first
    second = await taken(client, lines=LINES[:1])
    assert second["version"] == 2
    assert (await client.get(PATH, params={"version": 1})).json() == first
    assert (await client.get(PATH, params={"version": 3})).status_code == 404


async def test_csv_says_the_same_as_lines(client: httpx.AsyncClient) -> None:
    first = await taken(client, lines=LINES)
    text = "operator_id,site_id,energy_kwh,amount_cny\nop-1,mall,0.50,0.25\nop-2,,0.5,\n"
    assert (await taken(client, 200, csv=text))["sha256"] == first["sha256"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "lines or csv"),
        ({"lines": LINES, "csv": "operator_id\nop-1\n"}, "lines or csv"),
        ({"lines": [{"operator_id": "op-1", "energy_kwh": "much"}]}, "energy_kwh"),
        ({"lines": [{"operator_id": "op-1", "amount_cny": "NaN"}]}, "amount_cny"),
        ({"lines": [{"operator_id": "op-1", "start_at": "2026-07-15T14:00:00"}]}, "start_at"),
        ({"csv": "operator,energy_kwh\nop-1,1\n"}, "line 1"),
        ({"csv": "operator_id,energy_kwh\nop-1,much\n"}, "line 2, energy_kwh"),
        ({"csv": "operator_id,energy_kwh\nop-1,1,2\n"}, "line 2"),
        ({"csv": "operator_id,energy_kwh\n"}, "0 lines"),
        ({"csv": 'operator_id,energy_kwh\n"op-1"x,1\n'}, "csv after line 1"),
        ({"csv": "operator_id\n" + "a" * 200_000}, "csv after line 1"),
    ],
)
async def test_what_is_not_accepted_is_named(client: httpx.AsyncClient, body: dict[str, Any], named: str) -> None:
    answer = await client.post(PATH, json={"source": "grid company", **body})
    assert answer.status_code == 422
    assert named in answer.text


async def test_without_a_settlement_or_a_result_there_is_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.get(PATH)).status_code == 404
    assert (await client.get("/api/v1/settlements/r9/official")).status_code == 404
    answer = await client.post("/api/v1/settlements/r9/official", json={"source": "grid", "lines": LINES})
    assert answer.status_code == 404
