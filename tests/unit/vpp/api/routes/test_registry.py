"""Operators connect their sites, and hand in what their meters say."""

from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from vpp.domain.limits import Limits
from vpp.domain.timegrid import instant

if TYPE_CHECKING:
    from conftest import _FakePlant as FakePlant

CHARGER = {
    "id": "mall/ev-3",
    "site_id": "mall",
    "resource_class": "ev",
    "adapter": "ocpp",
    "address": "CS-3/1",
    "p_min_kw": 0,
    "p_max_kw": 22.0,
}
CSV = {"Content-Type": "text/csv"}


async def test_limits_are_registered_and_shown_at_every_level(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    operator = "id,name,soc_floor,promise_margin_s\nop-9,Nine,0.4,\n"
    site = {"id": "s-9", "name": "S", "area_id": "pudong", "operator_id": "op-9", "transformer_id": "feeder"}
    for path, sent in (
        ("operators", {"content": operator, "headers": CSV}),
        ("sites", {"json": {**site, "promise_margin_s": 900.0}}),
        ("resources", {"json": {**CHARGER, "site_id": "s-9", "wear_cny_per_kwh": 0.0}}),
    ):
        answer = await client.post(f"/api/v1/{path}", **sent)
        assert answer.status_code == 201, answer.text

    assert plant.index.operators[-1].limits == Limits(soc_floor=0.4)
    assert plant.index.sites[-1].limits == Limits(promise_margin_s=900.0)
    assert plant.index.resources[-1].limits == Limits(wear_cny_per_kwh=0.0)
    shown = (await client.get(f"/api/v1/resources/{CHARGER['id']}")).json()
    assert (shown["wear_cny_per_kwh"], shown["soc_floor"]) == (0.0, None)
    in_force = {"soc_floor": 0.4, "soc_ceiling": 0.95, "promise_margin_s": 900.0, "wear_cny_per_kwh": 0.0}
    assert shown["limits_in_force"] == in_force
    assert (await client.get("/api/v1/operators")).json()["items"][-1]["soc_floor"] == 0.4


async def test_limits_that_contradict_one_another_are_refused_by_name(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/resources", json={**CHARGER, "soc_floor": 0.6, "soc_ceiling": 0.5})

    assert answer.status_code == 422
    assert answer.json()["errors"][0] | {"row": 1} == {
        "row": 1,
        "field": "soc_ceiling",
        "value": 0.5,
        "accepted": "a number at or above soc_floor = 0.6",
    }


@pytest.mark.parametrize("ways", [{"a": "a"}, {"a": "b", "b": "c", "c": "a"}])
async def test_a_transformer_that_feeds_itself_is_refused(client: httpx.AsyncClient, ways: dict[str, str]) -> None:
    size = {"area_id": "pudong", "limit_kw": 100.0, "export_limit_kw": 100.0}
    nodes = [{"id": name, "parent_id": above, **size} for name, above in ways.items()]
    answer = await client.post("/api/v1/transformers", json=nodes)

    assert answer.status_code == 422, answer.text
    assert "parent_id" in answer.text


async def test_one_resource_joins_and_is_found_at_its_place(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    answer = await client.post("/api/v1/resources", json=CHARGER)

    assert (answer.status_code, answer.json()["resources"]) == (201, 1)
    assert (await client.get(answer.headers["Location"])).json()["p_max_kw"] == 22.0
    joined = plant.index.resources[-1]
    assert (joined.ramp_kw_per_min, joined.phases) == (float("inf"), 3)
    assert np.isnan(joined.default_kw)


async def test_a_whole_fleet_joins_in_one_go(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    body = {
        "areas": [{"id": "hongkou", "name": "Hongkou"}],
        "operators": [{"id": "op-3", "name": "Three"}],
        "transformers": [
            {"id": "tr-9", "area_id": "hongkou", "limit_kw": 9.0, "export_limit_kw": 0.0, "parent_id": None}
        ],
        "sites": [
            {"id": "s", "name": "S", "area_id": "hongkou", "operator_id": "op-3", "transformer_id": "tr-9"},
        ],
        "resources": [{**CHARGER, "site_id": "s"}],
    }
    first = await client.post("/api/v1/fleet", json=body)
    again = await client.post("/api/v1/fleet", json=body)

    assert first.json() == {"areas": 1, "operators": 1, "transformers": 1, "sites": 1, "resources": 1}
    assert again.status_code == 201
    assert len(plant.index) == 4


@pytest.mark.parametrize(
    ("path", "record"),
    [
        ("areas", {"id": "hongkou", "name": "Hongkou"}),
        ("operators", {"id": "op-3", "name": "Three"}),
        ("transformers", {"id": "tr-9", "area_id": "pudong", "limit_kw": 9.0, "export_limit_kw": 0.0}),
        ("sites", {"id": "s", "name": "S", "area_id": "pudong", "operator_id": "op-1", "transformer_id": "tr-1"}),
        ("resources", CHARGER),
    ],
)
async def test_every_kind_joins_as_json_and_as_csv(
    client: httpx.AsyncClient, path: str, record: dict[str, object]
) -> None:
    table = ",".join(record) + "\n" + ",".join(str(value) for value in record.values()) + "\n"

    assert (await client.post(f"/api/v1/{path}", json=[record])).json()[path] == 1
    assert (await client.post(f"/api/v1/{path}", content=table, headers=CSV)).json()[path] == 1


async def test_faulty_records_are_named_by_row_and_nothing_is_taken(
    client: httpx.AsyncClient, plant: "FakePlant"
) -> None:
    records = [
        CHARGER,
        {**CHARGER, "id": "a", "p_max_kw": "much"},
        {**CHARGER, "id": "b", "p_min_kw": 30.0},
        {**CHARGER, "id": "c", "efficiency": 0.0, "colour": "red"},
        "charger",
    ]
    answer = await client.post("/api/v1/resources", json=records)

    assert answer.status_code == 422
    named = [(error["row"], error["field"]) for error in answer.json()["errors"]]
    assert named == [(2, "p_max_kw"), (3, "p_min_kw"), (4, "efficiency"), (4, "colour"), (5, "body")]
    assert len(plant.index) == 3


@pytest.mark.parametrize(
    ("records", "row", "field", "value"),
    [
        ([{**CHARGER, "site_id": "nowhere"}], 1, "site_id", "nowhere"),
        ([CHARGER, CHARGER], 2, "id", "mall/ev-3"),
    ],
)
async def test_references_and_repeats_are_checked(
    client: httpx.AsyncClient, records: list[object], row: int, field: str, value: str
) -> None:
    errors = (await client.post("/api/v1/resources", json=records)).json()["errors"]

    assert [(e["row"], e["field"], e["value"]) for e in errors] == [(row, field, value)]


async def test_an_id_taken_by_another_device_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/resources", json={**CHARGER, "id": "mall/ev-1"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["value"] == "mall/ev-1"


async def test_no_area_may_be_called_city(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/areas", json={"id": "city", "name": "All"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "id")


async def test_a_fault_in_a_whole_fleet_names_its_part(client: httpx.AsyncClient) -> None:
    body = {"areas": [{"id": "a", "name": "A"}, {"id": "b"}], "sites": [{"id": "s"}]}
    errors = (await client.post("/api/v1/fleet", json=body)).json()["errors"]

    assert (errors[0]["row"], errors[0]["field"]) == (2, "areas.name")
    assert {error["field"] for error in errors[1:]} >= {"sites.area_id", "sites.operator_id"}


@pytest.mark.parametrize("body", ["[]", "[1]", '{"cars": []}', '{"areas": {}}', "{", '{"areas": [{"id": 1}]}'])
async def test_a_fleet_that_is_none_is_refused(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post("/api/v1/fleet", content=body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    ("table", "row", "field"),
    [
        ("id,name\nop-9,Nine,extra\n", 1, "row"),
        ("id,name\n", None, "body"),
        ("id,id\na,b\n", None, "header"),
        ("id,colour\na,red\n", 1, "name"),
        (b"id,name\n\xff\xfe,x\n", None, "body"),
    ],
)
async def test_a_table_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, table: str | bytes, row: int | None, field: str
) -> None:
    answer = await client.post("/api/v1/operators", content=table, headers=CSV)

    assert answer.status_code == 422
    first = answer.json()["errors"][0]
    assert (first.get("row"), first["field"]) == (row, field)


async def test_metered_means_are_imported_with_gaps_unknown(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    table = "\ufeffstart_at,mall/ev-1,roof-pv\r\n2026-07-15T10:30:00+08:00,6.25,\r\n2026-07-15T02:00:00Z,6.5,-3\r\n"
    answer = await client.post("/api/v1/meter-intervals", content=table.encode(), headers=CSV)

    assert answer.json() == {"resources": 2, "intervals": 3, "values": 3}
    grid, ids, mean_kw = plant.imported[0]
    assert (grid.start_at, ids) == (instant(1784080800.0), ("mall/ev-1", "roof-pv"))
    np.testing.assert_array_equal(mean_kw, [[6.5, np.nan, 6.25], [-3.0, np.nan, np.nan]])


@pytest.mark.parametrize(
    ("table", "row", "field"),
    [
        ("time,mall/ev-1\n2026-07-15T10:00:00Z,1\n", None, "header"),
        ("start_at\n2026-07-15T10:00:00Z\n", None, "header"),
        ("start_at,mall/ev-9\n2026-07-15T10:00:00Z,1\n", None, "header"),
        ("start_at,mall/ev-1\n2026-07-15T10:00:00,1\n", 1, "start_at"),
        ("start_at,mall/ev-1\n2026-07-15T10:07:00Z,1\n", 1, "start_at"),
        ("start_at,mall/ev-1\n2026-07-15T10:00:00Z,1\nlater,1\n", 2, "start_at"),
        ("start_at,mall/ev-1\n2026-07-15T10:00:00Z,much\n", 1, "mall/ev-1"),
        ("start_at,mall/ev-1\n2026-07-15T10:00:00Z,inf\n", 1, "mall/ev-1"),
        ("start_at,mall/ev-1\n2026-07-15T10:00:00Z,1,2\n", 1, "row"),
        ("start_at,mall/ev-1\n2026-07-15T10:00:00Z,1\n2026-07-15T10:00:00Z,1\n", 2, "start_at"),
        ("start_at,mall/ev-1\n1990-07-15T10:00:00Z,1\n2026-07-15T10:00:00Z,1\n", None, "start_at"),
        ("start_at,mall/ev-1\n0001-01-01T00:00:00+14:00,1\n", 1, "start_at"),
        ("start_at,mall/ev-1\n9999-12-31T23:45:00-12:00,1\n", 1, "start_at"),
        ("start_at,mall/ev-1\n2026-07-15T01:00:00Z,1_0\n", 1, "mall/ev-1"),
        ("start_at,mall/ev-1\n2026-07-15T01:00:00Z,+-5\n", 1, "mall/ev-1"),
        (f"start_at,mall/ev-1\n2026-07-15T01:00:00Z,{'9' * 5000}\n", 1, "mall/ev-1"),
        ('start_at,mall/ev-1\n2026-07-15T01:00:00Z,"6,1"\n', 1, "mall/ev-1"),
        ("start_at,mall/ev-1\n2026-07-15T01:00:00Z,\u0663\n", 1, "mall/ev-1"),
        ("", None, "body"),
    ],
)
async def test_a_meter_table_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, plant: "FakePlant", table: str, row: int | None, field: str
) -> None:
    answer = await client.post("/api/v1/meter-intervals", content=table, headers=CSV)

    assert answer.status_code == 422
    first = answer.json()["errors"][0]
    assert (first.get("row"), first["field"]) == (row, field)
    assert not plant.imported


async def test_meter_tables_come_as_csv_only(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/meter-intervals", json={})

    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"


async def test_history_that_cannot_be_is_refused_by_record_and_resource(
    client: httpx.AsyncClient, plant: "FakePlant"
) -> None:
    table = (
        "start_at,mall/ev-1,roof-pv\n"
        "2026-07-15T10:30:00+08:00,6000,-3\n"
        "2026-07-15T10:00:00+08:00,6,3000\n"
        "2026-07-15T10:15:00+08:00,-6,-2\n"
        "2026-07-16T10:15:00+08:00,6,\n"
    )
    answer = await client.post("/api/v1/meter-intervals", content=table, headers=CSV)

    assert answer.status_code == 422
    found = {(error["row"], error["field"]): error["accepted"] for error in answer.json()["errors"]}
    assert set(found) == {(1, "mall/ev-1"), (2, "roof-pv"), (3, "mall/ev-1"), (4, "mall/ev-1")}
    assert "watts?" in found[1, "mall/ev-1"]
    assert "the other sign?" in found[3, "mall/ev-1"]
    assert found[4, "mall/ev-1"] == "an interval that has ended"
    assert not plant.imported, "nothing of a bad table is stored"


async def test_every_bad_record_is_named_up_to_a_bound(client: httpx.AsyncClient) -> None:
    bad = "".join(f"2026-07-14T{hour:02}:0{hour % 6}:00Z,much\n" for hour in range(24))
    answer = await client.post("/api/v1/meter-intervals", content="start_at,mall/ev-1\n" + bad, headers=CSV)
    assert [error["row"] for error in answer.json()["errors"]] == list(range(1, 25))


@pytest.mark.parametrize("cell", ["+-5", "9" * 5000, "1_000", "\u0663", "--1", "1e99999", "0x10", "+"])
async def test_a_cell_that_is_no_number_is_refused_by_name(client: httpx.AsyncClient, cell: str) -> None:
    table = f"id,area_id,limit_kw,export_limit_kw\nt-9,pudong,{cell},1\n"
    answer = await client.post("/api/v1/transformers", content=table.encode(), headers=CSV)

    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["row"], answer.json()["errors"][0]["field"]) == (1, "limit_kw")
