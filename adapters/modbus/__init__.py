"""Modbus TCP: SunSpec and declared register maps; our client and simulated devices."""
