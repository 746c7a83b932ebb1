"""Fencing of commands at a gateway: each once, in order, from the present leader, within its lease."""

from collections import OrderedDict

import numpy as np

from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import BoolArray, IdArray

_REMEMBERED = 8192
"""Batches whose number is kept: those of hours, where one is repeated for minutes at the most."""


class CommandFencing:
    """Protection against at-least-once delivery and against a deposed leader.

    * A batch that has come before is known by epoch and sequence; it is dropped without an outcome.
    * Of each row and layer the highest command id is kept. An equal id is a repetition and dropped; a lower one is
      obsolete and refused, so an old command never undoes a newer one.
    * An epoch below the highest seen, here or by any other gateway, is refused (a fencing token).
    * A lease that has ended is refused.

    Attributes:
        epoch: The highest epoch seen.
        stale: How many commands of a lower epoch were refused.
        repeated: How many commands came again and were dropped.
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
        """Note an epoch seen here or elsewhere; return whether it is higher than any before."""
        if epoch <= self.epoch:
            return False
        self.epoch = epoch
        return True

    def judge(self, sequence: int, batch: SetpointBatch, now_s: float) -> tuple[SetpointBatch, OutcomeBatch]:
        """Return the commands for the links, and the outcomes of the refused ones; repetitions are in neither.

        Args:
            sequence: Number of the batch from its leader.
            batch: The commands.
            now_s: Epoch seconds.
        """
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
        again, obsolete = inside & (batch.ids == latest), inside & (batch.ids < latest)
        ended = inside & ~again & ~obsolete & (batch.layers == Layer.DISPATCH) & (batch.until_s <= now_s)
        fresh = inside & ~again & ~obsolete & ~ended
        # Ids rise within a batch, so of two for the same place the later stands.
        self._latest[rows[fresh], layer[fresh]] = batch.ids[fresh]
        self.repeated += int(np.count_nonzero(again))
        refused = _refused(batch, obsolete | ended, Reason.EXPIRED, now_s)
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
    return batch.take(np.flatnonzero(chosen)).outcomes(status, reason, now_s)


def _both(one: OutcomeBatch, other: OutcomeBatch) -> OutcomeBatch:
    return OutcomeBatch(
        ids=np.concatenate((one.ids, other.ids)),
        rows=np.concatenate((one.rows, other.rows)),
        status=np.concatenate((one.status, other.status)),
        reasons=np.concatenate((one.reasons, other.reasons)),
        at_s=np.concatenate((one.at_s, other.at_s)),
    )
