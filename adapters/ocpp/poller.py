"""Every socket of a process behind one epoll, which the event loop watches as a single descriptor.

A transport, a protocol and a reader per connection cost an event loop 5 to 10 KB and a wake-up each. Here a
connection is one entry of a dictionary, and one wake-up serves all that have become ready: after a thin harvest the
poller rests for some milliseconds, so that the next is a richer one; after a full one it goes on at once. Waking an
idle process costs more than a dozen messages, so the more connections there are, the longer it may rest.

Before one epoll is given another to watch, the kernel walks all that the other watches, in search of loops
(``ep_loop_check_proc``): a millisecond with 16,000 connections, 20 times a second. So a poller with a crowd is never
handed back to the event loop; it looks again after every rest, whether there was something or not.
"""

import asyncio
import select
import time
from collections.abc import Callable
from typing import Protocol

READ = 0x1
"""EPOLLIN; EPOLLERR and EPOLLHUP come unasked."""
WRITE = 0x4
"""EPOLLOUT."""
REST_WALL_S = 0.05
"""Longest rest, taken with ``_MANY`` connections; a hundredth of them rests a tenth of it."""
_LEAST_REST_RATIO = 0.1
_MANY = 10_000
_HARVEST = 512
_FULL = 16
"""Ready descriptors from which on the next look follows without a rest."""
CROWD = 1_000
"""Connections from which on the poller keeps its own time."""


class Watched(Protocol):
    """What hears of a descriptor."""

    def ready(self, mask: int) -> None:
        """Read or write: the descriptor is ready for what ``mask`` says."""
        ...


class Poller:
    """Tells watched descriptors when they are ready.

    Attributes:
        now: Loop time of the present wake-up.
        wakes: How often the loop was woken.
    """

    def __init__(self, rest_wall_s: float = REST_WALL_S) -> None:
        self.now = time.monotonic()
        self.wakes = 0
        self._rest_wall_s = rest_wall_s
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pause: asyncio.Handle | None = None
        self._before_rest: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to listen, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time()
        self._loop.add_reader(self._epoll.fileno(), self._wake)

    def before_rest(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` before every rest: what has been collected can go, for nothing will join it soon."""
        self._before_rest = hook

    def add(self, fd: int, watched: Watched, mask: int = READ) -> None:
        """Watch a descriptor."""
        self._watched[fd] = watched
        self._epoll.register(fd, mask)

    def change(self, fd: int, mask: int) -> None:
        """Watch a descriptor for something else."""
        self._epoll.modify(fd, mask)

    def hand_over(self, fd: int, watched: Watched) -> None:
        """Let somebody else hear of a descriptor."""
        self._watched[fd] = watched

    def drop(self, fd: int) -> None:
        """Watch a descriptor no more; closing it afterwards is its owner's."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def __len__(self) -> int:
        return len(self._watched)

    @property
    def closed(self) -> bool:
        """It listens no more, and never will."""
        return self._epoll.closed

    def close(self) -> None:
        """Stop listening; descriptors that are still watched stay open."""
        if self._pause is not None:
            self._pause.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._loop = None
        self._watched.clear()
        self._epoll.close()

    def _wake(self) -> None:
        """Serve what the event loop has seen."""
        if self._loop is None:
            return
        found = self._harvest()
        # The loop may have been closed by what was heard.
        if self._loop is not None and self._rest_wall_s > 0.0 and (found < _FULL or self._crowded):
            self._loop.remove_reader(self._epoll.fileno())
            self._go_on(found)

    def _look(self) -> None:
        """Look again; only when there is nothing and no crowd has the event loop to watch for us."""
        self._pause = None
        if self._loop is None:
            return
        found = self._harvest()
        if self._loop is None:
            return
        if found or self._crowded:
            self._go_on(found)
        else:
            self._loop.add_reader(self._epoll.fileno(), self._wake)

    @property
    def _crowded(self) -> bool:
        return len(self._watched) >= CROWD

    def _go_on(self, found: int) -> None:
        """Look again at once after a full harvest, when others have had their turn; else after a rest."""
        if self._loop is not None and found >= _FULL:
            self._pause = self._loop.call_soon(self._look)
        else:
            self._rest()

    def _rest(self) -> None:
        if self._before_rest is not None:
            self._before_rest()
        if self._loop is not None:
            ratio = min(1.0, max(_LEAST_REST_RATIO, len(self._watched) / _MANY))
            self._pause = self._loop.call_later(self._rest_wall_s * ratio, self._look)

    def _harvest(self) -> int:
        """Serve everything that is ready; return how much it was."""
        self.wakes += 1
        if self._loop is not None:
            self.now = self._loop.time()
        ready = self._epoll.poll(0, _HARVEST)
        watched = self._watched
        for fd, mask in ready:
            one = watched.get(fd)
            if one is not None:
                one.ready(mask)
        return len(ready)
