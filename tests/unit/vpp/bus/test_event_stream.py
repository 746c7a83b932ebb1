"""The event stream: numbered, resumable, and no subscriber can make it grow."""

import asyncio
from collections.abc import AsyncIterator

from tests.patience import PATIENCE_WALL_S
from vpp.bus.event_stream import EventStream
from vpp.domain.event import StreamEvent


async def read(subscription: AsyncIterator[StreamEvent], count: int) -> list[tuple[int, str]]:
    async with asyncio.timeout(PATIENCE_WALL_S):
        events = [await anext(subscription) for _ in range(count)]
    return [(event.number, event.kind) for event in events]


async def test_events_are_numbered_from_one() -> None:
    stream = EventStream()
    first = stream.publish("fleet", 1.0, {"a": 1})
    assert (first, stream.publish("alarm", 2.0, {}).number, stream.latest) == (
        StreamEvent(number=1, kind="fleet", at_s=1.0, body={"a": 1}),
        2,
        2,
    )


async def test_a_new_subscriber_hears_only_what_is_new() -> None:
    stream = EventStream()
    stream.publish("old", 0.0, {})
    listening = asyncio.ensure_future(read(stream.subscribe(), 1))
    await asyncio.sleep(0)
    stream.publish("new", 0.0, {})
    assert await listening == [(2, "new")]


async def test_a_subscriber_resumes_after_the_last_it_saw() -> None:
    stream = EventStream()
    for _ in range(5):
        stream.publish("fleet", 0.0, {})
    assert await read(stream.subscribe(3), 2) == [(4, "fleet"), (5, "fleet")]
    assert await read(stream.subscribe(0), 5) == [(n, "fleet") for n in range(1, 6)]


async def test_one_who_resumes_too_late_is_told_what_is_missing_and_gets_what_is_kept() -> None:
    stream = EventStream(keep=3)
    for _ in range(10):
        stream.publish("fleet", 0.0, {})
    subscription = stream.subscribe(2)
    gap = await anext(subscription)
    assert (gap.number, gap.kind, gap.body) == (7, "gap", {"missed": 5})
    assert await read(subscription, 3) == [(8, "fleet"), (9, "fleet"), (10, "fleet")]


async def test_a_number_from_before_a_restart_counts_as_nothing_seen() -> None:
    stream = EventStream()
    stream.publish("fleet", 0.0, {})
    subscription = stream.subscribe(4711)
    gap = await anext(subscription)
    assert (gap.number, gap.kind, gap.body) == (0, "gap", {"missed": None})
    assert await read(subscription, 1) == [(1, "fleet")]


async def test_a_slow_subscriber_goes_on_with_the_latest() -> None:
    stream = EventStream(keep=3)
    stream.publish("fleet", 0.0, {})
    subscription = stream.subscribe(0)
    assert await read(subscription, 1) == [(1, "fleet")]
    for _ in range(100):
        stream.publish("fleet", 0.0, {})
    gap = await anext(subscription)
    assert (gap.number, gap.kind, gap.body) == (100, "gap", {"missed": 99})
    assert await read(subscription, 1) == [(101, "fleet")]
    assert len(stream._ring) == 3


async def test_every_subscriber_hears_every_event() -> None:
    stream = EventStream()
    listeners = [asyncio.ensure_future(read(stream.subscribe(0), 100)) for _ in range(20)]
    for number in range(100):
        stream.publish("fleet", 0.0, {})
        if number % 7 == 0:
            await asyncio.sleep(0)
    heard = await asyncio.gather(*listeners)
    assert all(numbers == [(n, "fleet") for n in range(1, 101)] for numbers in heard)


async def test_closing_ends_subscriptions_after_what_is_kept() -> None:
    stream = EventStream()
    waiting = asyncio.ensure_future(_all(stream.subscribe()))
    await asyncio.sleep(0)
    stream.publish("last", 0.0, {})
    stream.close()
    async with asyncio.timeout(PATIENCE_WALL_S):
        assert await waiting == [1]
        assert await _all(stream.subscribe(0)) == [1]
        assert await _all(stream.subscribe()) == []


async def _all(subscription: AsyncIterator[StreamEvent]) -> list[int]:
    return [event.number async for event in subscription]
