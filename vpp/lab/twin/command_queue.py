"""Commands in flight to devices and those that wait behind them: at most one of each a row, as columns."""

from dataclasses import dataclass

import numpy as np

from vpp.domain.setpoint import SetpointBatch
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, RowArray
from vpp.lab.twin.physics.faults import ResponseBatch

NONE = 0
"""Command ids are positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Commands; shape ``(n,)`` each. Fields as in `vpp.domain.setpoint.SetpointBatch`."""

    ids: IdArray
    rows: RowArray
    layers: CodeArray
    power_kw: FloatArray
    until_s: FloatArray

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, batch: SetpointBatch) -> "Commands":
        """Return a batch's commands."""
        return cls(ids=batch.ids, rows=batch.rows, layers=batch.layers, power_kw=batch.power_kw, until_s=batch.until_s)

    def take(self, chosen: BoolArray | IdArray) -> "Commands":
        """Return the chosen commands."""
        return Commands(
            ids=self.ids[chosen],
            rows=self.rows[chosen],
            layers=self.layers[chosen],
            power_kw=self.power_kw[chosen],
            until_s=self.until_s[chosen],
        )

    def rounds(self) -> list["Commands"]:
        """Return the same commands in rounds that name each row once, in order."""
        left, found = self, []
        while len(left):
            first = np.zeros(len(left), dtype=np.bool_)
            first[np.unique(left.rows, return_index=True)[1]] = True
            found.append(left.take(first))
            left = left.take(~first)
        return found


class CommandSlots:
    """One command a row, or none.

    Args:
        count: Rows of the fleet.
    """

    def __init__(self, count: int) -> None:
        self._ids: IdArray = np.zeros(count, dtype=np.int64)
        self._layers: CodeArray = np.zeros(count, dtype=np.uint8)
        self._power_kw: FloatArray = np.zeros(count)
        self._until_s: FloatArray = np.zeros(count)

    def grow(self, more: int) -> None:
        """Add rows."""
        self._ids = np.append(self._ids, np.zeros(more, dtype=np.int64))
        self._layers = np.append(self._layers, np.zeros(more, dtype=np.uint8))
        self._power_kw = np.append(self._power_kw, np.zeros(more))
        self._until_s = np.append(self._until_s, np.zeros(more))

    def full(self, rows: RowArray) -> BoolArray:
        """Return which of ``rows`` hold a command."""
        return np.asarray(self._ids[rows] != NONE)

    def all_rows(self) -> RowArray:
        """Return every row that holds a command."""
        return np.flatnonzero(self._ids != NONE).astype(np.int32)

    def put(self, commands: Commands) -> None:
        """Put each command into its row; one that was there is replaced."""
        rows = commands.rows
        self._ids[rows] = commands.ids
        self._layers[rows] = commands.layers
        self._power_kw[rows] = commands.power_kw
        self._until_s[rows] = commands.until_s

    def pop(self, rows: RowArray) -> Commands:
        """Take the commands of ``rows``; each must hold one."""
        taken = Commands(
            ids=self._ids[rows],
            rows=rows,
            layers=self._layers[rows],
            power_kw=self._power_kw[rows],
            until_s=self._until_s[rows],
        )
        self._ids[rows] = NONE
        return taken


class CommandQueue:
    """Commands in flight, with the device's response to each and when it is due.

    Attributes:
        in_flight: One a row.
        waiting: The next command of rows that are busy.
    """

    def __init__(self) -> None:
        self.in_flight = CommandSlots(0)
        self.waiting = CommandSlots(0)
        self._due_s: FloatArray = np.zeros(0)
        self._refused: BoolArray = np.zeros(0, dtype=np.bool_)
        self._ignored: BoolArray = np.zeros(0, dtype=np.bool_)
        self._next_due_s = np.inf

    def grow(self, more: int) -> None:
        """Add rows."""
        self.in_flight.grow(more)
        self.waiting.grow(more)
        self._due_s = np.append(self._due_s, np.full(more, np.inf))
        self._refused = np.append(self._refused, np.zeros(more, dtype=np.bool_))
        self._ignored = np.append(self._ignored, np.zeros(more, dtype=np.bool_))

    def begin(self, commands: Commands, responses: ResponseBatch, now_s: float) -> None:
        """Put commands in flight."""
        rows = commands.rows
        self.in_flight.put(commands)
        self._due_s[rows] = now_s + responses.latency_s
        self._refused[rows], self._ignored[rows] = responses.refused, responses.ignored
        self._next_due_s = min(self._next_due_s, float(self._due_s[rows].min(initial=np.inf)))

    def due(self, now_s: float) -> RowArray:
        """Return the rows whose responses are due, the earliest first; they must be popped."""
        if now_s < self._next_due_s:
            return np.zeros(0, dtype=np.int32)
        rows = self.in_flight.all_rows()
        late = self._due_s[rows] <= now_s
        self._next_due_s = float(self._due_s[rows[~late]].min(initial=np.inf))
        rows = rows[late]
        return rows[np.argsort(self._due_s[rows], kind="stable")]

    def refused(self, rows: RowArray) -> BoolArray:
        """Return which commands are refused."""
        return self._refused[rows]

    def ignored(self, rows: RowArray) -> BoolArray:
        """Return which commands are accepted and ignored."""
        return self._ignored[rows]
