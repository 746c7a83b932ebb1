"""Two operators behind one service: to each the other does not exist.

A service whose fleet is one operator's alone answers whoever sees everything just as a service of both answers that
operator's own scope; and of the other nothing is named, counted or summed anywhere.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from tests.story.town import BEGIN_S, INDEX, resting
from vpp.api import deps
from vpp.application.delivery.recovery import Issued
from vpp.application.scoping.visibility import Visibility
from vpp.application.watch.cycle_reports import _SUMMARY_CYCLES
from vpp.bootstrap.grid_links import http_application
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.official_settlement import OfficialLine, OfficialResult
from vpp.domain.performance import Shares
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.request import CITY, Direction, DispatchRequest, NoticeClass, Product, RequestDraft
from vpp.domain.resource import Resource
from vpp.domain.session import Promise, SessionStarted
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.domain.standing import AvailabilityDay, StandingCommitment, StandingHours, StandingTerms
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.planning.forecast.load_forecast import forecast
from vpp.runtime.clock import VirtualClock
from vpp.settlement.money.availability import availability_shares, settle_availability
from vpp.settlement.money.reconciliation import OwnResult, reconciled

NORTH, SOUTH = Area(id="north", name="North"), Area(id="south", name="South")
MINE, THEIRS = Scope(operators=frozenset({"mine"})), Scope(operators=frozenset({"theirs"}))
SOUTHERN = Scope(areas=frozenset({"south"}))


def fleet(*operators: str) -> dict[str, Any]:
    """Return a fleet in which each operator has a site with six devices and a transformer of its own."""
    kept = [resource for resource in INDEX.resources if resource.address][:12]
    halves = {"mine": kept[0::2], "theirs": kept[1::2]}
    area_of = {"mine": "south", "theirs": "north"}
    return {
        "areas": (NORTH, SOUTH),
        "operators": tuple(Operator(id=name, name=name.upper()) for name in operators),
        "transformers": tuple(
            Transformer(id=f"{name}-tr", area_id=area_of[name], limit_kw=500.0, export_limit_kw=500.0)
            for name in operators
        ),
        "sites": tuple(
            Site(id=f"{name}-site", name=name, area_id=area_of[name], operator_id=name, transformer_id=f"{name}-tr")
            for name in operators
        ),
        "resources": tuple(
            replace(resource, id=f"{name}/{n}", site_id=f"{name}-site")
            for name in operators
            for n, resource in enumerate(halves[name])
        ),
    }


@dataclass(kw_only=True)
class Made:
    """A service, its clock and its HTTP application, whose callers have ``scope``."""

    service: Service
    store: Store
    clock: VirtualClock
    resources: tuple[Resource, ...]
    scope: Scope = EVERYTHING

    @cached_property
    def app(self) -> FastAPI:
        """The application, whose callers have the scope of the moment."""
        app = http_application(self.service, self.service.plant)
        app.dependency_overrides[deps._scope] = lambda: self.scope
        return app

    async def get(self, path: str, **params: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
        """Return the answer to a caller of the scope."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://vpp") as client:
            return await client.get(f"/api/v1/{path}", params=params)

    async def cycle(self) -> None:
        """Let ten seconds and a cycle pass, every device at its own power."""
        at_s = self.clock.now_s()
        powers = {resource.id: 1.0 + 0.25 * int(resource.id[-1]) for resource in self.resources}
        samples = [
            (row, quantity, value, at_s)
            for row, resource in enumerate(self.resources)
            for quantity, value in ((int(Quantity.CONNECTED), 1.0), (int(Quantity.POWER_KW), powers[resource.id]))
        ]
        self.service.core.plane.telemetry(TelemetryBatch.of(samples))
        await self.clock.advance(at_s + 10.0)
        await self.service.fast.cycle()


