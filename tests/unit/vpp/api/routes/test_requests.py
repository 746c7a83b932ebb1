"""The dispatcher's routes: ask, accept, change, stop, report."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import ForgottenError
from vpp.domain.performance import Performance
from vpp.fleet.scope import Scope

if TYPE_CHECKING:
    from conftest import _FakePlant as FakePlant

BODY = {
    "product": "peak_shaving",
    "direction": "up",
    "target_kw": 2.0,
    "area": "city",
    "start_at": "2026-07-15T13:00:00+08:00",
    "end_at": "2026-07-15T14:00:00+08:00",
    "notice_class": "intraday",
}


async def test_a_request_is_answered_with_its_quote_and_place(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/requests", json=BODY)

    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["Location"] == f"/api/v1/requests/{body['id']}"
    assert body["state"] == "quoted"
    assert body["start_at"] == "2026-07-15T05:00:00Z"
    assert body["quote"]["verdict"] == "partial"
    assert body["quote"]["deliverable_kw"] == {"p10": [1.0], "p50": [2.0], "p90": [3.0]}
    assert body["quote"]["max_hold_minutes"] is None, "infinite has no JSON number"
    assert body["quote"]["limits"][0]["name"] == "feeder"
    assert body["quote"]["counter_offers"][0]["kind"] == "less_power"
    assert body["quote"]["promises_broken"] == 0


async def test_a_settlement_that_failed_is_shown_with_its_cause(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    made = (await client.post("/api/v1/requests", json=BODY)).json()
    assert made["settlement_failed"] is None

    at = datetime(2026, 7, 15, 6, 30, tzinfo=UTC)
    plant.failed = {"cause": "no meters", "since_at": at, "tried_at": at}
    shown = (await client.get(f"/api/v1/requests/{made['id']}")).json()["settlement_failed"]
    assert shown == {"cause": "no meters", "since_at": "2026-07-15T06:30:00Z", "tried_at": "2026-07-15T06:30:00Z"}


async def test_whom_a_running_request_has_lost_is_named_with_the_reason(
    client: httpx.AsyncClient, plant: "FakePlant"
) -> None:
    made = (await client.post("/api/v1/requests", json=BODY)).json()
    assert made["losses"] == []

    plant.lost = {"disconnected": ["CS-1", "CS-2"], "stale": ["B-1"]}
    shown = (await client.get(f"/api/v1/requests/{made['id']}")).json()["losses"]
    assert shown == [
        {"reason": "disconnected", "count": 2, "resource_ids": ["CS-1", "CS-2"]},
        {"reason": "stale", "count": 1, "resource_ids": ["B-1"]},
    ]


async def test_the_same_key_returns_the_same_request(client: httpx.AsyncClient) -> None:
    first = await client.post("/api/v1/requests", json=BODY, headers={"Idempotency-Key": "k"})
    again = await client.post("/api/v1/requests", json=BODY, headers={"Idempotency-Key": "k"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]


async def test_a_key_used_for_another_request_is_a_conflict(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/requests", json=BODY, headers={"Idempotency-Key": "k"})
    answer = await client.post("/api/v1/requests", json={**BODY, "target_kw": 3}, headers={"Idempotency-Key": "k"})

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:vpp:problem:conflict"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target_kw", -5.0),
        ("target_kw", 0),
        ("target_kw", "12"),
        ("target_kw", True),
        ("target_kw", 1e300),
        ("area", "atlantis"),
        ("area", ""),
        ("product", "free_lunch"),
        ("direction", "sideways"),
        ("notice_class", "soon"),
        ("start_at", "2026-07-15T13:00:00"),
        ("start_at", "2026-07-15"),
        ("start_at", 1784000000),
        ("start_at", "1784000000"),
        ("start_at", "0001-01-01T00:00:00+14:00"),
        ("start_at", "2026-02-30T13:00:00+08:00"),
        ("end_at", "2026-07-15T13:00:00+08:00"),
        ("tolerance_ratio", 1.5),
        ("ramp_minutes", -1),
        ("rebound_cap_kw", -1),
        ("min_delivered_ratio", 2),
        ("baseline_method", "guess"),
        ("colour", "green"),
    ],
)
async def test_a_field_that_makes_no_sense_is_named(client: httpx.AsyncClient, field: str, value: object) -> None:
    answer = await client.post("/api/v1/requests", json={**BODY, field: value})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:vpp:problem:invalid-input"
    assert problem["status"] == 422
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["errors"][0]["accepted"]


async def test_an_unknown_area_is_told_which_are_known(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/requests", json={**BODY, "area": "atlantis"})

    assert answer.json()["errors"] == [
        {"field": "area", "value": "atlantis", "accepted": "one of city, pudong, minhang"}
    ]


async def test_a_missing_field_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/requests", json={k: v for k, v in BODY.items() if k != "target_kw"})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "target_kw", "accepted": "a value: this field is required"}]


async def test_a_body_that_is_not_json_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/v1/requests", content=b'{"target_kw": NaN', headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert "JSON" in answer.json()["errors"][0]["accepted"]


async def test_a_body_beyond_all_reason_is_refused(client: httpx.AsyncClient) -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 2**19

    announced = await client.post("/api/v1/requests", json={**BODY, "area": "x" * 2**21})
    growing = await client.post("/api/v1/requests", content=unannounced(), headers={"Content-Type": "application/json"})

    assert announced.status_code == growing.status_code == 413
    assert announced.json()["detail"] == growing.json()["detail"] == "a body may have 1048576 bytes here"


async def test_the_actor_is_taken_from_its_header(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    await client.post("/api/v1/requests", json=BODY)
    await client.post("/api/v1/requests", json=BODY, headers={"X-Actor": "Li Wei"})

    assert plant.actors == ["dispatcher", "Li Wei"]


async def test_an_actor_with_control_characters_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/requests", json=BODY, headers={"X-Actor": "a<script>"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "X-Actor"


async def test_requests_are_listed_newest_first_by_page_and_state(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post("/api/v1/requests", json=BODY)
    await client.post("/api/v1/requests/r2/accept")

    page = (await client.get("/api/v1/requests", params={"limit": 2})).json()
    assert ([item["id"] for item in page["items"]], page["total"]) == (["r3", "r2"], 3)
    scheduled = (await client.get("/api/v1/requests", params={"state": "scheduled"})).json()
    assert [item["id"] for item in scheduled["items"]] == ["r2"]


async def test_one_request_shows_its_history_and_progress(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/requests", json=BODY)
    before = (await client.get("/api/v1/requests/r1")).json()
    await client.post("/api/v1/requests/r1/accept", json={})
    after = (await client.get("/api/v1/requests/r1")).json()

    assert before["history"][0] == {
        "at": "2026-07-15T04:00:00Z",
        "actor": "dispatcher",
        "version": 1,
        "from_state": None,
        "to_state": "quoted",
        "reason": "quoted",
    }
    assert before["progress"] is None
    assert after["progress"] == {
        "target_kw": 2.0,
        "delivered_kw": None,
        "baseline_kw": None,
        "measured_kw": None,
        "metered_ratio": None,
    }
    assert after["accepted_kw"] == 2.0


async def test_an_unknown_request_is_not_found(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", ""),
        ("POST", "/accept"),
        ("POST", "/cancel"),
        ("GET", "/performance"),
        ("GET", "/report"),
    ):
        answer = await client.request(method, f"/api/v1/requests/nope{path}")
        assert answer.status_code == 404, path
        assert answer.json()["detail"] == "request 'nope' is not known"


async def test_accepting_twice_is_a_conflict(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/requests", json=BODY)

    assert (await client.post("/api/v1/requests/r1/accept", json={"offer": 0})).json()["state"] == "scheduled"
    assert (await client.post("/api/v1/requests/r1/accept", json={"offer": 0})).status_code == 409


async def test_a_negative_offer_number_is_refused(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/requests", json=BODY)
    answer = await client.post("/api/v1/requests/r1/accept", json={"offer": -1})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "offer")


@pytest.mark.parametrize(("body", "reason"), [(None, "no reason given"), ({"reason": "grid is fine"}, "grid is fine")])
async def test_cancelling_records_the_reason(client: httpx.AsyncClient, body: object, reason: str) -> None:
    await client.post("/api/v1/requests", json=BODY)
    answer = await client.post("/api/v1/requests/r1/cancel", json=body)

    assert answer.json()["state"] == "cancelled"
    assert answer.json()["history"][-1]["reason"] == reason


async def test_performance_is_a_conflict_before_acceptance_and_a_measurement_after(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/requests", json=BODY)
    assert (await client.get("/api/v1/requests/r1/performance")).status_code == 409
    await client.post("/api/v1/requests/r1/accept")
    measured = (await client.get("/api/v1/requests/r1/performance")).json()

    assert measured["accuracy_ratio"] == 0.99
    assert measured["ramp_minutes"] is None
    assert measured["intervals"][0]["accuracy_ratio"] is None
    assert measured["baseline"]["methods"] == {"ev": "meter_before"}
    assert measured["baseline"]["excluded_days"] == [{"day": "2026-07-12", "reason": "Sunday"}]


async def test_the_report_is_json_unless_a_page_is_asked_for(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/requests", json=BODY)
    assert (await client.get("/api/v1/requests/r1/report")).status_code == 409
    await client.post("/api/v1/requests/r1/accept")

    plain = await client.get("/api/v1/requests/r1/report")
    page = await client.get("/api/v1/requests/r1/report", params={"format": "html"})
    browser = await client.get("/api/v1/requests/r1/report", headers={"Accept": "text/html,*/*;q=0.8"})
    assert plain.json() == {"request_id": "r1", "ramp_minutes": None}
    assert page.text == browser.text == "<h1>r1</h1>"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert (await client.get("/api/v1/requests/r1/report?format=pdf")).status_code == 422


@pytest.mark.parametrize(("path", "state"), [("decline", "declined"), ("supersede", "superseded")])
async def test_a_quote_is_declined_and_a_commitment_superseded_with_a_reason(
    client: httpx.AsyncClient, path: str, state: str
) -> None:
    await client.post("/api/v1/requests", json=BODY)
    answer = await client.post(f"/api/v1/requests/r1/{path}", json={"reason": "the grid needs it elsewhere"})

    assert answer.status_code == 200
    assert answer.json()["state"] == state
    assert answer.json()["history"][-1]["reason"] == "the grid needs it elsewhere"
    assert (await client.post(f"/api/v1/requests/nope/{path}")).status_code == 404


async def test_pages_before_a_request_repeat_nothing_while_new_ones_come(client: httpx.AsyncClient) -> None:
    for _ in range(4):
        await client.post("/api/v1/requests", json=BODY)
    first = (await client.get("/api/v1/requests", params={"limit": 2})).json()
    seen = [item["id"] for item in first["items"]]
    for _ in range(3):
        await client.post("/api/v1/requests", json=BODY)
    second = (await client.get("/api/v1/requests", params={"limit": 2, "before": seen[-1]})).json()

    assert seen + [item["id"] for item in second["items"]] == ["r4", "r3", "r2", "r1"]
    assert second["total"] == 7
    strange = await client.get("/api/v1/requests", params={"before": "nobody"})
    assert (strange.status_code, strange.json()["errors"][0]["field"]) == (422, "before")


async def test_a_change_is_asked_quoted_shown_and_put_in_force(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    name = (await client.post("/api/v1/requests", json=BODY)).json()["id"]
    early = await client.post(f"/api/v1/requests/{name}/revisions", json={"target_kw": 5.0})
    assert early.status_code == 409
    await client.post(f"/api/v1/requests/{name}/accept")

    asked = await client.post(
        f"/api/v1/requests/{name}/revisions", json={"target_kw": 5.0}, headers={"Idempotency-Key": "k"}
    )
    assert (asked.status_code, asked.json()["number"], asked.json()["accepted_at"]) == (201, 1, None)
    assert asked.headers["location"] == f"/api/v1/requests/{name}/revisions/1"
    assert asked.json()["quote"]["verdict"] == "partial"
    accepted = await client.post(f"/api/v1/requests/{name}/revisions/1/accept", headers={"Idempotency-Key": "a"})
    assert accepted.json()["revisions"][0]["accepted_kw"] == 1.0
    assert plant.keys[-1] == "a"
    assert (await client.get(f"/api/v1/requests/{name}/revisions")).json() == accepted.json()["revisions"]
    assert (await client.get(f"/api/v1/requests/{name}/revisions/1")).json() == accepted.json()["revisions"][0]


@pytest.mark.parametrize("body", [{}, {"target_kw": 0}, {"target_kw": "5"}, {"end_at": "soon"}, {"area": "city"}])
async def test_a_change_that_makes_no_sense_is_refused(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    name = (await client.post("/api/v1/requests", json=BODY)).json()["id"]
    assert (await client.post(f"/api/v1/requests/{name}/revisions", json=body)).status_code == 422


async def test_a_revision_nobody_asked_for_is_unknown(client: httpx.AsyncClient) -> None:
    name = (await client.post("/api/v1/requests", json=BODY)).json()["id"]
    assert (await client.get(f"/api/v1/requests/{name}/revisions/1")).status_code == 404
    assert (await client.get(f"/api/v1/requests/{name}/revisions/0")).status_code == 422


async def test_a_forgotten_request_is_gone(
    client: httpx.AsyncClient, plant: "FakePlant", monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgotten(request_id: str, **_: object) -> None:
        raise ForgottenError("request", request_id, "at noon; its record is in the journal")

    monkeypatch.setattr(plant, "request", forgotten)
    for path in ("requests/r9", "requests/r9/report", "requests/r9/revisions", "settlements/r9"):
        answer = await client.get(f"/api/v1/{path}")
        assert answer.status_code == 410, path
        assert answer.json()["type"] == "urn:vpp:problem:gone"
        assert answer.json()["detail"] == "request 'r9' was forgotten at noon; its record is in the journal"


@pytest.mark.parametrize("path", ["performance", "performance/sites"])
async def test_others_are_served_while_a_measurement_is_read(
    client: httpx.AsyncClient, plant: "FakePlant", monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    asked = (await client.post("/api/v1/requests", json=BODY)).json()["id"]
    await client.post(f"/api/v1/requests/{asked}/accept")
    measure, began, served = plant.performance, threading.Event(), threading.Event()
    loop = threading.current_thread()

    def slow(request_id: str, **scope: Scope) -> Performance | None:
        began.set()
        assert threading.current_thread() is not loop, "the event loop waits for the database"
        assert served.wait(PATIENCE_WALL_S)
        return measure(request_id, **scope)

    monkeypatch.setattr(plant, "performance", slow)
    reading = asyncio.create_task(client.get(f"/api/v1/requests/{asked}/{path}"))
    assert await asyncio.to_thread(began.wait, PATIENCE_WALL_S)
    assert (await client.get("/api/v1/requests")).status_code == 200
    served.set()
    assert (await reading).status_code == 200
