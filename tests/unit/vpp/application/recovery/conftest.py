"""Fixtures of the recovery."""

from tests.unit.vpp.application.recovery.parts import store

__all__ = ["store"]
