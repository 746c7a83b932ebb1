"""The event stream over HTTP: resumed, kept alive, ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx

from tests.patience import PATIENCE_WALL_S
from vpp.api.routes.stream import server_sent
from vpp.bus.event_stream import EventStream
from vpp.domain.event import StreamEvent

if TYPE_CHECKING:
    from conftest import _FakePlant as FakePlant


async def test_the_stream_resumes_after_the_last_event_seen(client: httpx.AsyncClient, plant: "FakePlant") -> None:
    for power_kw in (1.0, float("nan"), 3.0):
        plant.news.publish("fleet", 0.0, {"power_kw": power_kw})
    plant.news.close()

    all_of_it = await client.get("/api/v1/stream", params={"after": 0})
    rest = await client.get("/api/v1/stream", headers={"Last-Event-ID": "2"})
    assert all_of_it.headers["content-type"].startswith("text/event-stream")
    assert all_of_it.text.count("event: fleet") == 3
    assert 'id: 2\nevent: fleet\ndata: {"at":"1970-01-01T00:00:00+00:00","power_kw":null}\n\n' in all_of_it.text
    assert rest.text == (
        ': connected\n\nid: 3\nevent: fleet\ndata: {"at":"1970-01-01T00:00:00+00:00","power_kw":3.0}\n\n'
    )


async def test_an_event_number_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/stream", headers={"Last-Event-ID": "last"})

    assert answer.status_code == 422


async def test_a_quiet_stream_beats_and_still_delivers() -> None:
    events = EventStream()
    wire = server_sent(events.subscribe(), heartbeat_wall_s=0.001)

    assert [await anext(wire) for _ in range(3)] == [b": connected\n\n", b": heartbeat\n\n", b": heartbeat\n\n"]
    events.publish("alarm", 0.0, {})
    async with asyncio.timeout(PATIENCE_WALL_S):
        while (chunk := await anext(wire)) == b": heartbeat\n\n":
            pass
    assert chunk.startswith(b"id: 1\nevent: alarm\n")
    await wire.aclose()


async def test_a_client_that_leaves_ends_its_subscription() -> None:
    left = asyncio.Event()

    async def events() -> AsyncIterator[StreamEvent]:
        try:
            await asyncio.Event().wait()
            yield StreamEvent(number=1, kind="fleet", at_s=0.0, body={})
        finally:
            left.set()

    wire = server_sent(events(), heartbeat_wall_s=0.001)
    await anext(wire)
    await anext(wire)
    await wire.aclose()
    async with asyncio.timeout(PATIENCE_WALL_S):
        await left.wait()
