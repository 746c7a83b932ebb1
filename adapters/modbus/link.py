"""Our side of Modbus: one persistent connection an endpoint, units multiplexed on it, polls spread in time."""

import asyncio
import random
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import structlog

from adapters.kit.batching import Batcher
from adapters.modbus.address import Address
from adapters.modbus.command import NOT_CONNECTED, STALE_EPOCH, UNSUPPORTED, Command
from adapters.modbus.devices.device import Device
from adapters.modbus.devices.mapped.device import MappedDevice
from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.devices.sunspec.device import SunSpecDevice
from adapters.modbus.endpoint import Endpoint, Pace
from adapters.modbus.memory import VolatileMemory
from adapters.modbus.unit import Unit
from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter, Resource
from vpp.domain.setpoint import Layer, SetpointBatch
from vpp.fleet.amendment import row_changes
from vpp.fleet.index import FleetIndex
from vpp.ports import Clock, DeviceMemory, LinkSink

_log = structlog.get_logger(__name__)

NAME = "modbus"
"""Name of this adapter in the registry, metrics and journal."""
_HASH_RANGE = 2.0**32


class ModbusLink:
    """A `vpp.ports.ShardedLink` and `RememberingLink` to SunSpec devices and to devices with a declared register map.

    Its places are endpoints, ``host:port``; it owns all of them until ``own`` is called.

    Args:
        clock: The only source of time.
        poll_s: Time between two polls of a device, in the clock's seconds.
        timeout_s: How long to wait for a connection or an answer, in the clock's seconds, yet at least a wall second.
        reversion_s: Longest reversion timer to set; ``None`` sets it to the end of the lease. A shorter timer needs
            instructions to be repeated within it.
        maps: Register maps by the name that addresses use after ``#``.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        poll_s: float = 10.0,
        timeout_s: float = 3.0,
        reversion_s: float | None = None,
        maps: Mapping[str, RegisterMap] = MappingProxyType({}),
    ) -> None:
        self.name: str = NAME
        self._clock = clock
        self._pace = Pace(poll_s=poll_s, timeout_s=timeout_s, reversion_s=reversion_s)
        self._maps = dict(maps)
        self._memory: DeviceMemory = VolatileMemory()
        self._batcher = Batcher(NAME)
        self._endpoints: dict[tuple[str, int], Endpoint] = {}
        self._endpoint_of: dict[int, Endpoint] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._owns: Callable[[str], bool] = _everything
        self._index = FleetIndex.empty()
        self._epoch = 0
        self._running = False
        self._forgetting: set[asyncio.Task[None]] = set()

    def remember_in(self, memory: DeviceMemory) -> None:
        """See ``RememberingLink``: what stood in devices before our first write outlives this process there."""
        self._memory = memory
        for row, endpoint in self._endpoint_of.items():
            endpoint.units[row].owners_record.memory = memory

    def assign(self, index: FleetIndex) -> None:
        """Serve the devices of ``index`` that speak Modbus and are in service; one that has left is dialled no more.

        Raises:
            InputError: An address is no ``host:port/unit``, or names a map that was not given; nothing changes then.
        """
        changes = row_changes(self._index, index, Adapter.MODBUS)
        addresses = {row: self._address(index.resources[row]) for row in (*changes.joined, *changes.changed)}
        for row in (*changes.left, *changes.changed):
            self._remove(row)
        for row in changes.left if self._running else ():
            self._forget_values(row)
        for row, address in addresses.items():
            self._add(row, index.resources[row], address)
        self._index = index
        self._rest_endpoints()
        if self._running:
            self._begin()

    def check(self, index: FleetIndex) -> None:
        """See ``DeviceLink``; an address is ``host:port/unit`` and may name a map that was given."""
        for resource in index.resources:
            if resource.adapter is Adapter.MODBUS and not resource.retired:
                self._address(resource)

    def _address(self, resource: Resource) -> Address:
        """Return an address; raises InputError for one that cannot be served."""
        address = Address.of(resource.address)
        if address.map_name and address.map_name not in self._maps:
            raise InputError("address", resource.address, f"one of the maps {sorted(self._maps)} after #")
        return address

    def own(self, owns: Callable[[str], bool]) -> None:
        """See ``ShardedLink``: dial only the endpoints that are ours; those we leave count as not connected."""
        self._owns = owns
        for host_port, task in self._tasks.items():
            if not owns(_place(host_port)):
                task.cancel()
        if self._running:
            self._begin()

    async def start(self, sink: LinkSink) -> None:
        """Begin to connect; returns at once, as no socket is opened for listening."""
        self._batcher.open(sink)
        self._running = True
        self._begin()

    def send(self, batch: SetpointBatch) -> None:
        """Hand over instructions; returns at once, outcomes come to the sink."""
        now_s = self._clock.now_s()
        stale = batch.epoch < self._epoch
        self._epoch = max(self._epoch, batch.epoch)
        for command in _commands(batch, now_s):
            endpoint = self._endpoint_of.get(command.row)
            if stale or endpoint is None or not self._running or endpoint.address not in self._tasks:
                verdict = STALE_EPOCH if stale else UNSUPPORTED if endpoint is None else NOT_CONNECTED
                self._batcher.outcome(command.id, command.row, *verdict, now_s)
            else:
                endpoint.send(command)

    async def close(self) -> None:
        """Close every connection; outstanding instructions come back as unreachable."""
        self._running = False
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for endpoint in self._endpoints.values():
            endpoint.give_up()
        self._batcher.flush()

    def card(self, row: int) -> Mapping[str, object]:
        """Return identity, models, control and the last acknowledgement's latency; empty for rows not served here."""
        endpoint = self._endpoint_of.get(row)
        if endpoint is None:
            return {}
        unit = endpoint.units[row]
        return {
            **unit.device.card(),
            "endpoint": "{}:{}".format(*endpoint.address),
            "unit": unit.number,
            "connected": unit.contact.connected is True,
            "last_ack_s": unit.contact.ack_s,
            "last_words": unit.contact.why,
        }

    def _add(self, row: int, resource: Resource, address: Address) -> None:
        endpoint = self._endpoints.get(address.endpoint)
        if endpoint is None:
            jitter = random.Random(zlib.crc32(repr(address.endpoint).encode()))  # noqa: S311 - jitter, not a secret
            endpoint = Endpoint(
                address.endpoint, clock=self._clock, pace=self._pace, batcher=self._batcher, jitter=jitter
            )
            self._endpoints[address.endpoint] = endpoint
        spread = zlib.crc32(resource.address.encode()) / _HASH_RANGE * self._pace.poll_s
        unit = Unit(
            row=row,
            number=address.unit,
            device=self._device(resource, address),
            memory=self._memory,
            due_s=self._clock.now_s() + spread,
        )
        self._endpoint_of[row] = endpoint
        endpoint.add(unit)

    def _remove(self, row: int) -> None:
        endpoint = self._endpoint_of.pop(row, None)
        if endpoint is not None:
            endpoint.remove(row)

    def _forget_values(self, row: int) -> None:
        """Forget what stood in a device that has left: the next one in its row must not be given its values."""
        task = asyncio.create_task(self._memory.remember(row, {}), name=f"modbus row {row} left")
        self._forgetting.add(task)
        task.add_done_callback(self._forgotten)

    def _forgotten(self, task: asyncio.Task[None]) -> None:
        self._forgetting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("values of a device that has left are still kept", why=str(task.exception()))

    def _rest_endpoints(self) -> None:
        """Dial no endpoint behind which no unit is left."""
        for host_port in [address for address, endpoint in self._endpoints.items() if not endpoint.units]:
            del self._endpoints[host_port]
            task = self._tasks.pop(host_port, None)
            if task is not None:
                task.cancel()

    def _device(self, resource: Resource, address: Address) -> Device:
        if address.map_name:
            declared = self._maps[address.map_name]
            return MappedDevice(register_map=declared, resource_class=resource.resource_class)
        return SunSpecDevice(resource=resource)

    def _begin(self) -> None:
        for host_port in self._endpoints:
            self._begin_one(host_port)

    def _begin_one(self, host_port: tuple[str, int]) -> None:
        if host_port not in self._tasks and self._owns(_place(host_port)):
            task = asyncio.create_task(self._endpoints[host_port].run(), name=f"modbus {_place(host_port)}")
            self._tasks[host_port] = task
            task.add_done_callback(lambda _: self._ended(host_port))

    def _ended(self, host_port: tuple[str, int]) -> None:
        """Note that an endpoint is dialled no more; dial it again where it has become ours meanwhile."""
        task = self._tasks.pop(host_port, None)
        if not self._running or task is None:
            return
        self._endpoints[host_port].rest()
        if task.cancelled():
            self._begin_one(host_port)
        else:
            _log.error("modbus endpoint ended by a fault", endpoint=host_port, exc_info=task.exception())


def _everything(_: str) -> bool:
    return True


def _place(host_port: tuple[str, int]) -> str:
    return f"{host_port[0]}:{host_port[1]}"


def _commands(batch: SetpointBatch, now_s: float) -> list[Command]:
    columns = (batch.ids, batch.rows, batch.layers, batch.power_kw, batch.until_s)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        Command(id=i, row=row, layer=Layer(layer), power_kw=power_kw, until_s=until_s, sent_s=now_s)
        for i, row, layer, power_kw, until_s in rows
    ]