async def made_of(folder: Path, *operators: str) -> Made:
    clock, store, members = VirtualClock(BEGIN_S), Store.open("sqlite://"), fleet(*operators)
    service = Service(Settings.load(data_dir=folder), store, clock, ())
    await service.open()
    await service.plant.connect(**members)
    made = Made(service=service, store=store, clock=clock, resources=members["resources"])
    await made.cycle()
    for row, resource in enumerate(made.resources):
        started = SessionStarted(session_id=f"{resource.id}:car", row=row, at_s=clock.now_s(), meter_kwh=1.0)
        service.core.ingest.session(started)
    for _ in range(6):
        await made.cycle()
    state = service.plant.fleet()
    service.plans.forecast = forecast(state, store.meters)
    service.plans.schedule = replace(resting(len(state), state.at_s), power_kw=np.ones((len(state), 96)))
    return made


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Made]:
    made = await made_of(tmp_path / "both", "mine", "theirs")
    yield made
    await made.service.close()
    made.store.close()


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Made]:
    made = await made_of(tmp_path / "alone", "mine")
    yield made
    await made.service.close()
    made.store.close()


def draft(made: Made, area: str) -> RequestDraft:
    start_at = instant(floor_s(made.clock.now_s(), 900) + 1800.0)
    return RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=0.5,
        area=area,
        start_at=start_at,
        end_at=start_at + timedelta(minutes=15.0),
        notice_class=NoticeClass.INTRADAY,
    )


async def asked(made: Made, area: str) -> DispatchRequest:
    request, _ = await made.service.plant.submit(draft(made, area), key=None, actor="x")
    return request


LISTS = (
    "fleet",
    "areas",
    "operators",
    "sites",
    "transformers",
    "resources",
    "sessions",
    "requests",
    "settlements",
    "knocks",
)


@pytest.mark.parametrize("path", LISTS)
async def test_an_operator_is_answered_as_if_alone(both: Made, alone: Made, path: str) -> None:
    both.scope = MINE
    answer, expected = await both.get(path), await alone.get(path)
    assert answer.status_code == expected.status_code == 200
    assert answer.json() == expected.json()
    assert "theirs" not in answer.text.lower()


async def test_one_sees_ones_own_devices_as_they_are(both: Made, alone: Made) -> None:
    both.scope = MINE
    assert alone.resources
    for resource in alone.resources:
        answer, expected = await both.get(f"resources/{resource.id}"), await alone.get(f"resources/{resource.id}")
        assert answer.json() == expected.json()


@pytest.mark.parametrize("path", ["resources/{}", "resources/{}/device-schedule"])
async def test_an_id_out_of_sight_is_answered_as_one_that_does_not_exist(both: Made, path: str) -> None:
    both.scope = MINE
    hidden, missing = await both.get(path.format("theirs/1")), await both.get(path.format("nobody/1"))
    assert hidden.status_code == missing.status_code == 404
    assert hidden.text.replace("theirs/1", "nobody/1") == missing.text


@pytest.mark.parametrize("filters", [{"operator": "theirs"}, {"area": "nowhere"}])
async def test_filters_know_no_one_out_of_sight(both: Made, filters: dict[str, str]) -> None:
    both.scope = MINE
    assert (await both.get("resources", **filters)).status_code == 404


async def test_the_plan_shows_the_rows_in_sight(both: Made, alone: Made) -> None:
    both.scope = MINE
    answer, expected = (await both.get("schedule")).json(), (await alone.get("schedule")).json()
    assert answer["series"] == expected["series"]
    assert answer["total_kw"] == expected["total_kw"]
    assert answer["objective_cny"] is None


async def test_no_plan_and_no_change_shows_the_load_of_a_feeder_that_others_use(both: Made) -> None:
    plant, index = both.service.plant, both.service.plant.fleet().index
    root = Transformer(id="root", area_id="south", limit_kw=900.0, export_limit_kw=900.0)
    await plant.connect(transformers=[root])
    for transformer in index.transformers:
        await plant.put_member(replace(transformer, parent_id="root"), actor="x")
    over = {"root": 5.0, "mine-tr": 2.0, "theirs-tr": 3.0}
    both.service.plans.schedule = replace(plant.schedule(), overload_kw=over)
    assert plant.schedule(scope=MINE).overload_kw == {"mine-tr": 2.0}
    for name in ("root", "mine-tr", "theirs-tr"):
        tight = next(t for t in plant.fleet().index.transformers if t.id == name)
        await plant.put_member(replace(tight, limit_kw=0.5, export_limit_kw=0.5), actor="x")
    await both.cycle()
    device = next(r for r in plant.fleet().index.resources if r.id == "mine/0")
    change = replace(device, p_max_kw=device.p_max_kw + 1.0)
    whole = await plant.put_member(change, actor="x", dry_run=True)
    assert set(whole.effects.overloaded) == set(over)
    seen = await plant.put_member(change, actor="x", dry_run=True, scope=MINE)
    assert seen.effects.overloaded == ("mine-tr",)


