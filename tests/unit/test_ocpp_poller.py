"""One epoll for all connections: when the event loop watches it, and when it keeps its own time."""

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest

from adapters.ocpp import poller
from adapters.ocpp.poller import Poller


class Ear:
    """One end of a pair of sockets, and what it has heard."""

    def __init__(self) -> None:
        self.mouth, self.sock = socket.socketpair()
        self.sock.setblocking(False)
        self.heard = asyncio.Queue[bytes]()

    def ready(self, mask: int) -> None:
        """See ``poller.Watched``."""
        assert mask
        self.heard.put_nowait(self.sock.recv(100))


@pytest.fixture
def ears() -> Iterator[list[Ear]]:
    made = [Ear() for _ in range(3)]
    yield made
    for ear in made:
        ear.mouth.close()
        ear.sock.close()


def watching(ears: list[Ear], monkeypatch: pytest.MonkeyPatch) -> tuple[Poller, asyncio.Queue[int]]:
    """Return a started poller, and the descriptors the loop was given to watch."""
    loop, given = asyncio.get_running_loop(), asyncio.Queue[int]()
    add_reader: Callable[..., None] = loop.add_reader

    def noted(fd: int, callback: Callable[..., object], *arguments: object) -> None:
        given.put_nowait(fd)
        add_reader(fd, callback, *arguments)

    monkeypatch.setattr(loop, "add_reader", noted)
    made = Poller(rest_wall_s=0.001)
    for ear in ears:
        made.add(ear.sock.fileno(), ear)
    made.start()
    assert given.get_nowait() >= 0
    return made, given


async def talk(ears: list[Ear]) -> None:
    for word in (b"one", b"two", b"three"):
        for ear in ears:
            ear.mouth.send(word)
        assert [await ear.heard.get() for ear in ears] == [word] * len(ears)


async def test_a_crowd_is_served_without_being_handed_back_to_the_event_loop(
    ears: list[Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "CROWD", len(ears))
    made, given = watching(ears, monkeypatch)
    await talk(ears)
    rests = asyncio.Queue[int]()
    made.before_rest(lambda: rests.put_nowait(made.wakes))
    assert await rests.get() < await rests.get() < await rests.get()  # it looks again although there is nothing
    await talk(ears)
    assert given.empty()
    made.close()


async def test_a_full_harvest_is_followed_by_another_without_a_rest(
    ears: list[Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "CROWD", len(ears))
    monkeypatch.setattr(poller, "_FULL", len(ears))
    made, _ = watching(ears, monkeypatch)
    rests = asyncio.Queue[int]()
    made.before_rest(lambda: rests.put_nowait(made.wakes))
    for ear in ears:
        ear.mouth.send(b"all")
    assert [await ear.heard.get() for ear in ears] == [b"all"] * len(ears)
    assert rests.empty()
    assert await rests.get() > 1
    made.close()


async def test_a_few_connections_that_fall_silent_are_left_to_the_event_loop(
    ears: list[Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, given = watching(ears, monkeypatch)
    await talk(ears)
    assert await given.get() >= 0
    await talk(ears)
    made.close()
    assert made.closed
