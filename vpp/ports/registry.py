"""Master data of the fleet, and numbers that never come twice."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from vpp.domain.resource import Resource
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import FleetChange, UnrecordedChange
from vpp.fleet.members.tenure import FormerMember


class Registry(Protocol):
    """The fleet's master data, which survive a restart."""

    def fleet_id(self, given: str | None = None) -> str:
        """Return the id of the fleet, made once and kept; ``given`` is the id of a fleet that has none yet."""
        ...

    def load(self) -> FleetIndex:
        """Return the fleet as registered so far."""
        ...

    def save(self, before: FleetIndex, change: FleetChange, unrecorded: UnrecordedChange | None = None) -> None:
        """Make a change of ``before`` durable, all or nothing, with its entries until ``recorded``; blocks."""
        ...

    def unrecorded(self) -> UnrecordedChange | None:
        """Return the change whose entries the journal may lack, ``None`` where there is none; blocks."""
        ...

    def recorded(self) -> None:
        """Forget the entries of the last change: the journal has them; blocks."""
        ...

    def former_devices(self) -> Mapping[int, Resource]:
        """Return the devices by row that were retired or moved and may still hold a value of ours; blocks."""
        ...

    def forget_devices(self, rows: Sequence[int]) -> None:
        """Forget the former devices of ``rows``: they hold nothing of ours any more; blocks."""
        ...

    def history(self, kind: str, identity: str | None = None) -> list[FormerMember]:
        """Return the former versions of the members of a kind, or of one of them, the oldest first; blocks."""
        ...


class Sequences(Protocol):
    """Numbers that are never given out twice, not even after a crash."""

    def next_epoch(self) -> int:
        """Return a leader epoch above every earlier one."""
        ...

    def reserve_ids(self, count: int) -> int:
        """Reserve ``count`` command ids of 64 bits, rising and never given before; return the first."""
        ...
