"""Device memory that lasts as long as the process, for links that were given no durable one."""

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
