"""Stations that were not let in: told to the service, and to the log no more often than a person reads it."""

import logging

from adapters.kit.admission import Bucket
from adapters.kit.batching import Batcher
from adapters.kit.poller import Poller
from adapters.ocpp.messages.ocpp_j import ADAPTER
from vpp.domain.refused_connection import RefusedConnection, printable
from vpp.ports import Clock

log = logging.getLogger(__name__)

LINES_PER_S = 0.2
LINES_AT_ONCE = 20
LOGGED_AGAIN_WALL_S = 600.0
"""How long nothing more is said of one id."""
_REMEMBERED = 1000


class RefusedStations:
    """What becomes of a knock.

    Args:
        clock: When, for the service.
        poller: Its loop time, for the log.
    """

    def __init__(self, coalescer: Batcher, clock: Clock, poller: Poller) -> None:
        self._coalescer = coalescer
        self._clock = clock
        self._poller = poller
        self._lines = Bucket(LINES_PER_S, LINES_AT_ONCE)
        self._logged: dict[str, float] = {}

    def take(self, name: str, peer: str, reason: str) -> None:
        """Note that a station was not let in, by what it called itself."""
        identity, at_s = printable(name), self._clock.now_s()
        refused = RefusedConnection(
            adapter=ADAPTER, identity=identity, peer=peer, reason=reason, first_s=at_s, last_s=at_s
        )
        self._coalescer.connection_refused(refused)
        now = self._poller.now
        if now >= self._logged.get(identity, now) and self._lines.take(now):
            self._logged.pop(identity, None)
            self._logged[identity] = now + LOGGED_AGAIN_WALL_S
            if len(self._logged) > _REMEMBERED:
                del self._logged[next(iter(self._logged))]
            log.warning("station %s knocked from %s and was not let in: %s", identity, peer or "somewhere", reason)
