"""Hand-over of rows: a device that leaves is released first, then its link is dropped and the row is free again.

A row is withheld from the moment its resource is retired or gets another address. Until the device holds nothing of
ours any more, the links go on serving it as it was; then all that was known of it is forgotten.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import structlog

from vpp.application.registry.fleet_history import without
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.errors import StorageError
from vpp.domain.resource import Adapter, Resource
from vpp.fleet.amendment import amended
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import LEFT
from vpp.ports import Journal, Registry
from vpp.telemetry.ingest import Ingest

_log = structlog.get_logger(__name__)
_MANY = 1000
"""Former devices for which a fleet is made within a cycle; with more it is made in a thread beside the cycles."""
_MANY_AT_ONCE = 20_000
"""Devices that leave at once: parts and links forget them in the event loop."""


class FleetHandover:
    """Follows the devices that leave.

    Args:
        engine: Knows what devices hold.
        ingest: Forgets what was known of a device.
        journal: Records that a device has left.
        registry: Keeps former devices over a restart.
        serve: Makes another state of the fleet known to every part that holds rows, and to the links.
    """

    def __init__(
        self,
        *,
        engine: DispatchEngine,
        ingest: Ingest,
        journal: Journal,
        registry: Registry,
        serve: Callable[[FleetIndex, FleetIndex], None],
    ) -> None:
        self._engine = engine
        self._ingest = ingest
        self._journal = journal
        self._registry = registry
        self._serve = serve
        self._former: dict[int, Resource] = dict(registry.former_devices())
        self._left: set[int] = set()
        self._forgetting: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._state: FleetState | None = None

    @property
    def former(self) -> Mapping[int, Resource]:
        """Devices by row that still hold a value of ours, or may."""
        return self._former

    def served(self, index: FleetIndex) -> FleetIndex:
        """Return the fleet as the links serve it: former devices in their rows, and nobody else at their addresses."""
        return at_links(index, self._former)

    def begin(self, devices: Mapping[int, Resource]) -> None:
        """Follow devices that leave, by row, as they are now."""
        self._former.update(devices)

    def follow(self, state: FleetState) -> None:
        """Let those devices go that hold nothing any more; after a cycle of ``state``."""
        self._state = state
        rows = self._released(sorted(self._former))
        if len(self._former) <= _MANY:
            self._leave(rows, *_without(self._engine.index, self._former, rows))
        elif rows and (self._leaving is None or self._leaving.done()):
            leaving = self._leave_beside(rows[:_MANY_AT_ONCE])
            self._leaving = asyncio.get_running_loop().create_task(leaving, name="devices that leave")
        if self._left and (self._forgetting is None or self._forgetting.done()):
            self._forgetting = asyncio.get_running_loop().create_task(self._forget(), name="former devices")

    def _released(self, rows: Sequence[int]) -> list[int]:
        """Return those of ``rows`` whose device holds nothing any more, by the last snapshot."""
        state, asked = self._state, np.array(rows, dtype=np.int32)
        if state is None or not len(asked):
            return []
        released: list[int] = asked[~self._engine.holding(asked, state.connected, state.at_s)].tolist()
        return released

    async def _leave_beside(self, rows: list[int]) -> None:
        """Let devices go for whom the fleet is made in a thread; after the next cycle where it changes meanwhile."""
        index = self._engine.index
        made = await asyncio.to_thread(_without, index, dict(self._former), rows)
        if self._engine.index is index and self._released(rows) == rows:
            self._leave(rows, *made)

    def _leave(self, rows: list[int], after: FleetIndex, linked: FleetIndex) -> None:
        state = self._state
        if state is None or not rows:
            return
        for row in rows:
            del self._former[row]
        self._left.update(rows)
        self._journal.append(LEFT, state.at_s, {"rows": rows})
        gone = np.array(rows, dtype=np.int32)
        self._engine.forget(gone)
        self._ingest.vacate(gone, state.at_s)
        self._serve(after, linked)
        _log.info("devices left", rows=len(rows))

    async def _forget(self) -> None:
        """Forget devices that have left, once the journal says so; tried again after a later cycle where that fails."""
        rows = sorted(self._left)
        try:
            await self._journal.flush()
            await asyncio.to_thread(self._registry.forget_devices, rows)
        except StorageError as error:
            _log.warning("former devices not forgotten yet", why=str(error))
            return
        self._left -= set(rows)


def at_links(index: FleetIndex, former: Mapping[int, Resource]) -> FleetIndex:
    """Return the fleet as links serve it: ``former`` devices in their rows, and nobody else at their addresses."""
    if not former:
        return index
    taken: dict[Adapter, set[str]] = {}
    for device in former.values():
        taken.setdefault(device.adapter, set()).add(device.address)
    waiting = {
        row: replace(resource, valid_to_s=resource.valid_from_s)
        for row, resource in enumerate(index.resources)
        if resource.address in taken.get(resource.adapter, ()) and row not in former and not resource.retired
    }
    return amended(index, {"resources": {**waiting, **former}})


def _without(index: FleetIndex, former: Mapping[int, Resource], rows: Sequence[int]) -> tuple[FleetIndex, FleetIndex]:
    """Return the fleet once the devices of ``rows`` have left, and as links serve it then."""
    if not rows:
        return index, index
    after, gone = without(index, rows), set(rows)
    return after, at_links(after, {row: device for row, device in former.items() if row not in gone})
