"""Devices that were refused: reported to the service, and logged no more often than a person reads."""

import structlog

from adapters.kit.admission import TokenBucket
from adapters.kit.batching import Batcher
from adapters.kit.poller import Poller
from vpp.domain.refused_connection import RefusedConnection, printable
from vpp.ports import Clock

_log = structlog.get_logger(__name__)

LINES_PER_S = 0.2
LINES_AT_ONCE = 20
LOGGED_AGAIN_WALL_S = 600.0
"""Least time between two lines of one id."""
_REMEMBERED = 1000


class RefusedDevices:
    """Reports of refused devices.

    Args:
        adapter: Name of the protocol.
        batcher: Passes them to the service.
        clock: Dates them.
        poller: Its loop time limits the log.
    """

    def __init__(self, adapter: str, batcher: Batcher, clock: Clock, poller: Poller) -> None:
        self._adapter = adapter
        self._batcher = batcher
        self._clock = clock
        self._poller = poller
        self._lines = TokenBucket(LINES_PER_S, LINES_AT_ONCE)
        self._silent_until: dict[str, float] = {}

    def add(self, name: str, peer: str, reason: str) -> None:
        """Report a device that was refused, by the id it gave."""
        identity, at_s = printable(name), self._clock.now_s()
        refused = RefusedConnection(
            adapter=self._adapter, identity=identity, peer=peer, reason=reason, first_s=at_s, last_s=at_s
        )
        self._batcher.connection_refused(refused)
        now = self._poller.now
        if now >= self._silent_until.get(identity, now) and self._lines.take(now):
            self._silent_until.pop(identity, None)
            self._silent_until[identity] = now + LOGGED_AGAIN_WALL_S
            if len(self._silent_until) > _REMEMBERED:
                del self._silent_until[next(iter(self._silent_until))]
            _log.warning(
                "device refused", adapter=self._adapter, device=identity, peer=peer or "unknown", reason=reason
            )
