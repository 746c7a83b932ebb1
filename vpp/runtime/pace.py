"""Paced clock: shared by several processes, waiting for the slowest of them.

A simulation at fifty times real time is valid only while every process keeps up: on a busy machine minutes would pass
between a command and its answer. Each process states the time its event loop has reached; one of them, the pacer, moves
the common time, never further than a little beyond the slowest. All of it is in one small file that every process maps.
"""

import asyncio
import contextlib
import fcntl
import itertools
import math
import mmap
import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Self

from vpp.domain.errors import ConfigurationError, InputError
from vpp.domain.timegrid import instant

_MAGIC = 5_704_251_208_816_210_433.0
_WORDS = 512
_MAGIC_AT, _SPEED_AT, _NOW_AT, _RATE_AT, _FIRST_SLOT = 0, 1, 2, 3, 8
_SLOT_WORDS = 2
"""Process id, and the time its event loop has reached."""
_SLOTS = (_WORDS - _FIRST_SLOT) // _SLOT_WORDS
_BEAT_WALL_S = 0.01
_STRIDE_WALL_S = 0.004
_LONGEST_STRIDE_WALL_S = 0.02
"""Longest step: a pacer that was not scheduled for longer was itself kept waiting, which does not count."""
_LEAST_SLEEP_WALL_S = 0.002
_LEAD_WALL_S = 0.06
"""Lead of the common time over the slowest event loop, wall seconds at full speed."""
_RATE_MEMORY_S = 2.0
_LEAST_RATE_RATIO = 0.02
"""Least rate reckoned with: a clock at rest must not make a wall timer endless."""


class PaceFile:
    """The shared page: speed, common time, its rate of late, and a slot a process.

    Words are doubles; a process writes only its own slot and the pacer only the time, so nothing needs a lock but the
    taking of a slot.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _WORDS * 8)
        self._words = memoryview(self._map).cast("d")

    @classmethod
    def create(cls, path: Path, *, start_s: float, speed: float) -> Self:
        """Return a new page that shows ``start_s``.

        Raises:
            InputError: The speed is not above zero.
        """
        if not speed > 0.0:
            raise InputError("clock_speed", speed, "a number above 0")
        path.write_bytes(bytes(_WORDS * 8))
        page = cls(path)
        page._words[_SPEED_AT], page._words[_NOW_AT], page._words[_RATE_AT] = speed, start_s, speed
        page._words[_MAGIC_AT] = _MAGIC
        return page

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return a page that a pacer has made.

        Raises:
            ConfigurationError: There is none at ``path``.
        """
        try:
            page = cls(path)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"VPP_CLOCK_PACE: {path} is no pace file ({error})") from error
        if page._words[_MAGIC_AT] != _MAGIC:
            raise ConfigurationError(f"VPP_CLOCK_PACE: {path} is no pace file")
        return page

    @property
    def speed(self) -> float:
        """Clock seconds per wall second while every process keeps up."""
        return self._words[_SPEED_AT]

    @property
    def now_s(self) -> float:
        """The common time, UTC epoch seconds."""
        return self._words[_NOW_AT]

    @now_s.setter
    def now_s(self, at_s: float) -> None:
        self._words[_NOW_AT] = at_s

    @property
    def rate(self) -> float:
        """Clock seconds per wall second of late."""
        return self._words[_RATE_AT]

    @rate.setter
    def rate(self, value: float) -> None:
        self._words[_RATE_AT] = value

    def take_slot(self) -> int:
        """Return a slot for this process, one of a dead process if none is free; it starts at the common time.

        Raises:
            ConfigurationError: All are taken.
        """
        with self.path.open("r+b") as lock:  # released when it is closed
            fcntl.flock(lock, fcntl.LOCK_EX)
            for slot in range(_SLOTS):
                if not _is_alive(self._pid(slot)):
                    self.reach(slot, self.now_s)
                    self._words[_FIRST_SLOT + _SLOT_WORDS * slot] = float(os.getpid())
                    return slot
        raise ConfigurationError(f"VPP_CLOCK_PACE: more than {_SLOTS} processes share {self.path}")

    def leave_slot(self, slot: int) -> None:
        """Release a slot: the clock waits for this process no longer."""
        self._words[_FIRST_SLOT + _SLOT_WORDS * slot] = 0.0

    def reach(self, slot: int, at_s: float) -> None:
        """State that this process's event loop has reached ``at_s``."""
        self._words[_FIRST_SLOT + _SLOT_WORDS * slot + 1] = at_s

    def reached(self) -> Iterator[tuple[int, float]]:
        """Iterate process id and time reached of every slot that is taken."""
        for slot in range(_SLOTS):
            if self._pid(slot):
                yield self._pid(slot), self._words[_FIRST_SLOT + _SLOT_WORDS * slot + 1]

    def forget_dead(self) -> None:
        """Free the slots of processes that have ended."""
        for slot in range(_SLOTS):
            if self._pid(slot) and not _is_alive(self._pid(slot)):
                self.leave_slot(slot)

    def close(self) -> None:
        """Unmap the page."""
        self._words.release()
        self._map.close()

    def _pid(self, slot: int) -> int:
        return int(self._words[_FIRST_SLOT + _SLOT_WORDS * slot])


