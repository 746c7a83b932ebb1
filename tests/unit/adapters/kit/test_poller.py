"""One epoll for all connections: when the event loop watches it, and when it keeps its own time."""

import asyncio
import math
import socket
from collections.abc import Callable, Iterator

import pytest
from structlog.typing import EventDict

from adapters.kit import poller
from adapters.kit.poller import Poller


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
    assert given.get_nowait() == made._epoll.fileno()
    return made, given


async def talk(ears: list[Ear]) -> None:
    for word in (b"one", b"two", b"three"):
        for ear in ears:
            ear.mouth.send(word)
        assert [await ear.heard.get() for ear in ears] == [word] * len(ears)


async def test_a_crowd_is_served_without_being_handed_back_to_the_event_loop(
    ears: list[Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "MANY_CONNECTIONS", len(ears))
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
    monkeypatch.setattr(poller, "MANY_CONNECTIONS", len(ears))
    monkeypatch.setattr(poller, "_BUSY", len(ears))
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
    assert await given.get() == made._epoll.fileno()
    await talk(ears)
    made.close()
    assert made.closed


class Broken(Ear):
    """Fails at whatever it hears, and at giving up too where ``helpless``."""

    helpless = False

    def ready(self, mask: int) -> None:
        """See ``poller.Watched``."""
        super().ready(mask)
        raise RecursionError(mask)

    def crashed(self, error: Exception) -> None:
        """See ``poller.Watched``."""
        assert isinstance(error, RecursionError)
        if self.helpless:
            raise ValueError("this too")


@pytest.mark.parametrize("helpless", [False, True])
async def test_one_connection_s_exception_is_its_own_and_the_poller_turns_on(
    ears: list[Ear], monkeypatch: pytest.MonkeyPatch, logs: list[EventDict], *, helpless: bool
) -> None:
    made, _ = watching(ears, monkeypatch)
    broken = Broken()
    broken.helpless = helpless
    made.add(broken.sock.fileno(), broken)
    broken.mouth.send(b"x")
    assert await broken.heard.get() == b"x"
    await talk(ears)
    broken.mouth.send(b"y")
    await talk(ears)
    assert broken.heard.empty() == helpless  # one that cannot even be given up is not listened to any more
    assert len(logs) == helpless
    made.close()
    broken.mouth.close()
    broken.sock.close()


async def test_the_age_of_the_last_turn_is_small_while_it_turns_and_grows_once_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poller, "PULSE_WALL_S", 0.001)
    made = Poller(rest_wall_s=0.001)
    assert math.isnan(made.age_wall_s())
    now = asyncio.get_running_loop().time()
    rests = asyncio.Queue[float]()
    made.before_rest(lambda: rests.put_nowait(made._pulse.served))
    made.start()
    while await rests.get() == now:
        pass  # nobody speaks; its own pulse wakes it
    monkeypatch.setattr(made, "_serve_ready", lambda: 0)  # it is called, and serves nobody
    served = made._pulse.served
    for _ in range(20):
        assert await rests.get() == served
    assert made.age_wall_s() > 0.0
    made.close()
    assert math.isnan(made.age_wall_s())


async def test_a_hook_that_fails_before_a_rest_does_not_end_the_poller(
    ears: list[Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = asyncio.Queue[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.put_nowait(context["exception"]))
    made, _ = watching(ears, monkeypatch)

    def fail() -> None:
        raise ValueError("a full disk, say")

    made.before_rest(fail)
    await talk(ears)
    assert isinstance(await failures.get(), ValueError)
    await talk(ears)
    made.close()
