"""Live state, plans, sessions: what the fleet is and what it will do."""

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from vpp.domain.session import ChargingSession, Promise

if TYPE_CHECKING:
    from conftest import _FakePlant as FakePlant


async def test_the_fleet_is_summed_and_unknown_is_not_zero(client: httpx.AsyncClient) -> None:
    fleet = (await client.get("/api/v1/fleet")).json()

    assert (fleet["resources"], fleet["connected"], fleet["metered"], fleet["plugged"]) == (3, 2, 2, 1)
    assert fleet["freshly_metered"] == 2
    assert fleet["power_kw"] == -9.0
    assert fleet["quality"] == {"good": 2, "stale": 0, "substituted": 0, "bad": 1}
    assert fleet["adapters"] == {"ocpp": 1, "modbus": 1, "mqtt": 0}
    assert [(c["resource_class"], c["resources"]) for c in fleet["classes"]] == [("ev", 2), ("pv", 1)]


async def test_areas_show_their_own_devices(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/v1/areas")).json()

    assert [(a["id"], a["resources"], a["power_kw"]) for a in page["items"]] == [
        ("pudong", 2, 11.0),
        ("minhang", 1, -20.0),
    ]


async def test_transformers_carry_everything_below_them(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/v1/transformers", params={"area": "pudong"})).json()

    feeder, leaf = page["items"]
    assert (feeder["load_kw"], feeder["load_ratio"]) == (11.0, 0.11)
    assert (leaf["load_kw"], leaf["parent_id"]) == (11.0, "feeder")


async def test_sites_and_operators_are_listed(client: httpx.AsyncClient) -> None:
    sites = (await client.get("/api/v1/sites", params={"operator": "op-2"})).json()
    operators = (await client.get("/api/v1/operators")).json()

    assert [site["id"] for site in sites["items"]] == ["roof"]
    assert [operator["id"] for operator in operators["items"]] == ["op-1", "op-2"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["mall/ev-1", "mall/ev-2", "roof-pv"]),
        ({"limit": 1, "offset": 1}, ["mall/ev-2"]),
        ({"area": "minhang"}, ["roof-pv"]),
        ({"area": "city", "class": "ev"}, ["mall/ev-1", "mall/ev-2"]),
        ({"operator": "op-2"}, ["roof-pv"]),
        ({"adapter": "ocpp", "connected": "false"}, ["mall/ev-2"]),
        ({"quality": "bad"}, ["mall/ev-2"]),
        ({"trouble": "clock_off"}, ["mall/ev-1"]),
        ({"trouble": "faulted"}, []),
        ({"adapter": "mqtt"}, []),
    ],
)
async def test_resources_are_filtered_and_paged(
    client: httpx.AsyncClient, query: dict[str, str], ids: list[str]
) -> None:
    page = (await client.get("/api/v1/resources", params=query)).json()

    assert [item["id"] for item in page["items"]] == ids


async def test_the_schedule_a_device_holds_has_instants_with_offset_and_unknown_is_null(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/api/v1/resources/mall/ev-1/device-schedule", params={"duration_s": 3600})

    assert answer.json() == {
        "resource_id": "mall/ev-1",
        "periods": [
            {"start_at": "2026-07-15T04:00:00Z", "power_kw": 11.0},
            {"start_at": "2026-07-15T04:15:00Z", "power_kw": -3.0},
            {"start_at": "2026-07-15T05:00:00Z", "power_kw": None},
        ],
    }


@pytest.mark.parametrize(
    ("resource", "unreachable", "status", "says"),
    [
        ("mall/nobody", False, 404, "mall/nobody"),
        ("roof-pv", False, 409, "modbus"),
        ("mall/ev-1", True, 503, "CS-1 did not answer"),
    ],
)
async def test_why_a_device_does_not_say_what_it_holds(
    client: httpx.AsyncClient, plant: "FakePlant", *, resource: str, unreachable: bool, status: int, says: str
) -> None:
    plant.unreachable = unreachable
    answer = await client.get(f"/api/v1/resources/{resource}/device-schedule")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("resources?limit=0", "limit"),
        ("resources?limit=1001", "limit"),
        ("resources?offset=-1", "offset"),
        ("resources/mall/ev-1/device-schedule?duration_s=59", "duration_s"),
        ("resources?class=submarine", "class"),
        ("resources?quality=fine", "quality"),
        ("resources?adapter=carrier-pigeon", "adapter"),
        ("resources?connected=perhaps", "connected"),
        ("schedule?date=yesterday", "date"),
    ],
)
async def test_a_query_that_makes_no_sense_is_named(client: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await client.get(f"/api/v1/{path}")

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "path",
    [
        "resources?area=atlantis",
        "resources?operator=nobody",
        "resources/nothing",
        "transformers?area=atlantis",
        "sites?operator=nobody",
        "capability?area=atlantis",
        "schedule?area=atlantis",
    ],
)
async def test_a_name_nobody_registered_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/v1/{path}")

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:vpp:problem:unknown-id"


