"""Owners' values of devices in the journal: durable before the first write to a device, recalled after a crash.

While storage fails, control goes on from memory as everywhere else (`vpp.application.loops.durability`): the journal
keeps the entry in its place and writes it once storage works again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from vpp.domain.errors import RetryError, StorageError
from vpp.ports import Clock, Journal
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

FOUND = "device.found"
"""Kind of the entries: values by name for some rows; none for a row whose values were restored."""
_PATIENCE_WALL_S = 5.0
"""Longest time a device's first write waits for its entry."""


class OwnersValues:
    """Owners' values by row, as the journal tells them."""

    def __init__(self) -> None:
        self._values: dict[int, Mapping[str, float]] = {}

    def follow(self, entry: JournalEntry) -> None:
        """Take the values of one entry; other kinds are passed over."""
        if entry.kind == FOUND:
            body: Any = entry.body
            for row, values in zip(body["rows"], body["values"], strict=True):
                self.keep(int(row), {str(name): float(value) for name, value in values.items()})

    def of(self, row: int) -> Mapping[str, float]:
        """Return the values of a row, none where none are kept."""
        return self._values.get(row, {})

    def keep(self, row: int, values: Mapping[str, float]) -> None:
        """Keep the values of a row; none where they were restored."""
        if values:
            self._values[row] = values
        else:
            self._values.pop(row, None)

    def state(self) -> StateTree:
        """Return the values as a state tree."""
        return {"rows": list(self._values), "values": [dict(values) for values in self._values.values()]}

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned."""
        self._values = dict(zip(state["rows"], state["values"], strict=True))


class JournalledMemory:
    """A `vpp.ports.DeviceMemory` in the journal; values of one turn of the event loop become one entry.

    Args:
        journal: Where entries go.
        clock: The only source of time.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._values = OwnersValues()
        self._waiting: dict[int, Mapping[str, float]] = {}
        self._writing: asyncio.Task[None] | None = None

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Take the values found by earlier runs, in the order of the journal."""
        for entry in entries:
            self._values.follow(entry)

    def load(self, state: StateTree) -> None:
        """Take the values found by earlier runs as ``OwnersValues.state`` returned them."""
        self._values.load(state)

    async def remember(self, row: int, values: Mapping[str, float]) -> None:
        """See ``DeviceMemory``; raises RetryError where the entry could not even be kept in memory."""
        self._waiting[row] = dict(values)
        writing = self._writing
        if writing is None or writing.done():
            writing = self._writing = asyncio.create_task(self._write(), name="device memory")
        await asyncio.wait((writing,), timeout=_PATIENCE_WALL_S)
        error = writing.exception() if writing.done() else None
        if error is not None and not isinstance(error, StorageError):
            raise RetryError(f"a device's values could not be recorded: {error}") from error

    async def recall(self, row: int) -> Mapping[str, float]:
        """See ``DeviceMemory``."""
        return self._values.of(row)

    async def _write(self) -> None:
        """Record the values gathered in this turn of the event loop."""
        await asyncio.sleep(0)
        batch, self._waiting, self._writing = self._waiting, {}, None
        body = {"rows": list(batch), "values": list(batch.values())}
        self._journal.append(FOUND, self._clock.now_s(), body)
        for row, values in batch.items():
            self._values.keep(row, values)
        await self._journal.flush()