async def test_the_history_of_what_was_bought_begins_with_the_sale(both: Made) -> None:
    plant, index = both.service.plant, both.service.plant.fleet().index
    site, device = index.site_of["theirs-site"], index.resources[index.row_of["theirs/1"]]
    await plant.put_member(replace(site, name="Before"), actor="seller")
    await plant.put_member(replace(device, declared_up_kw=0.25), actor="seller")
    await both.cycle()
    await plant.put_member(replace(site, name="Sold", operator_id="mine"), actor="broker")
    await both.cycle()
    await plant.put_member(replace(site, name="After", operator_id="mine"), actor="buyer")
    await plant.put_member(replace(device, declared_up_kw=0.5), actor="buyer")
    for kind, identity in (("site", site.id), ("resource", device.id)):
        seen = await plant.member_history(kind, identity, scope=MINE)
        assert [one.actor for one in seen] == ["buyer"]
        assert len(await plant.member_history(kind, identity)) > len(seen)


async def test_requests_are_for_those_who_see_the_whole_area(both: Made) -> None:
    city, south, plant = await asked(both, "city"), await asked(both, "south"), both.service.plant
    assert [r.id for r in plant.requests()] == [south.id, city.id]
    assert [r.id for r in plant.requests(scope=SOUTHERN)] == [south.id]
    assert list(plant.requests(scope=MINE)) == []
    both.scope = SOUTHERN
    assert (await both.get(f"requests/{south.id}")).status_code == 200
    for path in ("", "/revisions", "/performance", "/report", "/regulation"):
        assert (await both.get(f"requests/{city.id}{path}")).status_code == 404


async def test_no_act_reaches_a_request_out_of_sight(both: Made) -> None:
    request, plant = await asked(both, "city"), both.service.plant
    who, at_s = {"actor": "x", "scope": SOUTHERN}, np.array([0.0])
    acts = [
        lambda: plant.accept(request.id, offer=None, **who),
        lambda: plant.cancel(request.id, reason="", **who),
        lambda: plant.decline(request.id, reason="", **who),
        lambda: plant.supersede(request.id, reason="", **who),
        lambda: plant.revise(request.id, target_kw=1.0, end_at=None, key=None, **who),
        lambda: plant.accept_revision(request.id, 1, **who),
        lambda: plant.take_signal(request.id, at_s, at_s, unit="value", scope=SOUTHERN),
        lambda: plant.submit(draft(both, "north"), key=None, **who),
        lambda: plant.submit(draft(both, "city"), key=None, **who),
    ]
    for act in acts:
        with pytest.raises(UnknownIdError):
            await act()
    for ask in (plant.request, plant.progress, plant.losses, plant.performance, plant.unsettled, plant.regulation):
        with pytest.raises(UnknownIdError):
            ask(request.id, scope=SOUTHERN)
    assert plant.request(request.id) == request


async def test_an_area_is_declared_to_those_who_see_all_of_it(both: Made) -> None:
    plant, today = both.service.plant, instant(both.clock.now_s()).date()
    assert plant.capability("south", Direction.UP, today, scope=SOUTHERN).area_id == "south"
    for area, scope in (("city", SOUTHERN), ("north", SOUTHERN), ("south", MINE)):
        with pytest.raises(UnknownIdError):
            plant.capability(area, Direction.UP, today, scope=scope)


async def test_sessions_out_of_sight_take_no_promise(both: Made) -> None:
    plant, wish = both.service.plant, Promise(energy_kwh=5.0, departure_s=both.clock.now_s() + 7200.0)
    with pytest.raises(UnknownIdError):
        await plant.promise("theirs/1:car", wish, scope=MINE)
    session = await plant.promise("mine/1:car", wish, scope=MINE)
    assert plant.fleet(scope=MINE).index.resources[session.row].id == "mine/1"
    assert (await plant.promise("theirs/1:car", wish, scope=THEIRS)).promise == wish


