"""Devices without SunSpec, by a register map that somebody wrote down."""
