"""What a standby answers: probes and metrics of its own, for everything else who leads."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry

from vpp.api import deps
from vpp.api.standby import create_standby_app
from vpp.domain.errors import ForgottenError
from vpp.domain.request import Direction, DispatchRequest, NoticeClass, Product, RequestDraft, RequestState
from vpp.fleet.scope import Scope
from vpp.runtime.standby_metrics import StandbyMetrics

TOKEN = "secret"  # noqa: S105 - of this test


class Status:
    """A standby as a test wants it."""

    leader = "10.0.0.1:8080"
    known: Sequence[DispatchRequest] | None = None

    def ready(self) -> dict[str, bool]:
        """Return its checks."""
        return {"storage": True, "leader": bool(self.leader)}

    def requests(self) -> Sequence[DispatchRequest] | None:
        """Return what was read."""
        return self.known

    def check_kept(self, request_id: str) -> None:
        """Know of one request that was forgotten."""
        if request_id == "req-0":
            raise ForgottenError("request", request_id, "at noon")


@pytest.fixture
def status() -> Status:
    return Status()


@pytest.fixture
async def client(status: Status) -> AsyncIterator[httpx.AsyncClient]:
    metrics = StandbyMetrics("1.2.3", lag_entries=lambda: 7.0, lag_s=lambda: 0.5)
    app = create_standby_app(status, metrics=metrics.registry, version="1.2.3", token=TOKEN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://vpp") as made:
        yield made


async def test_a_standby_lives_and_is_not_ready_for_requests(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok", "version": "1.2.3"}
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json() == {"status": "standby", "role": "standby", "checks": {"storage": True, "leader": True}}


async def test_metrics_show_that_it_does_not_lead_and_how_far_it_is_behind(client: httpx.AsyncClient) -> None:
    lines = (await client.get("/metrics")).text.splitlines()
    assert {"vpp_leader 0.0", "vpp_standby_lag_entries 7.0", "vpp_standby_lag_seconds 0.5"} <= set(lines)
    assert 'vpp_build_info{version="1.2.3"} 1.0' in lines


@pytest.mark.parametrize(("method", "path"), [("POST", "/requests"), ("DELETE", "/sites/s"), ("GET", "/fleet")])
async def test_everything_else_is_for_the_leader_whose_address_is_named(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["leader"] == "10.0.0.1:8080"
    assert "10.0.0.1:8080" in answer.json()["detail"]


async def test_nobody_is_named_where_nobody_leads(client: httpx.AsyncClient, status: Status) -> None:
    status.leader = ""
    answer = await client.get("/api/v1/fleet", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503
    assert "leader" not in answer.json()


async def test_the_leader_is_named_to_holders_of_the_token_only(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/requests")
    assert answer.status_code == 401
    assert "10.0.0.1" not in answer.text


async def test_requests_are_shown_as_the_journal_tells_them(client: httpx.AsyncClient, status: Status) -> None:
    status.known = [asked(f"r{number}") for number in (3, 2, 1)]
    given = {"Authorization": f"Bearer {TOKEN}"}
    page = (await client.get("/api/v1/requests?limit=2&offset=1", headers=given)).json()
    assert page["total"] == 3
    assert [item["id"] for item in page["items"]] == ["r2", "r1"]
    older = (await client.get("/api/v1/requests?before=r2&state=holding", headers=given)).json()
    assert (older["total"], [item["id"] for item in older["items"]]) == (3, ["r1"])
    assert (await client.get("/api/v1/requests?state=settled", headers=given)).json()["items"] == []
    assert (await client.get("/api/v1/requests?before=r9", headers=given)).status_code == 422
    one = (await client.get("/api/v1/requests/r3", headers=given)).json()
    assert (one["id"], one["state"], one["target_kw"]) == ("r3", "holding", 500.0)
    assert (await client.get("/api/v1/requests/r9", headers=given)).status_code == 404
    assert (await client.post("/api/v1/requests/r3/cancel", headers=given, json={})).status_code == 503


async def test_requests_are_for_those_who_see_their_whole_area(status: Status) -> None:
    status.known = [asked("r2"), asked("r1", "north")]
    app = create_standby_app(status, metrics=CollectorRegistry(), version="1.2.3")
    app.dependency_overrides[deps._scope] = lambda: Scope(areas=frozenset({"north"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://vpp/api/v1") as client:
        assert [item["id"] for item in (await client.get("/requests")).json()["items"]] == ["r1"]
        assert (await client.get("/requests/r1")).status_code == 200
        assert (await client.get("/requests/r2")).status_code == 404


@pytest.mark.parametrize("path", ["/requests", "/requests/r1"])
async def test_requests_are_for_the_leader_before_the_journal_is_read(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503
    assert answer.json()["leader"] == "10.0.0.1:8080"


def asked(name: str, area: str = "city") -> DispatchRequest:
    start_at = datetime(2026, 7, 15, 6, tzinfo=UTC)
    draft = RequestDraft(
        product=Product.PEAK_SHAVING,
        direction=Direction.UP,
        target_kw=500.0,
        area=area,
        start_at=start_at,
        end_at=start_at + timedelta(hours=1),
        notice_class=NoticeClass.INTRADAY,
    )
    return DispatchRequest(id=name, draft=draft, state=RequestState.HOLDING, created_at=start_at)


async def test_a_forgotten_request_is_gone(client: httpx.AsyncClient, status: Status) -> None:
    status.known = ()
    given = {"Authorization": f"Bearer {TOKEN}"}
    answer = await client.get("/api/v1/requests/req-0", headers=given)
    assert answer.status_code == 410
    assert answer.json()["detail"] == "request 'req-0' was forgotten at noon"
    assert (await client.get("/api/v1/requests/req-1", headers=given)).status_code == 404
