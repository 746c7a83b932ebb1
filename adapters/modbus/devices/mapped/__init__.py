"""Devices without SunSpec, read and written by a declared register map."""
