"""Answer times: how long devices take to answer a command, as observed, by protocol and class.

What a link says of a device out of reach, or of a command that never left, is no answer of a device.
"""

import numpy as np

from vpp.domain.setpoint import OutcomeBatch, OutcomeStatus, Reason
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.fleet.index import ADAPTERS, CLASSES, FleetIndex

_USUAL_S, _USUAL_WEIGHT = 3.0, 20.0
"""Time to answer before any answer was heard, and the number of answers that it counts for."""
_MOST_WEIGHT = 5_000.0
"""Number of answers after which older ones count less."""


class AnswerTimes:
    """Mean time from sending a command to its answer, for the peers of one protocol and class.

    Args:
        index: The fleet.
    """

    def __init__(self, index: FleetIndex) -> None:
        count = len(ADAPTERS) * len(CLASSES)
        self._weight: FloatArray = np.full(count, _USUAL_WEIGHT)
        self._sum_s: FloatArray = np.full(count, _USUAL_WEIGHT * _USUAL_S)
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown or changed."""
        self._peers: IdArray = index.adapter_code.astype(np.int64) * len(CLASSES) + index.class_code

    def observe(self, batch: OutcomeBatch, ids: IdArray, sent_s: FloatArray) -> None:
        """Take outcomes; those that no device has given, or that are not waited for any more, are passed over.

        Args:
            batch: The outcomes.
            ids: Command that waits for an answer in every row, 0 for none, shape ``(n_resources,)``.
            sent_s: When it was sent, likewise.
        """
        answered = (batch.status != OutcomeStatus.UNREACHABLE) & (batch.reasons != Reason.EXPIRED)
        answered &= (batch.ids > 0) & (ids[batch.rows] == batch.ids)
        rows = batch.rows[answered]
        took_s = np.maximum(batch.at_s[answered] - sent_s[rows], 0.0)
        count = len(self._weight)
        self._weight += np.bincount(self._peers[rows], minlength=count)
        self._sum_s += np.bincount(self._peers[rows], weights=took_s, minlength=count)
        older = np.minimum(_MOST_WEIGHT / self._weight, 1.0)
        self._weight *= older
        self._sum_s *= older

    def mean_s(self) -> FloatArray:
        """Return the mean time to answer of every row's peers, seconds, shape ``(n_resources,)``."""
        return np.asarray((self._sum_s / self._weight)[self._peers])
