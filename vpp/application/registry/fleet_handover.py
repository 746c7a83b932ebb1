"""Hand-over of rows: a device that leaves is released first, then its link is dropped and the row is free again.

A row is withheld from the moment its resource is retired or gets another address. Until the device holds nothing of
ours any more, the links go on serving it as it was; then all that was known of it is forgotten.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import structlog

from vpp.application.registry.fleet_history import without
from vpp.dispatch.engine import DispatchEngine
from vpp.domain.errors import StorageError
from vpp.domain.resource import Resource
from vpp.fleet.amendment import amended
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import LEFT
from vpp.ports import Journal, Registry
from vpp.telemetry.ingest import Ingest

_log = structlog.get_logger(__name__)


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

    @property
    def former(self) -> Mapping[int, Resource]:
        """Devices by row that still hold a value of ours, or may."""
        return self._former

    def served(self, index: FleetIndex) -> FleetIndex:
        """Return the fleet as the links serve it: former devices in their rows, and nobody else at their addresses."""
        if not self._former:
            return index
        taken = {(device.adapter, device.address) for device in self._former.values()}
        waiting = {
            row: replace(resource, valid_to_s=resource.valid_from_s)
            for row, resource in enumerate(index.resources)
            if row not in self._former and not resource.retired and (resource.adapter, resource.address) in taken
        }
        return amended(index, {"resources": {**waiting, **self._former}})

    def begin(self, devices: Mapping[int, Resource]) -> None:
        """Follow devices that leave, by row, as they are now."""
        self._former.update(devices)

    def follow(self, state: FleetState) -> None:
        """Let those devices go that hold nothing any more; after a cycle of ``state``."""
        if self._former:
            rows = np.array(sorted(self._former), dtype=np.int32)
            holding = self._engine.holding(rows, state.connected, state.at_s)
            self._leave(rows[~holding].tolist(), state)
        if self._left and (self._forgetting is None or self._forgetting.done()):
            self._forgetting = asyncio.get_running_loop().create_task(self._forget(), name="former devices")

    def _leave(self, rows: list[int], state: FleetState) -> None:
        if not rows:
            return
        index = self._engine.index
        for row in rows:
            del self._former[row]
        self._left.update(rows)
        self._journal.append(LEFT, state.at_s, {"rows": rows})
        gone = np.array(rows, dtype=np.int32)
        self._engine.forget(gone)
        self._ingest.vacate(gone, state.at_s)
        after = without(index, rows)
        self._serve(after, self.served(after))
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
