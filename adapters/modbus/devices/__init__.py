"""Devices behind Modbus: SunSpec models and declared register maps."""
