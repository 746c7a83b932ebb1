"""Default values in force, from the leader to whoever installs them in a station that may come here next."""

from collections.abc import Callable

from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Kind, decode
from vpp.bus.messages.frames import defaults_of
from vpp.bus.transport import subjects as to
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.ports import Bus

RememberDefault = Callable[[int, float], None]
"""Takes a fleet row and the default value in force there, kW."""
_PATIENCE_WALL_S = 2.0


class DefaultFeed:
    """Keeps default values until their rows are part of the fleet here, and hands them on.

    Args:
        bus: Where the leader is.
        remember: Takes the values; ``None`` where no link here needs them.
    """

    def __init__(self, bus: Bus, remember: RememberDefault | None) -> None:
        self._bus = bus
        self._remember = remember
        self._waiting: dict[int, float] = {}
        self._rows = 0

    def announced(self, _: str, content: bytes) -> None:
        """Take values that have just come into force; raises FrameError for other content."""
        self._note(*defaults_of(decode(content, Kind.DEFAULTS)))

    async def fetch(self, epoch: int) -> None:
        """Fetch all values in force from the leader of ``epoch``; raises BusError where it does not answer."""
        first = 0
        while True:
            answer = await self._bus.request(
                to.defaults_in_force(epoch), master_data.ask("defaults", first), patience_wall_s=_PATIENCE_WALL_S
            )
            rows, power_kw = defaults_of(decode(answer, Kind.DEFAULTS))
            if not len(rows):
                return
            self._note(rows, power_kw)
            first = int(rows[-1]) + 1

    def resize(self, count: int) -> None:
        """Hand on the values of the first ``count`` rows, now and from now on; the links serve them."""
        self._rows = count
        self._hand_on()

    def _note(self, rows: RowArray, power_kw: FloatArray) -> None:
        self._waiting.update(zip(rows.tolist(), power_kw.tolist(), strict=True))
        self._hand_on()

    def _hand_on(self) -> None:
        if self._remember is None:
            self._waiting.clear()
            return
        for row in [row for row in self._waiting if row < self._rows]:
            self._remember(row, self._waiting.pop(row))