async def test_meters_out_of_sight_take_no_history(both: Made) -> None:
    grid = TimeGrid(start_at=instant(BEGIN_S - 87000.0), count=1)
    with pytest.raises(UnknownIdError, match="theirs/1"):
        await both.service.plant.import_meters(grid, ["mine/1", "theirs/1"], np.ones((2, 1)), scope=MINE)
    assert await both.service.plant.import_meters(grid, ["mine/1"], np.ones((1, 1)), scope=MINE) == 1


async def test_one_adds_to_ones_own_sites_only(both: Made) -> None:
    plant, index = both.service.plant, both.service.plant.fleet().index
    some = index.resources[0]
    own = Site(id="new", name="New", area_id="south", operator_id="mine", transformer_id="mine-tr")
    for kind, member in (
        ("resources", replace(some, id="x", address="X/1", site_id="theirs-site")),
        ("sites", replace(own, operator_id="theirs")),
        ("sites", replace(own, transformer_id="theirs-tr")),
    ):
        with pytest.raises(UnknownIdError):
            await plant.connect(**{kind: [member]}, scope=MINE)
    with pytest.raises(InputError):
        await plant.connect(operators=[Operator(id="third", name="Third")], scope=MINE)
    with pytest.raises(UnknownIdError):
        await plant.connect(sites=[own], scope=Scope(areas=frozenset({"north"})))
    await plant.connect(sites=[own], resources=[replace(some, id="x", address="X/1", site_id="new")], scope=MINE)
    assert "x" in plant.fleet(scope=MINE).index.row_of
    assert "x" not in plant.fleet(scope=THEIRS).index.row_of


async def heard(made: Made, scope: Scope) -> list[dict[str, Any]]:
    """Return the bodies of all events kept so far that a scope hears."""
    events = made.service.plant.events(after=0, scope=scope)
    made.service.core.news.close()
    return [dict(event.body) async for event in events]


async def test_events_name_and_sum_what_is_in_sight(both: Made) -> None:
    news, at_s = both.service.core.news, both.clock.now_s()
    city, south = await asked(both, "city"), await asked(both, "south")
    for key, value in (
        ("request_id", city.id),
        ("request_id", south.id),
        ("resource_id", "theirs/1"),
        ("resource_id", "mine/1"),
        ("transformer_id", "theirs-tr"),
        ("transformer_id", "mine-tr"),
        ("adapter", "ocpp"),
    ):
        news.publish("alarm", at_s, {"alarm": "test", "state": "set", key: value})
    await both.cycle()
    while both.service.plant.fleet().cycle % _SUMMARY_CYCLES:  # a summary of the latest snapshot is in sight
        await both.cycle()
    mine = await heard(both, MINE)
    summed = [body for body in mine if "resources" in body]
    assert summed
    assert all(body["resources"] == 6 for body in summed)
    named = [set(body.values()) & {"mine/1", "mine-tr", "theirs/1", "theirs-tr", city.id, south.id} for body in mine]
    assert set().union(*named) == {"mine/1", "mine-tr"}
    assert not any("adapter" in body for body in mine)
    southern = {str(body.get("id", body.get("request_id"))) for body in await heard(both, SOUTHERN)}
    assert south.id in southern
    assert city.id not in southern
    assert any("adapter" in body for body in await heard(both, EVERYTHING))


async def test_an_operator_sees_its_own_shares_of_what_was_settled(both: Made) -> None:
    request, settlement = await asked(both, "city"), both.service.requests.settlement
    whole = Shares(
        operator_ids=("mine", "theirs", "sold"),
        site_ids=("mine-site", "theirs-site", "mine-site"),
        energy_kwh=np.array([1.0, 2.0, 4.0]),
        settlement_fen={"gross": np.array([100, 200, 400])},
        delivered_kw=np.zeros((3, 0)),
    )
    issued = Issued(at_s=BEGIN_S, delivered_mean_kw=1.0, spread_kw={}, shares=whole)
    settlement.resume({request.id: issued})

    def owners(scope: Scope) -> list[str]:
        return [name for one in both.service.plant.settlements(scope=scope) for name in one.shares.operator_ids]

    assert owners(EVERYTHING) == ["mine", "theirs", "sold"]
    assert owners(MINE) == ["mine"], "what was delivered before the site was bought is another's"
    assert owners(SOUTHERN) == ["mine", "sold"]
    assert owners(Scope(operators=frozenset({"nobody"}))) == []
    both.scope = MINE
    assert "theirs" not in (await both.get("settlements")).text
    assert (await both.get(f"settlements/{request.id}")).json()["total"] == 1
    assert (await both.get("settlements", operator="theirs")).status_code == 404


