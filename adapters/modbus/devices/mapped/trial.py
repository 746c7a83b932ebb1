"""Trial of a register map against a live device: every point as the device shows it, and why one is not usable."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.modbus.address import Address
from adapters.modbus.devices.mapped.image import MapImage
from adapters.modbus.devices.mapped.register_map import MapPoint, RegisterMap
from adapters.modbus.transport.connection import Code, ModbusConnection, NoAnswerError, RefusedError
from adapters.modbus.transport.reading import Read
from adapters.modbus.transport.registers import Registers
from vpp.domain.errors import DeviceUnreachableError, FrameError


@dataclass(frozen=True, slots=True, kw_only=True)
class PointTrial:
    """One point of a map as a device shows it.

    Attributes:
        registers: As they stand on the wire, empty where the device does not show them.
        value: In the point's unit, load positive, whatever its bounds; NaN where there is none.
        fault: Why the service would not use it, empty where it would.
    """

    point: MapPoint
    registers: Registers
    value: float
    fault: str


async def try_map(register_map: RegisterMap, address: Address, *, timeout_wall_s: float) -> Sequence[PointTrial]:
    """Read every point of a map once, each by itself; nothing is written.

    Raises:
        DeviceUnreachableError: There is no connection, or the unit does not answer.
    """
    connection = ModbusConnection(address.endpoint, timeout_wall_s=timeout_wall_s, on_lost=lambda: None)
    await connection.open()
    try:
        return [await _tried(MapImage(register_map), point, connection, address) for point in register_map.points]
    except NoAnswerError:
        host, port = address.endpoint
        raise DeviceUnreachableError(f"{host}:{port} takes the connection, but unit {address.unit} is silent") from None
    finally:
        connection.close()


async def _tried(image: MapImage, point: MapPoint, connection: ModbusConnection, address: Address) -> PointTrial:
    read = Read(address=point.address, count=point.size, table=point.table)
    try:
        found = tuple(await connection.read(address.unit, read.address, read.count, read.table))
    except (RefusedError, FrameError) as error:
        return PointTrial(point=point, registers=(), value=math.nan, fault=_refusal(error))
    image.store(read, found)
    value = image.unbounded(point)
    return PointTrial(point=point, registers=found, value=value, fault=_fault(point, value))


def _refusal(error: RefusedError | FrameError) -> str:
    elsewhere = isinstance(error, RefusedError) and error.code == Code.ADDRESS
    return f"{error}; is address counted from 0, and is it this table?" if elsewhere else str(error)


def _fault(point: MapPoint, value: float) -> str:
    if math.isnan(value):
        return 'reads "not implemented"'
    if not point.allows(value):
        return f"outside {point.minimum:g} to {point.maximum:g}: look at type, word_order, scale and sign"
    return ""
