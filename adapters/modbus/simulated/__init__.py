"""Simulated SunSpec devices and their Modbus server."""
