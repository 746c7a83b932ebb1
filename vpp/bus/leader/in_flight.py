"""Commands in flight: sent to a gateway and without an outcome yet.

Transport memory: it ends with the outcome. What is in force at a device is known to `vpp.dispatch` alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from vpp.domain.setpoint import SetpointBatch
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray


@dataclass(slots=True, kw_only=True)
class Dispatch:
    """A batch on its way.

    Attributes:
        gateway: Code of the gateway it goes to.
        sent_s: Epoch seconds of sending.
        received_s: Epoch seconds of its arrival at the gateway, NaN until the receipt is here.
        deadline_s: Epoch seconds from which no outcome is expected any more.
        open: Which commands have no outcome yet, shape ``(n,)``.
    """

    batch: SetpointBatch
    gateway: int
    sent_s: float
    deadline_s: float
    open: BoolArray
    received_s: float = nan

    def unanswered(self) -> SetpointBatch:
        """Return the commands without an outcome."""
        return self.batch.take(np.flatnonzero(self.open).astype(np.int64))


class InFlight:
    """Keeps every command until its first outcome, the deadline or the loss of its gateway; each ends once."""

    def __init__(self) -> None:
        self._dispatches: list[Dispatch] = []

    def __len__(self) -> int:
        return sum(int(np.count_nonzero(d.open)) for d in self._dispatches)

    def add(self, batch: SetpointBatch, *, gateway: int, sent_s: float, deadline_s: float) -> Dispatch:
        """Keep a batch; its ids must rise."""
        dispatch = Dispatch(
            batch=batch,
            gateway=gateway,
            sent_s=sent_s,
            deadline_s=deadline_s,
            open=np.ones(len(batch), dtype=np.bool_),
        )
        self._dispatches.append(dispatch)
        return dispatch

    def settle(self, ids: IdArray) -> tuple[BoolArray, list[tuple[Dispatch, npt.NDArray[np.int64], BoolArray]]]:
        """End the commands that have an outcome.

        Args:
            ids: Command ids, in any order and perhaps repeated, shape ``(n,)``.

        Returns:
            Which of ``ids`` were in flight, each counted once, shape ``(n,)``; and for every batch that holds some of
            them their positions in it, and which of ``ids`` they are.
        """
        first = np.zeros(len(ids), dtype=np.bool_)
        first[np.unique(ids, return_index=True)[1]] = True
        known = np.zeros(len(ids), dtype=np.bool_)
        touched = []
        for dispatch in self._dispatches:
            own = dispatch.batch.ids
            place = np.minimum(np.searchsorted(own, ids), len(own) - 1)
            here = first & (own[place] == ids) & dispatch.open[place]
            if here.any():
                dispatch.open[place[here]] = False
                known |= here
                touched.append((dispatch, place[here], here))
        self._forget()
        return known, touched

    def overdue(self, now_s: float) -> Iterator[SetpointBatch]:
        """End and iterate the commands whose deadline has passed."""
        return self._end([d for d in self._dispatches if d.deadline_s <= now_s])

    def of_gateway(self, gateway: int) -> Iterator[SetpointBatch]:
        """End and iterate the commands on their way to one gateway."""
        return self._end([d for d in self._dispatches if d.gateway == gateway])

    def all(self) -> Iterator[SetpointBatch]:
        """End and iterate all commands."""
        return self._end(list(self._dispatches))

    def _end(self, dispatches: list[Dispatch]) -> Iterator[SetpointBatch]:
        ended = [dispatch.unanswered() for dispatch in dispatches]
        for dispatch in dispatches:
            dispatch.open[:] = False
        self._forget()
        return iter(ended)

    def _forget(self) -> None:
        self._dispatches = [dispatch for dispatch in self._dispatches if dispatch.open.any()]


class Legs:
    """Durations of the legs of a command, of the latest ones, in the clock's seconds.

    ``deliver``: from sending until received at the gateway; ``obey``: from there to the device's answer; ``tell``:
    from there until the outcome is at the leader.
    """

    KEPT = 200_000

    def __init__(self) -> None:
        self._samples: dict[str, list[FloatArray]] = {"deliver": [], "obey": [], "tell": []}

    def note(self, leg: str, seconds: FloatArray) -> None:
        """Note how long one leg took, shape ``(n,)``; NaN is left out."""
        kept = self._samples[leg]
        kept.append(seconds[~np.isnan(seconds)])
        while sum(map(len, kept)) > self.KEPT and len(kept) > 1:
            kept.pop(0)

    def report(self) -> dict[str, dict[str, float]]:
        """Return count, p50, p99 and greatest duration of every leg that was seen, in seconds."""
        return {leg: _quantiles(np.concatenate(parts)) for leg, parts in self._samples.items() if sum(map(len, parts))}


def _quantiles(seconds: FloatArray) -> dict[str, float]:
    return {
        "count": float(len(seconds)),
        "p50_s": float(np.quantile(seconds, 0.5)),
        "p99_s": float(np.quantile(seconds, 0.99)),
        "max_s": float(seconds.max()),
    }
