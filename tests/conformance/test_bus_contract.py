"""One suite for every bus: inside a process, and over a real NATS server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.patience import PATIENCE_WALL_S
from vpp.bus.transport.inprocess import InProcessBus
from vpp.bus.transport.nats import NatsBus
from vpp.bus.transport.subjects import MAX_MESSAGE_BYTES
from vpp.domain.errors import BusError, ConfigurationError, FrameError, InputError
from vpp.lab.compose.nats_server import NatsServer, local_nats
from vpp.ports import Bus


class Inbox:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._heard = asyncio.Event()

    def __call__(self, subject: str, content: bytes) -> None:
        """Take a message."""
        self.messages.append((subject, content))
        self._heard.set()

    async def until(self, count: int) -> list[bytes]:
        """Return what was heard once it is ``count`` messages."""
        async with asyncio.timeout(PATIENCE_WALL_S):
            while len(self.messages) < count:
                self._heard.clear()
                await self._heard.wait()
        return [content for _, content in self.messages]


@pytest.fixture(params=["inprocess", "nats"])
async def buses(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Bus, Bus]]:
    """Two ends of one bus."""
    if request.param == "inprocess":
        bus = InProcessBus()
        yield bus, bus
        await bus.close()
        return
    async with local_nats(tmp_path / "nats") as nats:
        one, other = await NatsBus.at(nats.url), await NatsBus.at(nats.url)
        yield one, other
        await one.close()
        await other.close()


async def test_every_subscriber_hears_what_is_published_in_order(buses: tuple[Bus, Bus]) -> None:
    one, other = buses
    here, there = Inbox(), Inbox()
    await one.subscribe("vpp.a", here)
    await other.subscribe("vpp.a", there)
    for number in range(100):
        await one.publish("vpp.a", str(number).encode())
    expected = [str(number).encode() for number in range(100)]
    assert await here.until(100) == expected
    assert await there.until(100) == expected


async def test_wildcards_stand_for_one_word_or_the_rest(buses: tuple[Bus, Bus]) -> None:
    one, other = buses
    star, rest, every = Inbox(), Inbox(), Inbox()
    await other.subscribe("vpp.*.set", star)
    await other.subscribe("vpp.g1.>", rest)
    await other.subscribe("vpp.>", every)
    for subject in ("vpp.g1.set", "vpp.g2.set", "vpp.g1.set.now", "vpp"):
        await one.publish(subject, b"")
    await one.publish("vpp.end", b"")
    await every.until(4)
    assert [subject for subject, _ in star.messages] == ["vpp.g1.set", "vpp.g2.set"]
    assert [subject for subject, _ in rest.messages] == ["vpp.g1.set", "vpp.g1.set.now"]
    assert [subject for subject, _ in every.messages] == ["vpp.g1.set", "vpp.g2.set", "vpp.g1.set.now", "vpp.end"]


async def test_a_request_gets_its_answer(buses: tuple[Bus, Bus]) -> None:
    one, other = buses
    await other.subscribe("vpp.double", lambda _, content: content * 2)
    answers = await asyncio.gather(
        *(one.request("vpp.double", f"{n},".encode(), patience_wall_s=PATIENCE_WALL_S) for n in range(20))
    )
    assert answers == [f"{n},{n},".encode() for n in range(20)]


async def test_a_request_that_nobody_hears_or_answers_fails(buses: tuple[Bus, Bus]) -> None:
    one, other = buses
    with pytest.raises(BusError):
        await one.request("vpp.nobody", b"", patience_wall_s=0.2)
    await other.subscribe("vpp.mute", lambda _, __: None)
    with pytest.raises(BusError):
        await one.request("vpp.mute", b"", patience_wall_s=0.05)


async def test_a_handler_that_cannot_use_a_message_goes_on_to_hear(buses: tuple[Bus, Bus]) -> None:
    one, other = buses
    inbox = Inbox()

    def picky(subject: str, content: bytes) -> None:
        if content == b"bad":
            raise FrameError("bad")
        inbox(subject, content)

    await other.subscribe("vpp.a", picky)
    for content in (b"bad", b"good", b"bad", b"better"):
        await one.publish("vpp.a", content)
    assert await inbox.until(2) == [b"good", b"better"]


async def test_after_closing_a_subscription_nothing_is_heard(buses: tuple[Bus, Bus]) -> None:
    one, other = buses
    gone, there = Inbox(), Inbox()
    subscription = await other.subscribe("vpp.a", gone)
    await subscription.close()
    await subscription.close()
    await other.subscribe("vpp.a", there)
    await one.publish("vpp.a", b"x")
    await there.until(1)
    assert gone.messages == []


async def test_what_is_no_subject_or_too_long_is_refused(buses: tuple[Bus, Bus]) -> None:
    one, _ = buses
    for subject in ("", "a..b", "a.*", "a.>", "a b"):
        with pytest.raises(InputError):
            await one.publish(subject, b"")
    for pattern in ("", "a..b", "a.>.b", "a b"):
        with pytest.raises(InputError):
            await one.subscribe(pattern, lambda _, __: None)
    with pytest.raises(InputError, match="bytes"):
        await one.publish("a", b"x" * (MAX_MESSAGE_BYTES + 1))
    await one.publish("a", b"x" * MAX_MESSAGE_BYTES)


async def test_a_closed_bus_says_so(buses: tuple[Bus, Bus]) -> None:
    one, _ = buses
    await one.close()
    with pytest.raises(BusError):
        await one.publish("a", b"")
    with pytest.raises(BusError):
        await one.subscribe("a", lambda _, __: None)


async def test_while_the_nats_server_is_away_publishing_fails_and_afterwards_subscriptions_live(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    await server.start()
    one, other = await NatsBus.at(server.url), await NatsBus.at(server.url)
    inbox = Inbox()
    await other.subscribe("vpp.a", inbox)
    await server.stop(kill=True)
    async with asyncio.timeout(PATIENCE_WALL_S):
        while True:
            try:
                await one.publish("vpp.a", b"lost")
            except BusError:
                break
            await asyncio.sleep(0.01)
    await server.start()
    async with asyncio.timeout(PATIENCE_WALL_S):
        while b"back" not in [content for _, content in inbox.messages]:
            with suppress(BusError):
                await one.publish("vpp.a", b"back")
            await asyncio.sleep(0.05)
    await one.close()
    await other.close()
    await server.stop()


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as nats:
        url = nats.url
    with pytest.raises(ConfigurationError, match=url.removeprefix("nats://")):
        await NatsBus.at(url, patience_wall_s=0.1)
    with pytest.raises(ConfigurationError, match="nats://HOST:PORT"):
        await NatsBus.at("kafka://x")
