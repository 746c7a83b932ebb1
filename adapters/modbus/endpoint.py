"""One connection and the units behind it: instructions first, polls in between, back-off where nobody answers."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

import structlog

from adapters.kit.backoff import Backoff
from adapters.kit.batching import Batcher
from adapters.modbus.command import EXPIRED, NOT_CONNECTED, Command, Verdict
from adapters.modbus.reports import UnitReports
from adapters.modbus.silence import SilenceCount
from adapters.modbus.transport.connection import (
    BehindGatewayError,
    ModbusConnection,
    NoAnswerError,
    NoConnectionError,
    RefusedError,
)
from adapters.modbus.unit import Unit
from vpp.domain.errors import FrameError
from vpp.domain.setpoint import Layer, OutcomeStatus
from vpp.ports import Clock, owing

_log = structlog.get_logger(__name__)
_LEAST_TIMEOUT_WALL_S = 1.0
"""No network is faster because the clock is."""
_LATE_RATIO = 0.5
"""Share of the time between two polls by which a poll may be late before a clock that can waits for it."""
_RECONNECT = Backoff(first_s=1.0, longest_s=60.0, jitter=(0.5, 1.5))
"""Wait before an endpoint is dialled again."""
_LONGEST_SILENCE = 32.0
"""Poll intervals after which a silent unit is asked again at the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Poll interval and time-outs, in the clock's seconds.

    Attributes:
        poll_s: Time between two polls of a unit.
        timeout_s: How long to wait for a connection or an answer.
        reversion_s: Longest reversion timer to set; ``None`` for the whole lease.
    """

    poll_s: float
    timeout_s: float
    reversion_s: float | None

    def lease_s(self, command: Command, now_s: float) -> float:
        """Return the reversion timer of an instruction, 0 where it needs none."""
        if command.layer is not Layer.DISPATCH:
            return 0.0
        left_s = command.until_s - now_s
        return left_s if self.reversion_s is None else min(left_s, self.reversion_s)


class Endpoint:
    """One TCP endpoint with one connection, at most one outstanding request and any number of units.

    Args:
        address: Host and port.
        clock: The only source of time.
        pace: Poll interval and time-outs.
        batcher: Where reports go.
        jitter: Spreads reconnects, so that a city does not come back at once.
    """

    def __init__(
        self, address: tuple[str, int], *, clock: Clock, pace: Pace, batcher: Batcher, jitter: random.Random
    ) -> None:
        self.address = address
        self.units: dict[int, Unit] = {}
        self._clock = clock
        self._pace = pace
        self._reports = UnitReports(address, clock, batcher)
        self._jitter = jitter
        self._work = asyncio.Event()
        timeout_wall_s = max(clock.wall(pace.timeout_s), _LEAST_TIMEOUT_WALL_S)
        self._connection = ModbusConnection(address, timeout_wall_s=timeout_wall_s, on_lost=self._work.set)
        self._backoff = Backoff(first_s=pace.poll_s, longest_s=_LONGEST_SILENCE * pace.poll_s, jitter=(0.75, 1.25))
        self._silences = SilenceCount()
        self._waiting: dict[int, Command] = {}
        self._down = False
        self._failures = 0

    def add(self, unit: Unit) -> None:
        """Serve one more unit."""
        self.units[unit.row] = unit
        self._work.set()

    def remove(self, row: int) -> None:
        """Serve the unit of ``row`` no longer; an instruction that has not left yet is refused."""
        unit = self.units.pop(row, None)
        if unit is not None:
            unit.contact.left = True
        command = self._waiting.pop(row, None)
        if command is not None:
            self._reports.outcome(command, NOT_CONNECTED)

    def send(self, command: Command) -> None:
        """Queue an instruction in place of one that has not left yet; refuse it at once while there is no link."""
        replaced = self._waiting.pop(command.row, None)
        if replaced is not None:
            self._reports.outcome(replaced, EXPIRED)
        if self._down or self.units[command.row].contact.connected is False:
            self._reports.outcome(command, NOT_CONNECTED)
            return
        self._waiting[command.row] = command
        self._work.set()

    async def run(self) -> None:
        """Connect, serve, and connect again; returns only by cancellation."""
        try:
            if not self._waiting:  # the first poll's place in the interval is the connection's too
                await self._idle()
            while True:
                with contextlib.suppress(NoConnectionError):
                    await self._connection.open()
                    await self._serve()
                self._went_down()
                await self._clock.sleep(_RECONNECT.wait_s(self._failures, self._jitter.uniform))
        finally:
            self._connection.close()
            self.give_up()

    def rest(self) -> None:
        """Leave the endpoint to another process: disconnected as far as known, and unknown when it is ours again."""
        self._connection.close()
        due_s = self._clock.now_s() + self._pace.poll_s
        for unit in self.units.values():
            self._reports.handed_over(unit, due_s)
            unit.forget(another_had_it=True)
        self._down, self._failures = False, 0
        self.give_up()

    def give_up(self) -> None:
        """Report every instruction that has no outcome yet as unreachable."""
        waiting, self._waiting = self._waiting, {}
        for command in waiting.values():
            self._reports.outcome(command, NOT_CONNECTED)

    async def _serve(self) -> None:
        """Work until the connection breaks, which raises NoConnectionError."""
        if self._down:
            _log.info("modbus endpoint answers", endpoint=self.address, units=len(self.units))
        self._down = False
        self._silences.clear()
        while True:
            unit = self._due()
            if self._waiting:
                await self._obey(self._waiting.pop(next(iter(self._waiting))))
            elif unit is not None:
                await self._poll(unit)
            else:
                await self._idle()
            if self._silences.in_doubt and self._hopeless():
                raise NoConnectionError("nobody answers on the connection")
            await self._connection.resume()

    def _hopeless(self) -> bool:
        return self._silences.hopeless([unit.contact for unit in self.units.values()], self._clock.now_s())

    async def _idle(self) -> None:
        self._work.clear()
        next_s = min((unit.contact.due_s for unit in self.units.values()), default=float("inf"))
        wait_s = min(next_s - self._clock.now_s(), self._pace.poll_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._clock.wall(max(wait_s, 0.0))):
                await self._work.wait()

    def _due(self) -> Unit | None:
        """Return the unit to be polled next, those that answer before those that did not."""
        now_s = self._clock.now_s()
        due = [unit for unit in self.units.values() if unit.contact.due_s <= now_s]
        return min(due, key=lambda unit: (unit.contact.silences > 0, unit.contact.due_s), default=None)

    async def _poll(self, unit: Unit) -> None:
        contact = unit.contact
        try:
            with owing(self._clock, contact.due_s + _LATE_RATIO * self._pace.poll_s):
                await unit.poll(self._connection, self._clock.now_s())
        except NoAnswerError as error:
            self._silent(unit, str(error), behind_gateway=isinstance(error, BehindGatewayError))
        except RefusedError as error:
            self._unusable(unit, "exception", str(error))
        except FrameError as error:
            self._unusable(unit, "map", str(error))
        else:
            self._answered(unit)
        now_s = self._clock.now_s()
        if contact.silences:  # the first may be chance
            contact.due_s = now_s + self._backoff.wait_s(contact.silences, self._jitter.uniform)
        else:
            contact.due_s = max(contact.due_s + self._pace.poll_s, now_s)

    async def _obey(self, command: Command) -> None:
        now_s = self._clock.now_s()
        unit = self.units[command.row]
        if command.expired(now_s) or unit.contact.connected is False:
            self._reports.outcome(command, EXPIRED if command.expired(now_s) else NOT_CONNECTED)
            return
        verdict = NOT_CONNECTED
        try:
            verdict = await unit.obey(self._connection, command, now_s, self._pace.lease_s(command, now_s))
        finally:
            self._reports.outcome(command, verdict)
        self._obeyed(unit, command, verdict)

    def _obeyed(self, unit: Unit, command: Command, verdict: Verdict) -> None:
        unit.contact.ack_s = self._clock.now_s() - command.sent_s
        if verdict[0] is OutcomeStatus.UNREACHABLE:
            self._silent(unit, verdict[1].name.lower(), behind_gateway=verdict == NOT_CONNECTED)
            return
        self._silences.clear()
        self._reports.troubles(unit)
        self._reports.limit(unit)

    def _answered(self, unit: Unit) -> None:
        self._silences.clear()
        self._failures = unit.contact.silences = 0
        unit.contact.why = ""
        self._reports.connected(unit, connected=True)
        self._reports.samples(unit)

    def _silent(self, unit: Unit, why: str, *, behind_gateway: bool) -> None:
        if behind_gateway:  # the gateway did answer
            self._silences.clear()
        else:
            self._silences.add(unit.contact)
        unit.contact.silences += 1
        unit.contact.why = why
        if unit.contact.lost:
            unit.forget()
            self._reports.connected(unit, connected=False, quietly=self._down)

    def _unusable(self, unit: Unit, reason: str, why: str) -> None:
        """Count an answer without use: the connection is fine, the unit is not (or not yet)."""
        self._silences.clear()
        self._reports.unusable(reason)
        unit.contact.why = why
        if not unit.device.known:
            unit.contact.silences += 1
            self._reports.connected(unit, connected=False, quietly=self._down)

    def _went_down(self) -> None:
        self._connection.close()
        if not self._down:
            # One line for all that hang on it; whose loss is not logged one by one, their return is not either.
            _log.warning("modbus endpoint does not answer", endpoint=self.address, units=len(self.units))
        self._down = True
        self._failures += 1
        now_s = self._clock.now_s()
        for unit in self.units.values():
            unit.forget()
            unit.contact.why = unit.contact.why or "no connection"
            unit.contact.silences = 0
            self._reports.connected(unit, connected=False, quietly=True)
            unit.contact.due_s = min(unit.contact.due_s, now_s)
        self.give_up()
