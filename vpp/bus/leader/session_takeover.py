"""Telling gateways of devices that have left them for another without a word."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import islice

from vpp.bus.messages.frames import FRAME_ROWS, overtaken_frame
from vpp.bus.transport import subjects as to
from vpp.domain.errors import BusError, FrameError
from vpp.domain.telemetry import IdArray, RowArray
from vpp.ports import Bus

_RECEIPT_WALL_S = 1.0
_RETRY_WALL_S = 0.2


class SessionTakeover:
    """The newer sessions that gateways have yet to hear of, each told until the gateway has it or is gone.

    Args:
        bus: Where the gateways are.
        later: Runs a coroutine beside the caller.
    """

    def __init__(self, bus: Bus, later: Callable[[Coroutine[None, None, None]], None]) -> None:
        self._bus = bus
        self._later = later
        self._to_tell: dict[str, dict[int, int]] = {}

    def tell(self, gateway: str, incarnation: int, rows: RowArray, sessions: IdArray) -> None:
        """Have a gateway end connections of ``rows`` that are older than ``sessions``, shape ``(n,)`` each."""
        waiting = self._to_tell.get(gateway)
        if waiting is None:
            waiting = self._to_tell[gateway] = {}
            self._later(self._told(gateway, to.setpoints(gateway, incarnation), waiting))
        waiting.update(zip(rows.tolist(), sessions.tolist(), strict=True))

    def forget(self, gateway: str) -> None:
        """Leave a gateway alone that is gone, or has begun another life."""
        waiting = self._to_tell.pop(gateway, None)
        if waiting is not None:
            waiting.clear()

    async def _told(self, gateway: str, subject: str, waiting: dict[int, int]) -> None:
        while waiting:
            some = dict(islice(waiting.items(), FRAME_ROWS))
            try:
                await self._bus.request(subject, overtaken_frame(some), patience_wall_s=_RECEIPT_WALL_S)
            except (BusError, FrameError):
                await asyncio.sleep(_RETRY_WALL_S)
                continue
            for row, session in some.items():
                if waiting.get(row) == session:  # it may have gone on to a third one meanwhile
                    del waiting[row]
        if self._to_tell.get(gateway) is waiting:
            del self._to_tell[gateway]
