"""Device sessions that have moved to another gateway without notice, and the gateways that have yet to end theirs."""

import asyncio
from itertools import islice

from vpp.bus.leader.background import BackgroundTasks
from vpp.bus.messages.frames import FRAME_ROWS, superseded_frame
from vpp.bus.transport import subjects as to
from vpp.domain.errors import BusError, FrameError
from vpp.domain.telemetry import IdArray, RowArray
from vpp.ports import Bus

_RECEIPT_WALL_S = 1.0
_RETRY_WALL_S = 0.2


class SessionTakeover:
    """The newer sessions by gateway, each announced until that gateway has it or is gone.

    Args:
        bus: Where the gateways are.
        tasks: Runs what announces.
    """

    def __init__(self, bus: Bus, tasks: BackgroundTasks) -> None:
        self._bus = bus
        self._tasks = tasks
        self._waiting: dict[str, dict[int, int]] = {}

    def announce(self, gateway: str, incarnation: int, rows: RowArray, sessions: IdArray) -> None:
        """Have a gateway end connections of ``rows`` that are older than ``sessions``, shape ``(n,)`` each."""
        waiting = self._waiting.get(gateway)
        if waiting is None:
            waiting = self._waiting[gateway] = {}
            self._tasks.start(self._deliver(gateway, to.setpoints(gateway, incarnation), waiting))
        waiting.update(zip(rows.tolist(), sessions.tolist(), strict=True))

    def forget(self, gateway: str) -> None:
        """Stop announcing to a gateway that is gone or has restarted."""
        waiting = self._waiting.pop(gateway, None)
        if waiting is not None:
            waiting.clear()

    async def _deliver(self, gateway: str, subject: str, waiting: dict[int, int]) -> None:
        while waiting:
            some = dict(islice(waiting.items(), FRAME_ROWS))
            try:
                await self._bus.request(subject, superseded_frame(some), patience_wall_s=_RECEIPT_WALL_S)
            except (BusError, FrameError):
                await asyncio.sleep(_RETRY_WALL_S)
                continue
            for row, session in some.items():
                if waiting.get(row) == session:  # it may have gone on to a third gateway meanwhile
                    del waiting[row]
        if self._waiting.get(gateway) is waiting:
            del self._waiting[gateway]
