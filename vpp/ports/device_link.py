"""Device links: one protocol's connection to its share of the fleet, southbound."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch, SetpointBatch
from vpp.domain.telemetry import IdArray, RowArray, TelemetryBatch
from vpp.fleet.index import FleetIndex
from vpp.ports.device_memory import DeviceMemory


class LinkSink(Protocol):
    """Receiver of everything a device link hears. Calls return at once and never raise for what a device did."""

    def telemetry(self, batch: TelemetryBatch) -> None:
        """Take measurements, ``Quantity.CONNECTED`` among them."""
        ...

    def outcomes(self, batch: OutcomeBatch) -> None:
        """Take outcomes; each command handed to ``DeviceLink.send`` comes back exactly once."""
        ...

    def session(self, event: SessionEvent) -> None:
        """Take the start, the end or the driver's wish of a charging session."""
        ...

    def rejected_frame(self, adapter: str, reason: str) -> None:
        """Count a frame or row that was dropped; ``reason`` is from a bounded list."""
        ...

    def healed(self, adapter: str, kind: str) -> None:
        """Count a cosmetic fault that was repaired, its message accepted; ``kind`` is from a bounded list."""
        ...

    def connection_refused(self, refused: RefusedConnection) -> None:
        """Record a device whose connection was refused."""
        ...


class DeviceLink(Protocol):
    """One protocol's connection to its share of the fleet, in batches.

    ``assign`` is called before ``start`` and again whenever the fleet has changed: ``vpp.fleet.amendment.row_changes``
    tells which rows have left, joined and changed since. A row may get another device, at another address.
    """

    name: str

    def check(self, index: FleetIndex) -> None:
        """Raise InputError where a row of this link has an address it cannot serve; changes nothing.

        Called before a changed fleet is stored, so that no registration keeps the service from starting.
        """
        ...

    def assign(self, index: FleetIndex) -> None:
        """Serve the rows of ``index`` in service whose ``Resource.adapter`` is this link's name."""
        ...

    async def start(self, sink: LinkSink) -> None:
        """Open sockets and begin; returns once connections are taken. Raises OSError if an address is taken."""
        ...

    def send(self, batch: SetpointBatch) -> None:
        """Hand over instructions; returns at once, outcomes come to the sink.

        At most one instruction a row is outstanding towards the device: a newer one for the same row replaces one
        not sent yet, which then comes back as rejected for ``Reason.EXPIRED``.
        """
        ...

    def card(self, row: int) -> Mapping[str, object]:
        """Return what the device in ``row`` reported of itself: make, model, version, abilities; empty before that."""
        ...

    async def close(self) -> None:
        """Stop cleanly; outstanding instructions come back as unreachable."""
        ...


@runtime_checkable
class ShardedLink(DeviceLink, Protocol):
    """A link that dials its devices, which are shared out among several processes.

    A place is whatever goes together: an endpoint, a site. Places that are not owned are not connected.
    """

    def own(self, owns: Callable[[str], bool]) -> None:
        """Serve only the places for which ``owns`` is true, until the next call."""
        ...


@runtime_checkable
class RememberingLink(DeviceLink, Protocol):
    """A link whose devices hold values of their owners, which a release restores."""

    def remember_in(self, memory: DeviceMemory) -> None:
        """Keep the values found in devices there; called before ``start``."""
        ...


@runtime_checkable
class DialledLink(DeviceLink, Protocol):
    """A link that devices dial: one may have connected to another process while this one still counts it as its own.

    Connections are numbered over all processes, rising with time: the highest number is the newest.
    """

    def report_connections(self, report: Callable[[Sequence[int], int], None]) -> None:
        """Call ``report`` with rows and number of every connection, before its rows are reported as connected."""
        ...

    def supersede(self, rows: RowArray, numbers: IdArray) -> None:
        """End older connections of ours: newer ones serve these rows elsewhere, shape ``(n,)`` each.

        No loss of connection is reported; instructions in flight come back as unreachable. Later connections get
        numbers above ``numbers``.
        """
        ...


@runtime_checkable
class LiveLink(DeviceLink, Protocol):
    """A link with a poller of its own, which may stall while the process runs on."""

    def age_wall_s(self) -> float:
        """Return wall seconds since the poller's last turn, NaN while it is not started.

        A few seconds in good health, whether or not any device speaks; more is the time nobody has been served.
        """
        ...


@runtime_checkable
class InspectableLink(DeviceLink, Protocol):
    """A link whose devices can be asked which schedule they hold."""

    async def device_schedule(self, row: int, duration_s: int) -> DeviceSchedule:
        """Return what the device in ``row`` says it holds for the next ``duration_s`` seconds.

        Raises:
            UnknownIdError: The row is not this link's.
            DeviceUnreachableError: The device is not connected or does not answer.
            ConflictError: It answers that it cannot say, or its protocol has no such question.
        """
        ...


@runtime_checkable
class FencedLink(Protocol):
    """A link that sends nothing once a later leader is known."""

    @property
    def deposed(self) -> bool:
        """True once a later leader is known."""
        ...
