"""What is the matter with stations, one bit mask a row: told to the service whenever a mask changes."""

from collections.abc import Callable, Iterable

from adapters.kit.batching import Batcher
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble


class StationTroubles:
    """Masks of ``vpp.domain.trouble`` by row, kept for rows that have a trouble alone.

    Args:
        batcher: Takes the samples of ``Quantity.TROUBLES``.
        now_s: Epoch seconds of the clock the service lives by.

    Attributes:
        on_change: Told of every change: row, trouble, whether it is there.
    """

    def __init__(self, batcher: Batcher, now_s: Callable[[], float]) -> None:
        self.on_change: Callable[[int, Trouble, bool], None] | None = None
        self._batcher = batcher
        self._now_s = now_s
        self._masks: dict[int, int] = {}

    def mask(self, row: int) -> int:
        """Return the bit mask of a row, 0 where nothing is the matter."""
        return self._masks.get(row, 0)

    def has(self, row: int, trouble: Trouble) -> bool:
        """Tell whether a row has a trouble."""
        return bool(self._masks and self._masks.get(row, 0) >> trouble & 1)

    def set(self, row: int, trouble: Trouble, present: bool) -> None:  # noqa: FBT001 - what there is to say
        """State that a row has or has not a trouble; the service hears of it where that is news."""
        before = self._masks.get(row, 0)
        after = before | 1 << trouble if present else before & ~(1 << trouble)
        if after != before:
            self._keep(row, after)
            self.report(row)
            if self.on_change is not None:
                self.on_change(row, trouble, present)

    def report(self, row: int) -> None:
        """Pass on the mask of a row as it is, also where it has none: another process may have said otherwise."""
        self._batcher.sample(row, Quantity.TROUBLES, float(self.mask(row)), self._now_s())

    def forget(self, rows: Iterable[int]) -> None:
        """Drop the masks of rows whose station has gone to another process, which speaks for them now."""
        for row in rows:
            self._masks.pop(row, None)

    def _keep(self, row: int, mask: int) -> None:
        if mask:
            self._masks[row] = mask
        else:
            self._masks.pop(row, None)