async def test_sums_over_the_whole_service_are_for_those_who_see_everything(both: Made) -> None:
    both.scope = MINE
    assert (await both.get("commands")).json() == {}
    both.scope = EVERYTHING
    assert (await both.get("commands")).json()["unaccounted"] == 0


async def test_a_refused_connection_shows_where_its_device_is_in_sight(both: Made) -> None:
    meter = replace(both.resources[0], id="mine/meter", address="METER")
    await both.service.plant.connect(resources=[meter])
    await both.cycle()
    for identity in ("", *(resource.address.rpartition("/")[0] for resource in both.resources)):
        both.service.core.plane.connection_refused(
            RefusedConnection(
                adapter="ocpp",
                identity=identity,
                peer="",
                reason="unauthorized",
                first_s=0.0,
                last_s=0.0,
            )
        )
    own = {r.address.rpartition("/")[0] for r in both.resources if r.id.startswith("mine")}
    assert {one.identity for one in both.service.plant.refused_connections(scope=MINE)} == own
    assert len(both.service.plant.refused_connections()) > len(own)


def test_of_an_official_result_only_lines_with_shares_in_sight_are_shown() -> None:
    lines = tuple(OfficialLine(operator_id=name, energy_kwh=Decimal(3)) for name in ("theirs", "mine"))
    result = OfficialResult(request_id="r1", version=1, source="grid", at_s=0.0, sha256="00", lines=lines)
    mine = Shares(
        operator_ids=("mine", "mine-too"),
        site_ids=("mine-site", "mine-site-too"),
        energy_kwh=np.array([3.0, 1.0]),
        settlement_fen={"net": np.array([300, 100])},
        delivered_kw=np.zeros((2, 0)),
    )
    found = reconciled(OwnResult(shares=mine, intervals=()), result)
    visibility = Visibility(lambda: pytest.fail("no fleet is asked"), lambda _: pytest.fail("nor a request"))
    assert visibility.official(found, EVERYTHING) is found
    seen = visibility.official(found, MINE)
    assert [line.operator_id for line in seen.lines] == ["mine", "mine-too"]
    assert [line.operator_id for line in seen.result.lines] == ["mine"]


async def test_of_a_commitment_of_the_city_an_operator_sees_what_is_its_own(both: Made) -> None:
    index = both.service.plant.fleet().index
    terms = StandingTerms(
        area=CITY,
        direction=Direction.UP,
        power_kw=100.0,
        hours=(StandingHours(from_hour=0.0, until_hour=24.0),),
        availability_cny_per_mw_h=Decimal(400),
        shortfall_cny_per_mw_h=Decimal(400),
        from_at=instant(0.0),
    )
    commitment = StandingCommitment(id="s", terms=terms, created_at=instant(0.0), actor="d")
    amounts = settle_availability([90.0, 70.0], 0.25, terms)
    shares = availability_shares(
        amounts,
        operator_ids=[site.operator_id for site in index.sites],
        site_ids=[site.id for site in index.sites],
        kept_kwh=np.array([10.0, 30.0]),
    )
    day = AvailabilityDay(
        commitment_id="s",
        day=date(2026, 7, 15),
        starts_at=(instant(0.0), instant(900.0)),
        available_kw=(90.0, 70.0),
        amounts_cny=amounts,
        shares=shares,
    )
    visibility = Visibility(both.service.plant.fleet, lambda _: pytest.fail("no request is asked"))
    assert visibility.availability([day], commitment, EVERYTHING) == [day]
    (mine,), (theirs,) = (visibility.availability([day], commitment, scope) for scope in (MINE, THEIRS))
    assert (mine.available_kw, theirs.available_kw) == ((20.0, 20.0), (60.0, 60.0))
    for name, cny in amounts.items():
        assert mine.amounts_cny[name] + theirs.amounts_cny[name] == cny
        assert mine.amounts_cny[name] == cny / 4
    with pytest.raises(UnknownIdError):
        visibility.availability([day], commitment, Scope(operators=frozenset({"nobody"})))
