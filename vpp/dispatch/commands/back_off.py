"""Back-off after commands that failed: waits that double, by layer and by reason."""

import numpy as np

from vpp.dispatch.rows.command_columns import BackOffColumns
from vpp.dispatch.settings import BackOff
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, RowArray

_MOST_DOUBLINGS = 8


class RowBackOff:
    """Rows that are left alone for a while.

    Args:
        own: The columns it owns.
        rules: Lengths of the waits.
    """

    def __init__(self, own: BackOffColumns, rules: BackOff) -> None:
        self._own, self._rules = own, rules

    def reached(self, rows: RowArray) -> None:
        """Note that devices answered: they are not away."""
        self._own.failures[rows], self._own.away_s[rows] = 0, -np.inf

    def reconnected(self, back: BoolArray) -> None:
        """Forget what could not be reached before a link came up: it says nothing of the link there is now.

        Args:
            back: Rows whose link has come up, shape ``(n_resources,)`` or shorter.
        """
        own = self._own
        rows = np.flatnonzero(back & (own.failures[: len(back)] > 0))
        own.retry_s[rows[own.retry_s[rows] == own.away_s[rows]]] = -np.inf
        own.failures[rows], own.away_s[rows] = 0, -np.inf

    def restarted(self) -> None:
        """Forget all waits but those for refusals."""
        self._own.retry_s[:] = self._own.away_s[:] = -np.inf

    def unreachable(self, rows: RowArray, at_s: FloatArray) -> None:
        """Leave rows alone that were not reached, longer each time."""
        own, rules = self._own, self._rules
        own.failures[rows] += 1
        wait_s = rules.unreachable_retry_s * 2.0 ** (np.minimum(own.failures[rows], _MOST_DOUBLINGS) - 1)
        own.retry_s[rows] = own.away_s[rows] = at_s + np.minimum(wait_s, rules.retry_after_s)

    def refused(self, rows: RowArray, layer: CodeArray, at_s: FloatArray) -> None:
        """Leave rows alone in the layer that they refused; shape ``(len(rows),)`` each."""
        own, rules = self._own, self._rules
        default, dispatch, release = (layer == code for code in (Layer.DEFAULT, Layer.DISPATCH, Layer.RELEASE))
        own.default_blocked_s[rows[default]] = at_s[default] + rules.retry_after_s
        own.retry_s[rows[release]] = at_s[release] + rules.unreachable_retry_s
        self._strike(rows[dispatch], at_s[dispatch], ignored=False)

    def ignored(self, rows: RowArray, at_s: float) -> None:
        """Leave rows alone that accepted a dispatch value and did not follow it."""
        self._strike(rows, np.full(len(rows), at_s), ignored=True)

    def accepted(self, rows: RowArray) -> None:
        """End a row of refusals; that a device accepts and does not follow only its meter can take back."""
        self._own.strikes[rows[~self._own.ignored[rows]]] = 0

    def confirmed(self, rows: RowArray) -> None:
        """End a row of strikes: the meter shows a dispatch value."""
        self._own.strikes[rows] = 0

    def _strike(self, rows: RowArray, at_s: FloatArray, *, ignored: bool) -> None:
        own, rules = self._own, self._rules
        own.strikes[rows] += 1
        excused = (own.strikes[rows] < rules.refusals) & (not ignored)
        own.retry_s[rows[excused]] = at_s[excused] + rules.refused_retry_s
        counted, counted_s = rows[~excused], at_s[~excused]
        wait_s = rules.retry_after_s * 2.0 ** (np.clip(own.strikes[counted] - rules.refusals, 0, _MOST_DOUBLINGS))
        own.blocked_s[counted] = counted_s + np.minimum(wait_s, rules.retry_most_s)
        own.ignored[rows] = ignored
