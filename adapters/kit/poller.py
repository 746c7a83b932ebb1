"""One epoll for every socket of a process, watched by the event loop as a single descriptor.

A transport, a protocol and a reader per connection cost an event loop 5 to 10 KB and a wake-up each. Here a
connection is one entry of a dictionary, and one wake-up serves all that have become ready: after few events the poller
rests for some milliseconds, so that the next wake-up serves more; after many it polls again at once. Waking an idle
process costs more than a dozen messages, so the more connections there are, the longer it may rest.

Before one epoll is given another to watch, the kernel walks all that the other watches, in search of loops
(``ep_loop_check_proc``): a millisecond with 16,000 connections, 20 times a second. So a poller with many connections
is never handed back to the event loop; it polls again after every rest, whether there was an event or not.

Nothing that one connection does may end the poller: an unexpected exception costs that connection alone. Liveness is
measured by a descriptor of the poller's own, which becomes ready once a second.
"""

import asyncio
import os
import select
import time
from collections.abc import Callable
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)

READ = 0x1
"""EPOLLIN; EPOLLERR and EPOLLHUP are always reported."""
WRITE = 0x4
"""EPOLLOUT."""
REST_WALL_S = 0.05
"""Longest rest, taken from ``_MANY`` connections up; fewer rest in proportion, but at least a tenth of it."""
_LEAST_REST_RATIO = 0.1
_MANY = 10_000
_READY_AT_ONCE = 512
_BUSY = 16
"""Ready descriptors from which on the next poll follows without a rest."""
MANY_CONNECTIONS = 1_000
"""Connections from which on the poller is not handed back to the event loop."""
PULSE_WALL_S = 1.0
"""Interval of its own event, which comes though no peer sends anything."""


class Watched(Protocol):
    """Receiver of a descriptor's events."""

    def ready(self, mask: int) -> None:
        """Read or write: the descriptor is ready for the events in ``mask``."""
        ...

    def crashed(self, error: Exception) -> None:
        """Take note that ``ready`` ended in an exception: count it, log it, give up what cannot go on."""
        ...


class Poller:
    """Serves the receivers of ready descriptors.

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
        self._pulse: _Pulse | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start polling, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time()
        self._pulse = _Pulse(self.now)
        self._epoll.register(self._pulse.fd, READ)
        self._loop.add_reader(self._epoll.fileno(), self._wake)
        self._beat()

    def age_wall_s(self) -> float:
        """Return wall seconds since it last served its own descriptor, NaN while it does not poll.

        Below two seconds where all is well, whether or not any peer sends.
        """
        return float("nan") if self._loop is None or self._pulse is None else self._loop.time() - self._pulse.served

    def before_rest(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` before every rest: time to flush what has been collected, for nothing will join it soon."""
        self._before_rest = hook

    def add(self, fd: int, watched: Watched, mask: int = READ) -> None:
        """Watch a descriptor."""
        self._watched[fd] = watched
        self._epoll.register(fd, mask)

    def change(self, fd: int, mask: int) -> None:
        """Watch a descriptor for other events."""
        self._epoll.modify(fd, mask)

    def drop(self, fd: int) -> None:
        """Stop watching a descriptor; its owner closes it afterwards."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def __len__(self) -> int:
        return len(self._watched)

    @property
    def closed(self) -> bool:
        """It has been closed for good."""
        return self._epoll.closed

    def close(self) -> None:
        """Stop polling; descriptors that are still watched stay open."""
        if self._pause is not None:
            self._pause.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None
        self._watched.clear()
        self._epoll.close()

    def _wake(self) -> None:
        """Serve what the event loop reports."""
        if self._loop is None:
            return
        found = self._serve_ready()
        # A receiver may have closed the poller.
        if self._loop is not None and self._rest_wall_s > 0.0 and (found < _BUSY or self._has_many):
            self._loop.remove_reader(self._epoll.fileno())
            self._continue(found)

    def _poll_again(self) -> None:
        """Poll again; hand back to the event loop only without events and with few connections."""
        self._pause = None
        if self._loop is None:
            return
        found = self._serve_ready()
        if self._loop is None:
            return
        if found or self._has_many:
            self._continue(found)
        else:
            self._loop.add_reader(self._epoll.fileno(), self._wake)

    @property
    def _has_many(self) -> bool:
        return len(self._watched) >= MANY_CONNECTIONS

    def _continue(self, found: int) -> None:
        """Poll again at once after many events, when other callbacks have had their turn; else after a rest."""
        if self._loop is not None and found >= _BUSY:
            self._pause = self._loop.call_soon(self._poll_again)
        else:
            self._rest()

    def _rest(self) -> None:
        """Schedule the next poll first: whatever the hook raises must not end polling."""
        if self._loop is not None:
            ratio = min(1.0, max(_LEAST_REST_RATIO, len(self._watched) / _MANY))
            self._pause = self._loop.call_later(self._rest_wall_s * ratio, self._poll_again)
        if self._before_rest is not None:
            self._before_rest()

    def _beat(self) -> None:
        if self._loop is not None and self._pulse is not None:
            self._pulse.beat()
            self._timer = self._loop.call_later(PULSE_WALL_S, self._beat)

    def _serve_ready(self) -> int:
        """Serve everything that is ready; return the number of events."""
        self.wakes += 1
        if self._loop is not None:
            self.now = self._loop.time()
        ready = self._epoll.poll(0, _READY_AT_ONCE)
        watched = self._watched
        for fd, mask in ready:
            one = watched.get(fd)
            if one is not None:
                try:
                    one.ready(mask)
                except Exception as error:  # noqa: BLE001 - one connection's fault must not end all the others
                    self._give_up(fd, one, error)
            elif self._pulse is not None and fd == self._pulse.fd:
                self._pulse.serve(self.now)
        return len(ready)

    def _give_up(self, fd: int, one: Watched, error: Exception) -> None:
        """Have a receiver that failed handle it; where it fails at that too, stop watching it."""
        try:
            one.crashed(error)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("connection could not be given up in order, no longer watched", fd=fd)
            if self._watched.get(fd) is one:
                self.drop(fd)


class _Pulse:
    """A descriptor that is written once a second and read when the poller turns (eventfd(2)).

    Attributes:
        served: Loop time at which it was last read.
    """

    __slots__ = ("fd", "served")

    def __init__(self, now: float) -> None:
        self.served = now
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def beat(self) -> None:
        """Make it ready."""
        os.eventfd_write(self.fd, 1)

    def serve(self, now: float) -> None:
        """Read it."""
        os.eventfd_read(self.fd)
        self.served = now

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)