class PacedClock:
    """The clock of a process that shares a page (`vpp.ports.YieldingClock`)."""

    def __init__(self, page: PaceFile) -> None:
        self._page = page
        self._owed: dict[int, float] = {}
        self._debts = itertools.count()

    @property
    def speed(self) -> float:
        """Clock seconds per wall second while every process keeps up."""
        return self._page.speed

    def now(self) -> datetime:
        """Return the aware UTC instant."""
        return instant(self._page.now_s)

    def now_s(self) -> float:
        """Return UTC epoch seconds."""
        return self._page.now_s

    async def sleep(self, seconds: float) -> None:
        """Wait for that many of the clock's seconds."""
        await self.sleep_until(self._page.now_s + seconds)

    async def sleep_until(self, at_s: float) -> None:
        """Wait until epoch second ``at_s``."""
        left_s = at_s - self._page.now_s
        if left_s <= 0.0:
            await asyncio.sleep(0)
        while left_s > 0.0:
            await asyncio.sleep(max(left_s / self._page.speed, _LEAST_SLEEP_WALL_S))
            left_s = at_s - self._page.now_s

    def wall(self, seconds: float) -> float:
        """Return how many wall seconds that many of the clock's seconds take at the rate of late."""
        return seconds / max(self._page.rate, _LEAST_RATE_RATIO * self._page.speed)

    @contextlib.contextmanager
    def owing(self, at_s: float) -> Iterator[None]:
        """Hold the common time near ``at_s`` while inside: what was due then is not done yet."""
        number = next(self._debts)
        self._owed[number] = at_s
        try:
            yield
        finally:
            del self._owed[number]

    async def beat(self) -> None:
        """Say how far this process has come, until cancelled: its event loop, or the oldest work it owes."""
        slot = self._page.take_slot()
        try:
            while True:
                self._page.reach(slot, min(self._page.now_s, *self._owed.values(), math.inf))
                await asyncio.sleep(_BEAT_WALL_S)
        finally:
            self._page.leave_slot(slot)


class Pacer:
    """Moves the common time on in a thread of its own; used as a context.

    Attributes:
        waited_for: Process id of the event loop that the time waits for, 0 where it waits for none.
    """

    def __init__(self, page: PaceFile) -> None:
        self.waited_for = 0
        self._page = page
        self._speed = page.speed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pacer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def slow_down(self, ratio: float) -> None:
        """Run at that share of the page's speed from now on, e.g. while devices connect; 1.0 is full speed."""
        self._speed = self._page.speed * ratio

    def stride(self, wall_s: float) -> None:
        """Move on by what ``wall_s`` seconds allow, at most a little beyond the slowest event loop."""
        page, passed_s = self._page, min(wall_s, _LONGEST_STRIDE_WALL_S) * self._speed
        slowest_pid, slowest_s = min(page.reached(), key=lambda one: one[1], default=(0, page.now_s))
        limit_s = slowest_s + _LEAD_WALL_S * page.speed
        before_s = page.now_s
        page.now_s = max(before_s, min(before_s + passed_s, limit_s))
        self.waited_for = slowest_pid if before_s + passed_s > limit_s else 0
        weight = min(wall_s / _RATE_MEMORY_S, 1.0)
        page.rate += weight * ((page.now_s - before_s) / max(wall_s, 1e-9) - page.rate)

    def _run(self) -> None:
        last_s = time.monotonic()
        while not self._ended.wait(_STRIDE_WALL_S):
            now_s = time.monotonic()
            if self.waited_for:
                self._page.forget_dead()
            self.stride(now_s - last_s)
            last_s = now_s


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
