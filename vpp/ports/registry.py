"""Master data of the fleet, and numbers that never come twice."""

from typing import Protocol

from vpp.fleet.index import FleetIndex


class Registry(Protocol):
    """The fleet's master data, which survive a restart."""

    def fleet_id(self, given: str | None = None) -> str:
        """Return the id of the fleet, made once and kept; ``given`` is the id of a fleet that has none yet."""
        ...

    def load(self) -> FleetIndex:
        """Return the fleet as registered so far."""
        ...

    def add(self, before: FleetIndex, after: FleetIndex) -> None:
        """Make the additions from ``before`` to ``after`` durable; blocks."""
        ...


class Sequences(Protocol):
    """Numbers that are never given out twice, not even after a crash."""

    def next_epoch(self) -> int:
        """Return a leader epoch above every earlier one."""
        ...

    def reserve_ids(self, count: int) -> int:
        """Reserve ``count`` command ids of 64 bits, rising and never given before; return the first."""
        ...
