"""Modbus TCP: SunSpec and declared register maps; our client and simulated devices."""

from adapters.modbus.devices import ModbusDevices
from adapters.modbus.link import ModbusLink
from adapters.modbus.regmap import RegisterMap

__all__ = ["ModbusDevices", "ModbusLink", "RegisterMap"]
