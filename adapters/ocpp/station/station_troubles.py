"""Troubles of stations, one bit mask a row, reported to the service on every change."""

from collections.abc import Callable, Iterable

from adapters.kit.batching import Batcher
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble


class StationTroubles:
    """Masks of ``vpp.domain.trouble`` by row, kept only for rows that have a trouble.

    Args:
        batcher: Takes the samples of ``Quantity.TROUBLES``.
        now_s: Epoch seconds of the service's clock.

    Attributes:
        on_change: Called on every change with row, trouble, and whether it is present.
    """

    def __init__(self, batcher: Batcher, now_s: Callable[[], float]) -> None:
        self.on_change: Callable[[int, Trouble, bool], None] | None = None
        self._batcher = batcher
        self._now_s = now_s
        self._masks: dict[int, int] = {}

    def mask(self, row: int) -> int:
        """Return the bit mask of a row, 0 for no trouble."""
        return self._masks.get(row, 0)

    def has(self, row: int, trouble: Trouble) -> bool:
        """Tell whether a row has a trouble."""
        return bool(self._masks and self._masks.get(row, 0) >> trouble & 1)

    def set(self, row: int, trouble: Trouble, present: bool) -> None:  # noqa: FBT001 - the state itself
        """State whether a row has a trouble; reported where that is a change."""
        before = self._masks.get(row, 0)
        after = before | 1 << trouble if present else before & ~(1 << trouble)
        if after != before:
            self._keep(row, after)
            self.report(row)
            if self.on_change is not None:
                self.on_change(row, trouble, present)

    def report(self, row: int) -> None:
        """Report the mask of a row as it is, also 0: another process may have reported another."""
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
