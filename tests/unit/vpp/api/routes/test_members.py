"""Members over HTTP: put, patched and retired one by one, with versions, dry runs and history."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.story.town import BEGIN_S
from vpp.bootstrap.grid_links import http_application
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.site import Area
from vpp.runtime.clock import VirtualClock

if TYPE_CHECKING:
    from conftest import _FakePlant as FakePlant

TRANSFORMER = {"area_id": "north", "limit_kw": 400.0, "export_limit_kw": 400.0}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a service of its own, without devices."""
    store = Store.open("sqlite://")
    service = Service(Settings.load(data_dir=tmp_path), store, VirtualClock(BEGIN_S), ())
    await service.open()
    app = http_application(service, service.plant)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://vpp/api/v1") as client:
        yield client
    await service.close()
    store.close()


async def _known(api: httpx.AsyncClient) -> None:
    for path, record in (
        ("/areas", {"id": "north", "name": "North"}),
        ("/operators", {"id": "op", "name": "Op"}),
        ("/transformers", {"id": "tr", **TRANSFORMER}),
        ("/sites", {"id": "si", "name": "Si", "area_id": "north", "operator_id": "op", "transformer_id": "tr"}),
    ):
        assert (await api.post(path, json=record)).status_code == 201


DEVICE: dict[str, Any] = {
    "site_id": "si",
    "resource_class": "hvac",
    "adapter": "mqtt",
    "address": "si/ahu-1",
    "p_min_kw": 0.0,
    "p_max_kw": 50.0,
}


async def test_a_put_creates_replaces_and_repeats_harmlessly(api: httpx.AsyncClient) -> None:
    await _known(api)
    created = await api.put("/resources/ahu", json=DEVICE, headers={"X-Actor": "anna"})
    assert (created.status_code, created.headers["ETag"]) == (201, '"1"')
    again = await api.put("/resources/ahu", json=DEVICE)
    assert (again.status_code, again.json()["changed"], again.headers["ETag"]) == (200, False, '"1"')
    larger = await api.put("/resources/ahu", json={**DEVICE, "p_max_kw": 60.0}, headers={"X-Actor": "bert"})
    assert (larger.status_code, larger.json()["changed"], larger.headers["ETag"]) == (200, True, '"2"')
    seen = (await api.get("/members/resources/ahu")).json()
    assert (seen["version"], seen["in_service"], seen["stated"]["p_max_kw"]) == (2, True, 60.0)
    assert [(one["version"], one["actor"], one["stated"]["p_max_kw"]) for one in seen["former"]] == [(1, "bert", 50.0)]


async def test_a_patch_changes_what_it_names_and_null_takes_a_value_back(api: httpx.AsyncClient) -> None:
    await _known(api)
    await api.put("/resources/ahu", json={**DEVICE, "default_kw": 20.0, "phases": 1})
    assert (await api.patch("/resources/ahu", json={"p_max_kw": 70.0})).status_code == 200
    stated = (await api.get("/members/resources/ahu")).json()["stated"]
    assert (stated["p_max_kw"], stated["default_kw"], stated["phases"]) == (70.0, 20.0, 1)
    assert (await api.patch("/resources/ahu", json={"default_kw": None})).status_code == 200
    assert (await api.get("/members/resources/ahu")).json()["stated"]["default_kw"] is None


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"p_max_kw": -5.0}, "p_min_kw"),
        ({"site_id": "nowhere"}, "site_id"),
        ({"resource_class": "pv"}, "resource_class"),
        ({"adapter": "modbus"}, "adapter"),
        ({"id": "other"}, "id"),
        ({"address": None}, "address"),
        ([], "body"),
    ],
)
async def test_a_patch_that_is_not_accepted_names_the_field_and_changes_nothing(
    api: httpx.AsyncClient, patch: object, field: str
) -> None:
    await _known(api)
    await api.put("/resources/ahu", json=DEVICE)
    refused = await api.patch("/resources/ahu", json=patch)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == field
    assert (await api.get("/members/resources/ahu")).headers["ETag"] == '"1"'


