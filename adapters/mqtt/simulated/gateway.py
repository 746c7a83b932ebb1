"""Command handling of a simulated site gateway, without a network."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

from adapters.mqtt.payload import Command
from vpp.domain.setpoint import Layer
from vpp.ports import Clock, DeviceWorld

_REMEMBERED = 10_000
"""Answers kept for repeated commands; far more than can be in flight."""


class Gateway:
    """Carries out commands for the devices of one site: each id once, none of a stale epoch.

    Args:
        rows: Row of every device of the site.
        world: The physical model.
        clock: The only source of time.
        received: Counter of arrivals by command id, repetitions included.
    """

    def __init__(self, *, rows: Mapping[str, int], world: DeviceWorld, clock: Clock, received: Counter[int]) -> None:
        self._rows = rows
        self._world = world
        self._clock = clock
        self._received = received
        self._answers: dict[int, str | None] = {}
        self._in_progress: set[int] = set()
        self._newest: dict[int, int] = {}
        self._epoch = 0
        self.away: Collection[int] = frozenset()
        """Rows the gateway has lost its link to."""

    async def answer(self, command: Command) -> tuple[Command, str | None] | None:
        """Carry out one command; return it with the reason of a rejection or ``None`` where accepted.

        A repeated id gets the same answer. ``None`` altogether means no answer, because the same id is in progress.
        """
        self._received[command.id] += 1
        if command.id in self._in_progress:
            return None
        if command.id not in self._answers:
            self._in_progress.add(command.id)
            try:
                self._remember(command.id, await self._carry_out(command))
            finally:
                self._in_progress.discard(command.id)
        return command, self._answers[command.id]

    def _remember(self, command_id: int, reason: str | None) -> None:
        self._answers[command_id] = reason
        if len(self._answers) > _REMEMBERED:
            del self._answers[next(iter(self._answers))]

    async def _carry_out(self, command: Command) -> str | None:
        row = self._rows.get(command.device)
        if row is None:
            return "unsupported"
        if command.epoch < self._epoch:
            return "stale_epoch"
        self._epoch = command.epoch
        if row in self.away:
            return "not_connected"
        response = self._world.response(row)
        await self._clock.sleep(response.latency_s)
        if response.refused:
            return "refused"
        late = self._too_late(row, command)
        if late is None:
            self._newest[row] = command.id
            if not response.ignored:
                self._world.apply(row, command.layer, command.power_kw, command.until_s)
        return late

    def _too_late(self, row: int, command: Command) -> str | None:
        if command.layer is Layer.DISPATCH and command.until_s <= self._clock.now_s():
            return "expired"
        return "superseded" if command.id < self._newest.get(row, 0) else None


class Replies:
    """Answers that wait for the next message, so that those of one instant share it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Command, str | None]] = []
        self._some = asyncio.Event()

    def add(self, answer: tuple[Command, str | None]) -> None:
        """Add an answer."""
        self._waiting.append(answer)
        self._some.set()

    async def next(self) -> list[tuple[Command, str | None]]:
        """Return all that wait, as soon as there is one."""
        await self._some.wait()
        self._some.clear()
        answers, self._waiting = self._waiting, []
        return answers
