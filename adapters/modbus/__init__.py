"""Modbus TCP: SunSpec and declared register maps; our client; ``simulated`` holds the device side."""

from adapters.modbus.devices.mapped.register_map import RegisterMap
from adapters.modbus.link import ModbusLink

__all__ = ["ModbusLink", "RegisterMap"]
