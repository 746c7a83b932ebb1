"""What stood in devices before us, kept in this process only: for links that nobody gave anything durable."""

from collections.abc import Mapping


class VolatileMemory:
    """A `vpp.ports.DeviceMemory` that forgets with the process."""

    def __init__(self) -> None:
        self._values: dict[int, Mapping[str, float]] = {}

    async def remember(self, row: int, values: Mapping[str, float]) -> None:
        """See ``DeviceMemory``."""
        self._values[row] = dict(values)

    async def recall(self, row: int) -> Mapping[str, float]:
        """See ``DeviceMemory``."""
        return self._values.get(row, {})
