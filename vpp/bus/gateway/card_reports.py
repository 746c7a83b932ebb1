"""Reports of capability cards to the leader: soon after a device appears, and now and then again."""

import asyncio
from collections import deque

import orjson

from vpp.bus.device_sessions import HeldSessions
from vpp.bus.gateway.gateway_links import GatewayLinks
from vpp.bus.gateway.uplink import Uplink

_FIRST_AT_ONCE = 500
_AGAIN_AT_ONCE = 50
_EVERY_WALL_S = 1.0


class CardReports:
    """Reports the cards of the devices that have their session here, some every second.

    Args:
        gateway: Our name, which every card carries.
        links: Know the cards.
        uplink: Takes the reports, and says which devices have appeared.
        sessions: The device sessions here.
    """

    def __init__(self, *, gateway: str, links: GatewayLinks, uplink: Uplink, sessions: HeldSessions) -> None:
        self._gateway = gateway
        self._links = links
        self._uplink = uplink
        self._sessions = sessions
        self._again: deque[int] = deque()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_WALL_S)
            due = [*_taken(self._uplink.appeared, _FIRST_AT_ONCE), *_taken(self._again, _AGAIN_AT_ONCE)]
            rows = [row for row in dict.fromkeys(due) if self._sessions.is_up(row)]
            if rows and self._links.started:
                self._again.extend(rows)
                self._uplink.cards(rows, [self._card(row) for row in rows])

    def _card(self, row: int) -> str:
        card = {**self._links.card(row), "gateway": self._gateway}
        return orjson.dumps(card, option=orjson.OPT_SERIALIZE_NUMPY, default=str).decode()


def _taken(rows: deque[int], most: int) -> list[int]:
    return [rows.popleft() for _ in range(min(len(rows), most))]