async def test_one_resource_shows_nameplate_state_and_card(client: httpx.AsyncClient) -> None:
    device = (await client.get("/api/v1/resources/mall/ev-1")).json()

    assert (device["power_kw"], device["quality"], device["soc"]) == (11.0, "good", None)
    assert device["power_at"] == "2026-07-15T03:59:55Z"
    assert (device["p_max_kw"], device["ramp_kw_per_min"], device["address"]) == (11.0, None, "CS-1/1")
    assert device["card"] == {
        "row": 0,
        "latency_s": 1.5,
        "verified_up_kw": None,
        "tested_at": "2026-07-15T04:00:00+00:00",
    }


async def test_the_record_of_quotes_says_what_was_kept_and_what_was_left_out(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/quotes/calibration")).json()
    assert body["left_out"] == {"under_dispatch": 3}
    (item,) = body["items"]
    assert (item["area"], item["direction"], item["notice"], item["block"]) == ("pudong", "up", "1h", "18-24")
    assert (item["kept_p10_ratio"], item["kept_p50_ratio"], item["windows"]) == (0.91, None, 412)
    assert item["learnt"] is True


async def test_capability_has_96_points_in_both_directions(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/capability", params={"date": "2026-07-16", "area": "pudong"})).json()

    assert body["interval_starts_at"][0] == "2026-07-15T16:00:00Z", "midnight in Shanghai"
    assert len(body["interval_starts_at"]) == len(body["up"]["available_kw"]) == 96
    assert (body["up"]["available_kw"][0], body["down"]["available_kw"][0]) == (12.0, 3.0)
    assert (body["up"]["verified_kw"][0], body["up"]["ramp_kw_per_min"][0]) == (None, None)


async def test_the_schedule_is_summed_by_area_and_class_and_null_outside_the_plan(client: httpx.AsyncClient) -> None:
    today = (await client.get("/api/v1/schedule")).json()
    tomorrow = (await client.get("/api/v1/schedule", params={"date": "2026-07-16"})).json()
    later = (await client.get("/api/v1/schedule", params={"date": "2026-07-17"})).json()

    assert (today["date"], today["rung"], today["reason"]) == ("2026-07-15", "previous", "solver was late")
    assert (today["total_kw"][47], today["total_kw"][48]) == (None, 4.0)
    assert [(s["area"], s["resource_class"], s["power_kw"][48]) for s in today["series"]] == [
        ("pudong", "ev", 11.0),
        ("minhang", "pv", -7.0),
    ]
    assert (tomorrow["total_kw"][47], tomorrow["total_kw"][48]) == (4.0, None)
    assert set(later["total_kw"]) == {None}


async def test_sessions_are_listed_and_take_a_promise(client: httpx.AsyncClient) -> None:
    wish = {"energy_kwh": 12.0, "departure_at": "2026-07-15T18:00:00+08:00", "floor_kwh": 2.0, "boost": True}
    before = (await client.get("/api/v1/sessions")).json()
    after = await client.post("/api/v1/sessions/CS-1/17:a/promise", json=wish)

    assert before["items"][0]["promise"] is None
    assert before["items"][0]["resource_id"] == "mall/ev-1"
    assert after.status_code == 200
    assert after.json()["promise"] == {
        "energy_kwh": 12.0,
        "departure_at": "2026-07-15T10:00:00Z",
        "floor_kwh": 2.0,
        "opted_out": False,
        "boost": True,
    }


async def test_an_encoded_session_id_is_the_same_session(client: httpx.AsyncClient) -> None:
    wish = {"energy_kwh": 12.0, "departure_at": "2026-07-15T18:00:00+08:00"}

    assert (await client.post("/api/v1/sessions/CS-1%2F17%3Aa/promise", json=wish)).status_code == 200
    assert (await client.post("/api/v1/sessions/CS-9/1/promise", json=wish)).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [("energy_kwh", -1.0), ("departure_at", "2026-07-15T18:00"), ("floor_kwh", 13.0), ("boost", "yes")],
)
async def test_a_wish_that_makes_no_sense_is_named(client: httpx.AsyncClient, field: str, value: object) -> None:
    wish = {"energy_kwh": 12.0, "departure_at": "2026-07-15T18:00:00+08:00", field: value}
    answer = await client.post("/api/v1/sessions/CS-1/17:a/promise", json=wish)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_commands_are_accounted_for(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/commands")).json() == {"sent": 4, "confirmed": 4, "unaccounted": 0}


@pytest.mark.parametrize("at_s", [-6.2e10, 2.5e11, float("inf"), float("nan"), -1.0])
async def test_odd_instants_that_were_stored_are_shown_as_unknown(
    client: httpx.AsyncClient, plant: "FakePlant", at_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise = Promise(energy_kwh=1.0, departure_s=at_s)
    plant._sessions["CS-1/17:a"] = ChargingSession(id="CS-1/17:a", row=0, started_s=at_s, promise=promise, ended_s=at_s)
    state = plant.fleet()
    odd = replace(state, power_at_s=np.full(len(state), at_s), departure_s=np.full(len(state), at_s))
    monkeypatch.setattr(plant, "fleet", lambda **_: odd)

    session = (await client.get("/api/v1/sessions")).json()["items"][0]
    assert (session["started_at"], session["ended_at"], session["promise"]["departure_at"]) == (None, None, None)
    device = (await client.get("/api/v1/resources/mall/ev-1")).json()
    assert (device["power_at"], device["departure_at"]) == (None, None)
    assert (await client.get("/api/v1/resources")).status_code == 200


@pytest.mark.parametrize("day", ["0001-01-01", "1999-12-31", "2100-01-01", "9999-12-31"])
@pytest.mark.parametrize("route", ["capability", "schedule"])
async def test_a_day_out_of_all_reason_is_refused(client: httpx.AsyncClient, route: str, day: str) -> None:
    answer = await client.get(f"/api/v1/{route}", params={"date": day})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "date")


async def test_a_device_shows_its_troubles_in_both_languages_and_what_was_last_refused(
    client: httpx.AsyncClient,
) -> None:
    ill = (await client.get("/api/v1/resources/mall/ev-1")).json()
    well = (await client.get("/api/v1/resources/mall/ev-2")).json()

    (trouble,) = ill["troubles"]
    assert (trouble["code"], trouble["english"], trouble["chinese"]) == ("clock_off", "clock 5 min slow", "时钟慢5分钟")
    assert trouble["since"] == "2026-07-15T03:59:00Z"
    assert ill["last_rejected"]["text"] == "power 7,000 kW, nameplate 11 kW, 12 s ago"
    assert (ill["last_rejected"]["kind"], ill["last_rejected"]["value"]) == ("range", 7000.0)
    assert (well["troubles"], well["last_rejected"]) == ([], None)


async def test_the_fleet_counts_troubles_and_an_unknown_one_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/fleet")).json()["troubles"] == {"clock_off": 1}
    assert (await client.get("/api/v1/resources", params={"trouble": "bored"})).status_code == 422
