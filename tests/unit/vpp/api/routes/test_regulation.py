"""The regulation signal over HTTP: one value, a whole table, and how it is followed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from fastapi import APIRouter, FastAPI

from vpp.api import problems
from vpp.api.routes import regulation
from vpp.dispatch.regulation.agc_signal import AgcSignals
from vpp.domain.errors import UnknownIdError
from vpp.domain.regulation import Estimates, RegulationStanding
from vpp.domain.telemetry import FloatArray
from vpp.fleet.scope import Scope

NOW_S = datetime(2026, 7, 15, 6, 0, tzinfo=UTC).timestamp()
AT = "2026-07-15T14:00:00+08:00"
URL = "/api/v1/requests/r/signal"


class _Plant:
    """One accepted request for 200 kW that is followed with a lag of a tick."""

    def __init__(self) -> None:
        self.book = AgcSignals(lambda *_: None)
        self.samples = 0

    def request(self, request_id: str, **_scope: Scope) -> SimpleNamespace:
        if request_id != "r":
            raise UnknownIdError("request", request_id)
        return SimpleNamespace(id=request_id)

    async def take_signal(
        self, request_id: str, at_s: FloatArray, signal: FloatArray, *, unit: str, **_scope: Scope
    ) -> int:
        self.request(request_id)
        target_kw = signal * 200.0 if unit == "value" else signal
        return self.book.take(request_id, at_s, target_kw, capacity_kw=200.0, now_s=NOW_S)

    def regulation(self, request_id: str, **_scope: Scope) -> RegulationStanding:
        self.request(request_id)
        time_s = NOW_S + 4.0 * np.arange(self.samples)
        asked = 200.0 * np.sin(2.0 * np.pi * time_s / 1700.0)
        return RegulationStanding(
            request_id=request_id,
            capacity_kw=200.0,
            signal_at_s=self.book.last_at_s(request_id),
            asked_kw=self.book.due_kw(request_id, NOW_S),
            told_kw=float("nan"),
            up_kw=float("nan"),
            down_kw=float("nan"),
            time_s=time_s,
            signal_kw=asked,
            response_kw=np.concatenate([asked[:1], asked[:-1]]),
            estimates=Estimates(time_s, asked, asked + 1.0, np.full(self.samples, 3.0)),
        )


@pytest.fixture(name="plant")
def _plant() -> _Plant:
    return _Plant()


@pytest.fixture(name="client")
async def _client(plant: _Plant) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    problems.install(app)
    router = APIRouter(prefix="/api/v1")
    router.include_router(regulation.router)
    app.include_router(router)
    app.state.service = app.state.administration = plant
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_a_value_is_taken_once_and_may_be_sent_again(client: httpx.AsyncClient, plant: _Plant) -> None:
    first = await client.put(URL, json={"at": AT, "value": 0.5})
    again = await client.put(URL, json={"at": AT, "target_kw": 100.0})

    assert (first.status_code, first.json()) == (200, {"values": 1, "new": 1})
    assert again.json() == {"values": 1, "new": 0}
    assert plant.book.due_kw("r", NOW_S) == 100.0


async def test_another_value_for_the_same_time_is_a_conflict(client: httpx.AsyncClient) -> None:
    await client.put(URL, json={"at": AT, "value": 0.5})
    answer = await client.put(URL, json={"at": AT, "value": 0.6})

    assert answer.status_code == 409
    assert "was taken already" in answer.json()["detail"]


async def test_a_stale_value_is_refused_with_its_age(client: httpx.AsyncClient) -> None:
    answer = await client.put(URL, json={"at": "2026-07-15T13:59:00+08:00", "value": 0.5})

    assert answer.status_code == 409
    assert "it came 60.0 s later, at most 30 s are accepted" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"at": AT},
        {"at": AT, "value": 0.1, "target_kw": 1.0},
        {"at": AT, "value": 1.1},
        {"at": AT, "value": "0.1"},
        {"at": AT, "target_kw": 201.0},
        {"at": "2026-07-15T14:00:00", "value": 0.1},
        {"value": 0.1},
        {"at": AT, "value": 0.1, "extra": 1},
    ],
)
async def test_a_body_that_makes_no_sense_is_refused(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    answer = await client.put(URL, json=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_whole_table_is_taken_at_once(client: httpx.AsyncClient, plant: _Plant) -> None:
    table = f"time,value\n{AT},0.1\n2026-07-15T14:00:04+08:00,0.2\n"
    answer = await client.post(URL, content=table, headers={"Content-Type": "text/csv"})

    assert answer.json() == {"values": 2, "new": 2}
    assert plant.book.due_kw("r", NOW_S + 4.0) == pytest.approx(40.0)


async def test_a_table_with_a_bad_row_names_it_and_leaves_nothing(client: httpx.AsyncClient, plant: _Plant) -> None:
    table = f"time,value\n{AT},0.1\n2026-07-15T14:00:04+08:00,much\n"
    answer = await client.post(URL, content=table, headers={"Content-Type": "text/csv"})

    assert answer.status_code == 422
    assert "row 2, value" in answer.json()["detail"]
    assert np.isnan(plant.book.last_at_s("r"))


async def test_a_table_has_to_say_that_it_is_one(client: httpx.AsyncClient) -> None:
    assert (await client.post(URL, content="time,value\n0,1\n")).status_code == 415


async def test_the_standing_has_the_scores_once_there_is_something_to_judge(
    client: httpx.AsyncClient, plant: _Plant
) -> None:
    before = (await client.get("/api/v1/requests/r/regulation")).json()
    plant.samples = 900
    after = (await client.get("/api/v1/requests/r/regulation")).json()

    assert (before["signal_at"], before["scores"], before["told_kw"]) == (None, {}, None)
    assert after["samples"] == 900
    assert set(after["scores"]) == {"pjm", "north_china", "guangdong", "jiangsu", "hunan"}
    assert 0.9 < after["scores"]["pjm"]["total"] < 1.0
    assert (before["estimated_kw"], before["estimated_scores"]) == (None, {})
    assert after["estimated_spread_kw"] == 3.0
    assert after["estimated_scores"]["pjm"]["total"] > after["scores"]["pjm"]["total"]


async def test_an_unknown_request_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.put("/api/v1/requests/x/signal", json={"at": AT, "value": 0.1})).status_code == 404
    assert (await client.get("/api/v1/requests/x/regulation")).status_code == 404


async def test_a_service_that_follows_no_signals_says_so(client: httpx.AsyncClient) -> None:
    client._transport.app.state.service = SimpleNamespace(request=lambda _: None)  # type: ignore[attr-defined] # httpx's test transport
    assert (await client.put(URL, json={"at": AT, "value": 0.1})).status_code == 409
