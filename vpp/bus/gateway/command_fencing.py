"""Which instructions a gateway lets through to its links: once, in order, of the leader, in time."""

from collections import OrderedDict

import numpy as np

from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, IdArray

_REMEMBERED = 8192
"""Of how many batches the number is remembered: hours, where one is repeated for minutes at the most."""


class CommandFencing:
    """The gateway's guard against what at-least-once delivery and a deposed leader can do.

    * A batch that has come before is known by epoch and sequence, and dropped without a word.
    * Of each row and layer the highest command id is remembered. An equal one is a repetition and dropped; a lower one
      has been overtaken and refused, so an old instruction never undoes a newer one.
    * An epoch below the highest seen, here or by any other gateway, is refused.
    * A lease that has ended is refused.

    Attributes:
        epoch: The highest epoch seen.
        stale: How many instructions of a lower epoch were refused.
        repeated: How many instructions came again and were dropped.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.stale = 0
        self.repeated = 0
        self._batches: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._latest: IdArray = np.zeros((0, 2), dtype=np.int64)

    def resize(self, count: int) -> None:
        """Serve a fleet of ``count`` rows, which never shrinks."""
        more = count - len(self._latest)
        if more > 0:
            self._latest = np.concatenate((self._latest, np.zeros((more, 2), dtype=np.int64)))

    def learn(self, epoch: int) -> bool:
        """Take note of an epoch that somebody has seen; return whether it is higher than any before."""
        if epoch <= self.epoch:
            return False
        self.epoch = epoch
        return True

    def judge(self, sequence: int, batch: SetpointBatch, now_s: float) -> tuple[SetpointBatch, OutcomeBatch]:
        """Return what goes on to the links, and the outcomes of what does not; repetitions are in neither."""
        none = np.zeros(len(batch), dtype=np.bool_)
        if batch.epoch < self.epoch:
            self.stale += len(batch)
            return batch.take(np.flatnonzero(none)), _refused(batch, ~none, Reason.EXPIRED, now_s)
        self.learn(batch.epoch)
        if self._seen(batch.epoch, sequence):
            self.repeated += len(batch)
            return batch.take(np.flatnonzero(none)), _refused(batch, none, Reason.NONE, now_s)
        inside = batch.rows < len(self._latest)
        layer = (batch.layers == Layer.DEFAULT).astype(np.int64)
        rows = np.where(inside, batch.rows, 0)
        latest = self._latest[rows, layer] if len(self._latest) else np.zeros(len(batch), dtype=np.int64)
        again, overtaken = inside & (batch.ids == latest), inside & (batch.ids < latest)
        ended = inside & ~again & ~overtaken & (batch.layers == Layer.DISPATCH) & (batch.until_s <= now_s)
        fresh = inside & ~again & ~overtaken & ~ended
        # Ids rise within a batch, so of two for the same place the later stands.
        self._latest[rows[fresh], layer[fresh]] = batch.ids[fresh]
        self.repeated += int(np.count_nonzero(again))
        refused = _refused(batch, overtaken | ended, Reason.EXPIRED, now_s)
        unknown = _refused(batch, ~inside, Reason.NOT_CONNECTED, now_s, OutcomeStatus.UNREACHABLE)
        return batch.take(np.flatnonzero(fresh)), _both(refused, unknown)

    def _seen(self, epoch: int, sequence: int) -> bool:
        key = (epoch, sequence)
        if key in self._batches:
            return True
        self._batches[key] = None
        if len(self._batches) > _REMEMBERED:
            self._batches.popitem(last=False)
        return False


def _refused(
    batch: SetpointBatch,
    chosen: BoolArray,
    reason: Reason,
    now_s: float,
    status: OutcomeStatus = OutcomeStatus.REJECTED,
) -> OutcomeBatch:
    count = int(np.count_nonzero(chosen))
    return OutcomeBatch(
        ids=batch.ids[chosen],
        rows=batch.rows[chosen],
        status=np.full(count, status, dtype=np.uint8),
        reasons=np.full(count, reason, dtype=np.uint8),
        at_s=np.full(count, now_s),
    )


def _both(one: OutcomeBatch, other: OutcomeBatch) -> OutcomeBatch:
    return OutcomeBatch(
        ids=np.concatenate((one.ids, other.ids)),
        rows=np.concatenate((one.rows, other.rows)),
        status=np.concatenate((one.status, other.status)),
        reasons=np.concatenate((one.reasons, other.reasons)),
        at_s=np.concatenate((one.at_s, other.at_s)),
    )
