"""Writes of several registers in the form a device accepts, as a whole or not at all.

One request for a group of points is best, so that a device never acts on half of it. Devices differ in what they take:
some refuse a request that covers registers they do not implement, some know function code 6 only, some refuse a point
that others merely ignore. The mode that works is remembered; what was written in part is taken back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import structlog

from adapters.modbus.transport.connection import BusyError, Code, ModbusConnection, NoConnectionError, RefusedError
from adapters.modbus.transport.registers import Registers
from vpp.domain.errors import DeviceUnreachableError, FrameError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """New registers of one point.

    Attributes:
        before: Its registers as last read, ``None`` where they are not known.
        optional: The device may refuse it, and is left without it then.
        switch: It puts the others into force, so it comes last where they go one by one.
    """

    name: str
    address: int
    values: Registers
    before: Registers | None = None
    optional: bool = False
    switch: bool = False


@dataclass(slots=True, kw_only=True)
class Group:
    """Changes that belong together.

    Attributes:
        whole: Address and registers of one request for all of them, with what lies between as it was read; ``None``
            where that must not be written.
        split: Returns the changes of a whole one by one; they are seldom needed.
    """

    changes: tuple[Change, ...] = ()
    whole: tuple[int, Registers] | None = None
    split: Callable[[], tuple[Change, ...]] | None = None

    def each(self) -> tuple[Change, ...]:
        """Return the changes one by one."""
        if self.split is not None:
            self.changes, self.split = self.split(), None
        return self.changes

    def undone(self) -> "Group":
        """Return the group that puts back what was there before, as far as that is known."""
        known = [c for c in self.each() if c.before is not None]
        changes = tuple(
            Change(name=c.name, address=c.address, values=tuple(c.before or ()), optional=c.optional, switch=c.switch)
            for c in known
        )
        return Group(changes=changes)


class WriteMode(IntEnum):
    """Division of a group into requests, the best first."""

    WHOLE = 0
    """One request a group, over what lies between its points."""
    RUNS = 1
    """One request for each run of points next to each other."""
    POINTS = 2
    """One request a point, so that a point the device refuses can be left out."""
    SINGLE = 3
    """One request a register, function code 6."""


@dataclass(slots=True)
class RegisterWriter:
    """Writes groups to one device and remembers the mode it takes.

    Attributes:
        mode: The best mode the device was seen to take.
        refused: Optional points it refuses.
        taken: How many requests it has taken.
    """

    mode: WriteMode = WriteMode.WHOLE
    refused: set[str] = field(default_factory=set)
    taken: int = 0
    _proven: bool = False
    _failures: int = 0

    async def write(self, connection: ModbusConnection, unit: int, group: Group) -> None:
        """Write a group.

        Raises:
            RefusedError: The device takes it in no mode; some of it may be written.
            DeviceUnreachableError: No answer; all or some of it may be written.
            FrameError: An answer made no sense.
        """
        for mode in WriteMode:
            if mode < self.mode:
                continue
            try:
                left_out = await self._attempt(connection, unit, group, mode)
            except RefusedError as error:
                if mode is WriteMode.SINGLE or not self._goes_finer(error):
                    raise
            else:
                self.mode, self._proven, self._failures = mode, True, 0
                self.refused |= left_out
                return

    def _goes_finer(self, error: RefusedError) -> bool:
        """Tell whether a finer mode may help: a device failure (04) says so only of devices that never took one."""
        if error.code in {Code.FUNCTION, Code.ADDRESS, Code.VALUE}:
            return True
        self._failures += error.code == Code.FAILURE
        return error.code == Code.FAILURE and not self._proven and self._failures > 1

    async def _attempt(self, connection: ModbusConnection, unit: int, group: Group, mode: WriteMode) -> set[str]:
        """Write a group in one mode; return the optional points the device refused."""
        if mode is WriteMode.WHOLE and group.whole is not None and not self.refused:
            await connection.write(unit, *group.whole)
            self.taken += 1
            return set()
        changes = [change for change in group.each() if change.name not in self.refused]
        left_out: set[str] = set()
        for run in _runs(changes, joined=mode < WriteMode.POINTS):
            try:
                await self._put(connection, unit, run, single=mode is WriteMode.SINGLE)
            except BusyError:
                raise
            except RefusedError:
                if mode < WriteMode.POINTS or not all(change.optional for change in run):
                    raise
                left_out |= {change.name for change in run}
        return left_out

    async def _put(self, connection: ModbusConnection, unit: int, run: Sequence[Change], *, single: bool) -> None:
        values = [value for change in run for value in change.values]
        if not single:
            await connection.write(unit, run[0].address, values)
            self.taken += 1
            return
        for i, value in enumerate(values):
            await connection.write_one(unit, run[0].address + i, value)
            self.taken += 1


async def put_back(writer: RegisterWriter, connection: ModbusConnection, unit: int, groups: Sequence[Group]) -> bool:
    """Write what was there before, the last group first; tell whether all of it was taken."""
    taken = True
    for group in reversed(groups):
        try:
            await writer.write(connection, unit, group.undone())
        except NoConnectionError:
            raise
        except (RefusedError, DeviceUnreachableError, FrameError) as error:
            taken = False
            _log.warning("what was written could not be taken back", unit=unit, why=str(error))
    return taken


def _runs(changes: Sequence[Change], *, joined: bool) -> list[list[Change]]:
    """Return changes next to each other together, those that put others into force last."""
    runs: list[list[Change]] = []
    for change in sorted(changes, key=lambda c: (c.switch, c.address)):
        last = runs[-1][-1] if runs else None
        touching = last is not None and last.address + len(last.values) == change.address
        if joined and touching and last is not None and last.switch == change.switch:
            runs[-1].append(change)
        else:
            runs.append([change])
    return runs
