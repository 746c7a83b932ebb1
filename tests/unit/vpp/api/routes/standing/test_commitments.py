"""Standing commitments over HTTP: entered under a key, shown exactly, ended."""

from typing import Any

import httpx
import pytest

from vpp.api.schemas.standing.commitments import STANDING_EXAMPLE

PATH = "/api/v1/standing-commitments"


async def entered(client: httpx.AsyncClient, status: int = 201, key: str = "", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    headers = {"Idempotency-Key": key} if key else {}
    answer = await client.post(PATH, json={**STANDING_EXAMPLE, **changes}, headers=headers)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_a_commitment_is_shown_as_it_was_stated(client: httpx.AsyncClient) -> None:
    found = await entered(client)
    assert {name: found[name] for name in STANDING_EXAMPLE} == STANDING_EXAMPLE
    assert (found["area"], found["direction"], found["calls_a_day"], found["ended_at"]) == ("city", "up", 1, None)
    assert (await client.get(f"{PATH}/{found['id']}")).json() == found
    assert (await client.get(PATH)).json()["items"] == [found]


async def test_all_day_and_a_shortfall_as_dear_as_the_availability_unless_stated(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json={"power_kw": 5.0, "availability_cny_per_mw_h": "80.5"})
    found = answer.json()
    assert found["shortfall_cny_per_mw_h"] == "80.5"
    assert found["hours"] == [{"from_hour": 0.0, "until_hour": 24.0, "months": [], "day_types": []}]


async def test_a_key_enters_once_and_for_one_commitment_only(client: httpx.AsyncClient) -> None:
    first = await entered(client, key="k")
    assert await entered(client, 200, key="k") == first
    problem = await entered(client, 409, key="k", power_kw=1.0)
    assert "'k'" in problem["detail"]


async def test_a_commitment_is_ended_and_stays_listed(client: httpx.AsyncClient) -> None:
    found = await entered(client)
    ended = (await client.delete(f"{PATH}/{found['id']}")).json()
    assert ended["ended_at"] is not None
    assert (await client.delete(f"{PATH}/{found['id']}")).json() == ended
    assert (await client.get(PATH)).json()["total"] == 1
    assert (await client.delete(f"{PATH}/std-none")).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("power_kw", 0.0),
        ("availability_cny_per_mw_h", "-1"),
        ("area", "nowhere"),
        ("longest_call_minutes", 5.0),
        ("calls_a_day", 0),
        ("hours", []),
        ("until_at", "2020-01-01T00:00:00Z"),
    ],
)
async def test_what_is_not_accepted_is_named(client: httpx.AsyncClient, field: str, value: object) -> None:
    problem = await entered(client, 422, **{field: value})
    assert problem["errors"][0]["field"].startswith(field)
