"""The device links of one gateway, one a protocol, behind the fleet's rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, DeviceUnreachableError
from vpp.domain.setpoint import SetpointBatch
from vpp.domain.telemetry import IdArray, RowArray
from vpp.fleet.index import ADAPTERS, FleetIndex
from vpp.ports import DeviceLink, DialledLink, InspectableLink, LinkSink, LiveLink, ShardedLink


class GatewayLinks:
    """Hands each link what concerns its devices.

    Args:
        links: The protocols this gateway speaks.

    Attributes:
        index: The fleet, as far as the leader has handed it out.
        started: The links serve devices.
    """

    def __init__(self, links: Sequence[DeviceLink]) -> None:
        self.index = FleetIndex.empty()
        self.started = False
        self._links = {link.name: link for link in links}

    def assign(self, index: FleetIndex) -> None:
        """Give every link the fleet."""
        self.index = index
        for link in self._links.values():
            link.assign(index)

    async def start(self, sink: LinkSink) -> None:
        """Let the links serve devices; what they hear goes to ``sink``. Raises OSError where an address is taken."""
        for link in self._links.values():
            await link.start(sink)
        self.started = True

    async def close(self) -> None:
        """End what was started."""
        if self.started:
            for link in self._links.values():
                await link.close()

    def send(self, batch: SetpointBatch) -> Iterator[SetpointBatch]:
        """Hand commands to the links of their rows; iterate those that no link serves."""
        codes = self.index.adapter_code[batch.rows]
        for code in np.unique(codes).tolist():
            share = batch.take(np.flatnonzero(codes == code).astype(np.int64))
            link = self._links.get(ADAPTERS[code].value)
            if link is None or not self.started:
                yield share
            else:
                link.send(share)

    def supersede(self, rows: RowArray, connections: IdArray) -> None:
        """End connections of ``rows`` that are older than ``connections``, shape ``(n,)`` each; see ``DialledLink``."""
        for link in self._links.values():
            if isinstance(link, DialledLink) and self.started:
                link.supersede(rows, connections)

    def own(self, owns: Callable[[str], bool]) -> None:
        """State which places are ours to dial; see ``ShardedLink``."""
        for link in self._links.values():
            if isinstance(link, ShardedLink):
                link.own(owns)

    def ages_wall_s(self) -> dict[str, float]:
        """Return wall seconds since each link's poller last turned, by its name."""
        live = (link for link in self._links.values() if isinstance(link, LiveLink))
        return {link.name: link.age_wall_s() for link in live}

    def card(self, row: int) -> Mapping[str, object]:
        """Return what the device in ``row`` says of itself, nothing where no link serves it."""
        link = self._links.get(ADAPTERS[self.index.adapter_code[row]].value)
        return {} if link is None else link.card(row)

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Ask the device in ``row`` which schedule it holds; raises as ``InspectableLink`` has it."""
        if not self.started or not 0 <= row < len(self.index):
            raise DeviceUnreachableError(f"this gateway does not serve row {row} yet")
        adapter = ADAPTERS[self.index.adapter_code[row]].value
        link = self._links.get(adapter)
        if not isinstance(link, InspectableLink):
            raise ConflictError(f"a device of adapter {adapter} cannot be asked for its schedule")
        return await link.device_schedule(row, duration_s)
