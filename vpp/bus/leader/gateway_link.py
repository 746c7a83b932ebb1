"""The device link of one protocol whose devices are behind gateways."""

from collections.abc import Callable, Mapping

import orjson

from vpp.bus.leader.leader_endpoint import LeaderEndpoint
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.setpoint import SetpointBatch
from vpp.fleet.index import FleetIndex
from vpp.ports import DeviceMemory, LinkSink


class BusLink:
    """A `vpp.ports.DeviceLink` whose devices are at gateways; all protocols share one endpoint.

    Args:
        name: The protocol.
        endpoint: The leader's end of the bus.
        check: Judges addresses as the protocol's own link does; see ``DeviceLink.check``.
    """

    def __init__(self, name: str, endpoint: LeaderEndpoint, *, check: Callable[[FleetIndex], None]) -> None:
        self.name: str = name
        self.endpoint = endpoint
        self._check = check

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``."""
        self._check(index)

    def assign(self, index: FleetIndex) -> None:
        """See ``DeviceLink``."""
        self.endpoint.assign(index)

    async def start(self, sink: LinkSink) -> None:
        """See ``DeviceLink``; gateways open the sockets, in their own time."""
        await self.endpoint.start(sink)

    def send(self, batch: SetpointBatch) -> None:
        """See ``DeviceLink``."""
        self.endpoint.commands.send(batch)

    def remember_default(self, row: int, power_kw: float) -> None:
        """State the default value in force at ``row`` from before a restart."""
        self.endpoint.remember_default(row, power_kw)

    def remember_in(self, memory: DeviceMemory) -> None:
        """See ``RememberingLink``."""
        self.endpoint.remember_in(memory)

    def card(self, row: int) -> Mapping[str, object]:
        """See ``DeviceLink``; as the gateway reported it last."""
        text = self.endpoint.card(row)
        card: Mapping[str, object] = {} if text is None else orjson.loads(text)
        return card

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """See ``vpp.ports.InspectableLink``; the gateway where the device is asks it."""
        return await self.endpoint.device_schedule(row, duration_s)

    def age_wall_s(self) -> float:
        """See ``vpp.ports.LiveLink``; the oldest of the gateways."""
        return self.endpoint.age_wall_s(self.name)

    @property
    def deposed(self) -> bool:
        """See ``vpp.ports.FencedLink``."""
        return self.endpoint.deposed

    async def close(self) -> None:
        """See ``DeviceLink``."""
        await self.endpoint.close()
