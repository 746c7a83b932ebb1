"""Memory of the values that devices held before the first write."""

from collections.abc import Mapping
from typing import Protocol


class DeviceMemory(Protocol):
    """Owners' values found in devices before the first write, which a release restores, also after a crash.

    Values are by names that only the link understands. They are kept from before the first write until they have been
    restored.
    """

    async def remember(self, row: int, values: Mapping[str, float]) -> None:
        """Keep these values in place of earlier ones, durably when this returns; none if ``values`` is empty.

        Raises:
            RetryError: They could not be made durable; nothing must be written to the device.
        """
        ...

    async def recall(self, row: int) -> Mapping[str, float]:
        """Return the values kept for a row, empty where there are none.

        Raises:
            RetryError: They cannot be read now.
        """
        ...
