"""Device side of Modbus: inverters and batteries of the physical model, each at its own address."""

import asyncio
from collections.abc import Mapping

from adapters.modbus.address import Address
from adapters.modbus.simulated.equipment import SimulatedBattery, SimulatedInverter
from adapters.modbus.simulated.server import Endpoint, Fault, FaultError, WriteTreatment
from adapters.modbus.simulated.sunspec_unit import SimulatedDevice
from vpp.domain.device import DeviceReadings
from vpp.domain.errors import InputError
from vpp.domain.resource import STORING, Adapter, ResourceClass
from vpp.ports import Clock, DeviceWorld

_WATCH_S = 1.0
"""Period in which links are checked."""
_FRESH_S = 0.5
"""Greatest age of the readings that are shown."""
_BASE = 40000


class ModbusDevices:
    """A `vpp.ports.DeviceSimulator` for every Modbus row of a physical model: photovoltaics and storage.

    A port is open while any device behind it has its link; for a unit without link behind an open port
    exception 11 is returned, as a gateway does.

    Args:
        world: The physical model.
        clock: The only source of time.
        base: Address at which the devices' SunSpec maps begin.

    Attributes:
        listening: Set once every port is open.

    Raises:
        InputError: A row is neither photovoltaics nor storage, or its address cannot be listened on.
    """

    def __init__(self, *, world: DeviceWorld, clock: Clock, base: int = _BASE) -> None:
        self.listening = asyncio.Event()
        self._world = world
        self._clock = clock
        self._readings: DeviceReadings = world.readings()
        self._read_s = clock.now_s()
        self._endpoints: dict[tuple[str, int], Endpoint] = {}
        units: dict[tuple[str, int], dict[int, _Linked]] = {}
        for row, resource in enumerate(world.index.resources):
            if resource.adapter is Adapter.MODBUS:
                address = _plain(resource.address)
                device = _kind(resource.resource_class)(world=world, clock=clock, row=row, base=base)
                behind = units.setdefault(address.endpoint, {})
                if address.unit in behind:
                    raise InputError("address", resource.address, "an address that no other device has")
                behind[address.unit] = _Linked(self, device)
        self._endpoints = {where: Endpoint(behind) for where, behind in units.items()}
        self._rows: Mapping[tuple[str, int], list[int]] = {
            where: [unit.device.row for unit in behind.values()] for where, behind in units.items()
        }

    async def run(self) -> None:
        """Listen and answer until cancelled; raises OSError if an address is taken."""
        loop = asyncio.get_running_loop()
        servers: list[asyncio.Server] = []
        try:
            for (host, port), endpoint in self._endpoints.items():
                servers.append(await loop.create_server(endpoint.connection, host, port))
            self.listening.set()
            while True:
                self._watch()
                await self._clock.sleep(_WATCH_S)
        finally:
            self.listening.clear()
            for server in servers:
                server.close()
            for endpoint in self._endpoints.values():
                endpoint.cut()

    def readings(self) -> DeviceReadings:
        """Return what all meters show, at most half a second old."""
        now_s = self._clock.now_s()
        if now_s - self._read_s >= _FRESH_S:
            self._readings = self._world.readings()
            self._read_s = now_s
        return self._readings

    def _watch(self) -> None:
        online = self.readings().online
        for where, endpoint in self._endpoints.items():
            endpoint.open = bool(online[self._rows[where]].any())
            if not endpoint.open:
                endpoint.cut()


class _Linked:
    """A device behind its link: refreshed on access, unreachable while the link is down."""

    def __init__(self, devices: ModbusDevices, device: SimulatedDevice) -> None:
        self._devices = devices
        self.device = device

    def read(self, address: int, count: int) -> bytes:
        """Return registers; raises FaultError."""
        self._refresh()
        return self.device.read(address, count)

    def write(self, address: int, data: bytes) -> WriteTreatment:
        """Return how a write will be treated; raises FaultError."""
        self._refresh()
        return self.device.write(address, data)

    def _refresh(self) -> None:
        readings = self._devices.readings()
        if not readings.online[self.device.row]:
            raise FaultError(Fault.NO_ANSWER)
        self.device.refresh(readings)


def _plain(text: str) -> Address:
    address = Address.of(text)
    if address.map_name:
        raise InputError("address", text, "host:port/unit: only SunSpec devices are simulated")
    return address


def _kind(resource_class: ResourceClass) -> type[SimulatedDevice]:
    if resource_class is ResourceClass.PV:
        return SimulatedInverter
    if resource_class in STORING:
        return SimulatedBattery
    raise InputError("resource_class", resource_class, "pv or storage for a simulated Modbus device")