async def test_a_change_of_a_version_that_no_longer_stands_is_refused(api: httpx.AsyncClient) -> None:
    await _known(api)
    await api.put("/resources/ahu", json=DEVICE)
    await api.patch("/resources/ahu", json={"p_max_kw": 60.0}, headers={"If-Match": '"1"'})
    for method, body in (("PUT", DEVICE), ("PATCH", {"p_max_kw": 1.0}), ("DELETE", None)):
        stale = await api.request(method, "/resources/ahu", json=body, headers={"If-Match": '"1"'})
        assert (stale.status_code, stale.json()["type"]) == (412, "urn:vpp:problem:precondition-failed")
    taken = await api.put("/resources/ahu", json=DEVICE, headers={"If-None-Match": "*"})
    assert taken.status_code == 412
    odd = await api.put("/resources/ahu", json=DEVICE, headers={"If-Match": "yesterday"})
    assert (odd.status_code, odd.json()["errors"][0]["field"]) == (422, "If-Match")
    assert (await api.delete("/resources/ahu", headers={"If-Match": "*"})).status_code == 200


async def test_a_dry_run_says_what_would_happen(api: httpx.AsyncClient) -> None:
    await _known(api)
    await api.put("/resources/ahu", json=DEVICE)
    told = (await api.delete("/operators/op", params={"dry_run": True})).json()
    assert (told["changed"], told["dry_run"], told["members_count"], told["effects"]["devices"]) == (False, True, 3, 1)
    assert (await api.get("/members/operators/op")).json()["in_service"]
    assert (await api.patch("/transformers/tr", json={"parent_id": "tr"}, params={"dry_run": True})).status_code == 422


async def test_a_retired_id_is_never_used_again_and_retiring_again_is_harmless(api: httpx.AsyncClient) -> None:
    await _known(api)
    await api.put("/resources/ahu", json=DEVICE)
    assert (await api.delete("/resources/ahu")).json()["members_count"] == 1
    again = await api.delete("/resources/ahu")
    assert (again.status_code, again.json()["changed"]) == (200, False)
    for reused in (
        await api.put("/resources/ahu", json=DEVICE),
        await api.post("/resources", json={"id": "ahu", **DEVICE}),
    ):
        assert reused.status_code == 422
        assert "never used again" in reused.json()["detail"]
    listed = (await api.get("/resources")).json()["items"]
    assert "ahu" not in {device["id"] for device in listed}
    gone = (await api.get("/resources", params={"in_service": False})).json()["items"]
    assert [(device["id"], device["in_service"]) for device in gone] == [("ahu", False)]
    assert (await api.put("/resources/ahu-2", json=DEVICE)).status_code == 201, "its address is free"


async def test_what_is_used_is_not_retired_and_what_is_unknown_is_not_found(api: httpx.AsyncClient) -> None:
    await _known(api)
    for path in ("/areas/north", "/transformers/tr"):
        refused = await api.delete(path)
        assert (refused.status_code, "retire or move" in refused.json()["detail"]) == (409, True)
    for method, path in (("DELETE", "/sites/x"), ("PATCH", "/sites/x"), ("GET", "/members/sites/x")):
        assert (await api.request(method, path, json={} if method == "PATCH" else None)).status_code == 404
    sold = await api.put("/operators/two", json={"name": "Two"})
    assert sold.status_code == 201
    assert (await api.patch("/sites/si", json={"operator_id": "two"})).status_code == 200
    assert (await api.delete("/operators/op")).json()["members_count"] == 1
    assert (await api.patch("/sites/si", json={"operator_id": "op"})).status_code == 422


async def test_a_member_whose_id_is_not_ascii_is_retired_with_an_address_of_ascii(
    client: httpx.AsyncClient, plant: "FakePlant"
) -> None:
    await plant.connect(areas=[Area(id="浦东", name="Pudong")])
    retired = await client.delete("/api/v1/areas/浦东")
    assert retired.status_code == 200
    assert (await client.get(retired.headers["Location"])).json()["in_service"] is False


async def test_a_put_on_any_version_of_a_member_that_is_not_there_answers_404_as_described(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.put("/api/v1/areas/nowhere", json={"name": "Nowhere"}, headers={"If-Match": "*"})
    assert answer.status_code == 404
    described = (await client.get("/openapi.json")).json()["paths"]["/api/v1/areas/{member_id}"]["put"]
    assert "404" in described["responses"]
