"""Watch over the service itself, as metrics and alarms: storage, leadership, loops."""

from collections.abc import Callable, Mapping
from typing import Protocol

from vpp.application.loops.durability import Durability
from vpp.application.trust.record_trust import RecordTrust
from vpp.application.watch.alarms import Alarms
from vpp.runtime.observability import Metrics

LEADER_DEPOSED = "leader_deposed"
LOOP_FAILING = "loop_failing"
RECORD_UNTRUSTED = "record_untrusted"
HEADS_FAILING = "heads_failing"
STORAGE_FAILING = "storage_failing"
STRANGER = "stranger_on_bus"


class Leadership(Protocol):
    """Leadership of the fleet, as the bus to the gateways shows it."""

    @property
    def deposed(self) -> bool:
        """A later leader of this fleet is known; nothing is sent any more."""
        ...

    @property
    def strangers(self) -> int:
        """Announcements of services of other fleets, received and refused."""
        ...


class ServiceWatch:
    """Watches the service's own parts.

    Args:
        durability: Knows whether storage works.
        trust: Knows whether the record is verified and vouched for.
        alarms: Raised and cleared.
        metrics: Shown.

    Attributes:
        leadership: The bus to the gateways, ``None`` where devices are connected to this process.
        failing: Returns the failing loops with their reasons.
    """

    def __init__(self, durability: Durability, trust: RecordTrust, alarms: Alarms, metrics: Metrics) -> None:
        self.leadership: Leadership | None = None
        self.failing: Callable[[], Mapping[str, str]] = dict
        self._durability = durability
        self._trust = trust
        self._alarms = alarms
        self._metrics = metrics
        self._strangers = 0

    def follow(self, at_s: float) -> None:
        """Check every part, once a cycle."""
        self._storage(at_s)
        self._record(at_s)
        self._bus(at_s)
        self.loops(at_s)

    def loops(self, at_s: float) -> None:
        """Check the loops, also when the one that calls ``follow`` is among those that fail."""
        failing = self.failing()
        self._metrics.set_loops_failing(failing)
        why = "; ".join(f"{loop}: {reason}" for loop, reason in failing.items())
        self._alarms.watch(LOOP_FAILING, at_s, on=bool(failing), why=why)

    def _storage(self, at_s: float) -> None:
        durability, metrics = self._durability, self._metrics
        for part, failing in durability.parts().items():
            metrics.set_storage_failing(part, failing=failing)
        metrics.set_spooled(durability.spooled(), durability.dropped())
        self._alarms.watch(STORAGE_FAILING, at_s, on=durability.failing, why=durability.reason)

    def _record(self, at_s: float) -> None:
        trust, metrics = self._trust, self._metrics
        metrics.set_record_trusted(trusted=trust.trusted)
        metrics.set_heads_failing(trust.failures, failing=bool(trust.failing))
        untrusted = not trust.trusted and not trust.verifying
        self._alarms.watch(RECORD_UNTRUSTED, at_s, on=untrusted, why=trust.reason)
        self._alarms.watch(HEADS_FAILING, at_s, on=bool(trust.failing), why=trust.failing)

    def _bus(self, at_s: float) -> None:
        if self.leadership is None:
            return
        deposed, heard = self.leadership.deposed, self.leadership.strangers
        self._metrics.set_strangers(heard)
        self._alarms.watch(LEADER_DEPOSED, at_s, on=deposed)
        self._alarms.watch(STRANGER, at_s, on=heard > self._strangers)
        self._strangers = heard
