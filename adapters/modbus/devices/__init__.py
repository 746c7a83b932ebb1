"""Kinds of device behind Modbus: SunSpec models and declared register maps."""
