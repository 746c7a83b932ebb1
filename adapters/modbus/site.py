"""One connection and the units behind it: instructions first, polls in between, patience when nobody answers."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

import structlog

from adapters.kit.backoff import Backoff
from adapters.kit.batching import Batcher
from adapters.modbus.transport.connection import (
    BehindGatewayError,
    ModbusConnection,
    NoAnswerError,
    NoConnectionError,
    RefusedError,
)
from adapters.modbus.unit import NOT_CONNECTED, Command, Unit, Verdict
from vpp.domain.errors import FrameError
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
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
_SILENCES = 3
"""Silences in a row, of any units, after which the connection is in doubt."""
_UNTRIED_SILENCES = 8
"""Silences in a row up to which a unit that nobody has asked yet may still say that the connection is well."""
_WELL_SILENT = 2
"""Units that answered before and are silent in a row after which it is given up."""
EXPIRED: Verdict = (OutcomeStatus.REJECTED, Reason.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long, in the clock's seconds.

    Attributes:
        poll_s: Time between two polls of a unit.
        timeout_s: How long to wait for a connection or an answer.
        reversion_s: Longest reversion timer to set; ``None`` for the whole lease.
    """

    poll_s: float
    timeout_s: float
    reversion_s: float | None


class Site:
    """One TCP endpoint with one connection, at most one outstanding request and any number of units.

    Args:
        endpoint: Host and port.
        jitter: Spreads reconnects, so that a city does not come back at once.
    """

    def __init__(
        self, endpoint: tuple[str, int], *, clock: Clock, pace: Pace, batcher: Batcher, jitter: random.Random
    ) -> None:
        self.endpoint = endpoint
        self.units: dict[int, Unit] = {}
        self._clock = clock
        self._pace = pace
        self._batcher = batcher
        self._jitter = jitter
        self._work = asyncio.Event()
        timeout_wall_s = max(clock.wall(pace.timeout_s), _LEAST_TIMEOUT_WALL_S)
        self._wire = ModbusConnection(endpoint, timeout_wall_s=timeout_wall_s, on_lost=self._work.set)
        self._silence = Backoff(first_s=pace.poll_s, longest_s=_LONGEST_SILENCE * pace.poll_s, jitter=(0.75, 1.25))
        self._waiting: dict[int, Command] = {}
        self._down = False
        self._failures = 0
        self._silences = 0
        self._well_silent = 0

    def add(self, unit: Unit) -> None:
        """Serve one more unit."""
        self.units[unit.row] = unit
        self._work.set()

    def send(self, command: Command) -> None:
        """Queue an instruction in place of one that has not left yet; refuse it at once while there is no link."""
        replaced = self._waiting.pop(command.row, None)
        if replaced is not None:
            self._settle(replaced, EXPIRED)
        if self._down or self.units[command.row].connected is False:
            self._settle(command, NOT_CONNECTED)
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
                    await self._wire.open()
                    await self._serve()
                self._went_down()
                await self._clock.sleep(_RECONNECT.wait_s(self._failures, self._jitter.uniform))
        finally:
            self._wire.close()
            self.give_up()

    async def _serve(self) -> None:
        """Work until the connection breaks, which raises NoConnectionError."""
        if self._down:
            _log.info("modbus endpoint answers", endpoint=self.endpoint, units=len(self.units))
        self._down = False
        self._silences = self._well_silent = 0
        while True:
            unit = self._due()
            if self._waiting:
                await self._obey(self._waiting.pop(next(iter(self._waiting))))
            elif unit is not None:
                await self._poll(unit)
            else:
                await self._idle()
            if self._nobody_answers():
                raise NoConnectionError("nobody answers on the connection")
            await self._wire.resume()

    def _nobody_answers(self) -> bool:
        """Tell whether the connection is to be given up: silences say so unless a unit that was well still answers."""
        if self._silences < _SILENCES:
            return False
        asked = [unit for unit in self.units.values() if unit.connected and not unit.silences]
        if not asked and self._silences < _UNTRIED_SILENCES:
            asked = [unit for unit in self.units.values() if unit.connected is None and not unit.silences]
        if not asked or self._well_silent >= _WELL_SILENT:
            return True
        first = min(asked, key=lambda unit: unit.due_s)
        first.due_s = min(first.due_s, self._clock.now_s())
        return False

    async def _idle(self) -> None:
        self._work.clear()
        next_s = min((unit.due_s for unit in self.units.values()), default=float("inf"))
        wait_s = min(next_s - self._clock.now_s(), self._pace.poll_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._clock.wall(max(wait_s, 0.0))):
                await self._work.wait()

    def _due(self) -> Unit | None:
        """Return the unit to be polled next, those that answer before those that did not."""
        now_s = self._clock.now_s()
        due = [unit for unit in self.units.values() if unit.due_s <= now_s]
        return min(due, key=lambda unit: (unit.silences > 0, unit.due_s), default=None)

    async def _poll(self, unit: Unit) -> None:
        try:
            with owing(self._clock, unit.due_s + _LATE_RATIO * self._pace.poll_s):
                await unit.poll(self._wire, self._clock.now_s())
        except NoAnswerError as error:
            self._silent(unit, str(error), on_wire=not isinstance(error, BehindGatewayError))
        except RefusedError as error:
            self._unusable(unit, "exception", str(error))
        except FrameError as error:
            self._unusable(unit, "map", str(error))
        else:
            self._answered(unit)
        now_s = self._clock.now_s()
        if unit.silences:  # the first may be chance
            unit.due_s = now_s + self._silence.wait_s(unit.silences, self._jitter.uniform)
        else:
            unit.due_s = max(unit.due_s + self._pace.poll_s, now_s)

    async def _obey(self, command: Command) -> None:
        now_s = self._clock.now_s()
        unit = self.units[command.row]
        if command.expired(now_s) or unit.connected is False:
            self._settle(command, EXPIRED if command.expired(now_s) else NOT_CONNECTED)
            return
        verdict = NOT_CONNECTED
        try:
            verdict = await unit.obey(self._wire, command, now_s, self._lease_s(command, now_s))
        finally:
            self._settle(command, verdict)
        self._after(unit, command, verdict)

    def _after(self, unit: Unit, command: Command, verdict: Verdict) -> None:
        now_s = self._clock.now_s()
        unit.ack_s = now_s - command.sent_s
        limit_kw = unit.device.limit_kw()
        if verdict[0] is OutcomeStatus.UNREACHABLE:
            self._silent(unit, verdict[1].name.lower(), on_wire=verdict != NOT_CONNECTED)
            return
        self._silences = self._well_silent = 0
        self._tell_troubles(unit, now_s)
        if limit_kw == limit_kw:  # noqa: PLR0124 - false for NaN only: no setpoint is in force
            self._batcher.sample(unit.row, Quantity.LIMIT_KW, limit_kw, now_s)

    def _lease_s(self, command: Command, now_s: float) -> float:
        if command.layer is not Layer.DISPATCH:
            return 0.0
        left_s = command.until_s - now_s
        return left_s if self._pace.reversion_s is None else min(left_s, self._pace.reversion_s)

    def _answered(self, unit: Unit) -> None:
        self._silences = self._well_silent = self._failures = unit.silences = 0
        unit.said = ""
        self._connected(unit, connected=True)
        now_s = self._clock.now_s()
        for quantity, value in unit.device.samples():
            self._batcher.sample(unit.row, quantity, value, now_s)
        self._tell_troubles(unit, now_s)

    def _tell_troubles(self, unit: Unit, at_s: float) -> None:
        troubles = unit.troubles
        if troubles != unit.told_troubles:
            unit.told_troubles = troubles
            self._batcher.sample(unit.row, Quantity.TROUBLES, float(troubles), at_s)

    def _silent(self, unit: Unit, said: str, *, on_wire: bool) -> None:
        self._silences = self._silences + 1 if on_wire else 0
        self._well_silent = self._well_silent + (unit.connected is True and not unit.silences) if on_wire else 0
        unit.silences += 1
        unit.said = said
        if unit.lost:
            unit.forget()
            self._connected(unit, connected=False)

    def _unusable(self, unit: Unit, reason: str, said: str) -> None:
        """Count an answer without use: the wire is fine, the unit is not (or not yet)."""
        self._silences = self._well_silent = 0
        self._batcher.rejected(reason)
        unit.said = said
        if not unit.device.known:
            unit.silences += 1
            self._connected(unit, connected=False)

    def _connected(self, unit: Unit, *, connected: bool) -> None:
        if unit.connected is connected:
            return
        now_s = self._clock.now_s()
        self._batcher.sample(unit.row, Quantity.CONNECTED, float(connected), now_s)
        if connected and unit.told:
            _log.info("modbus device recovered", row=unit.row, after_s=round(now_s - unit.since_s, 1))
        elif not connected and not self._down:
            _log.warning("modbus device lost", row=unit.row, endpoint=self.endpoint, unit=unit.number, why=unit.said)
        unit.told = not connected and not self._down
        unit.connected = connected
        unit.since_s = now_s

    def _went_down(self) -> None:
        self._wire.close()
        if not self._down:
            # One line for all that hang on it; what is not told one by one is not called back one by one either.
            _log.warning("modbus endpoint does not answer", endpoint=self.endpoint, units=len(self.units))
        self._down = True
        self._failures += 1
        for unit in self.units.values():
            unit.forget()
            unit.said = unit.said or "no connection"
            unit.silences = 0
            self._connected(unit, connected=False)
            unit.due_s = min(unit.due_s, self._clock.now_s())
        self.give_up()

    def rest(self) -> None:
        """Leave the endpoint to somebody else: disconnected as far as we know, and unknown when it is ours again."""
        self._wire.close()
        now_s = self._clock.now_s()
        for unit in self.units.values():
            if unit.connected:
                self._batcher.sample(unit.row, Quantity.CONNECTED, 0.0, now_s)
            unit.forget(another_had_it=True)
            unit.connected, unit.told, unit.told_troubles, unit.silences = None, False, None, 0
            unit.due_s = min(unit.due_s, now_s + self._pace.poll_s)
        self._down, self._failures = False, 0
        self.give_up()

    def give_up(self) -> None:
        """Report every instruction that has not been settled as unreachable."""
        waiting, self._waiting = self._waiting, {}
        for command in waiting.values():
            self._settle(command, NOT_CONNECTED)

    def _settle(self, command: Command, verdict: Verdict) -> None:
        self._batcher.outcome(command.id, command.row, *verdict, self._clock.now_s())
