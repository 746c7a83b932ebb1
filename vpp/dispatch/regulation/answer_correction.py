"""Correction for the difference between the change that was due and the change that meters show."""

from collections import deque

import numpy as np

from optimizer.tracking.law import Correction

_LEARNT = 2.0
"""Differences beyond this many times the correction's bound count as no more."""


class AnswerCorrection:
    """Slow correction of one request, and its memory of the changes that were due.

    Meters answer late, so each reading is compared with the change due when it was made, or the correction would chase
    the signal; with the change due rather than the one commanded, or it would chase itself.

    Args:
        time_s: Time constant in which a difference is believed.
        most_kw: Bound of the correction.
        reaction_s: Usual time from a command to the meter that shows it, on top of the age of its sample.
    """

    def __init__(self, *, time_s: float, most_kw: float, reaction_s: float) -> None:
        self._correction = Correction(time_s=time_s, most_kw=most_kw)
        self._reaction_s = reaction_s
        self._due: deque[tuple[float, float]] = deque()

    @property
    def value_kw(self) -> float:
        """Correction now, positive where more load is to be taken."""
        return self._correction.value_kw

    def due(self, at_s: float, change_kw: float) -> None:
        """Note the change that is due from ``at_s`` on, positive where net load is to fall."""
        self._due.append((at_s, change_kw))

    def answered(self, read_s: float, change_kw: float, elapsed_s: float) -> None:
        """Compare the change that meters read at ``read_s`` show with the one due then.

        Args:
            read_s: Epoch seconds, the mean over the meters.
            change_kw: Change they show, positive where net load fell.
            elapsed_s: Time since the last comparison.
        """
        due_kw = self._due_at(read_s - self._reaction_s)
        if due_kw is None:
            return
        # A plan that steps makes all meters late at once, which is nothing to learn from.
        bound_kw = _LEARNT * self._correction.most_kw
        apart_kw = np.clip(change_kw - due_kw, -bound_kw, bound_kw)
        self._correction.update(expected_kw=apart_kw, measured_kw=0.0, elapsed_s=elapsed_s)

    def _due_at(self, at_s: float) -> float | None:
        """Return the change due at ``at_s``, ``None`` before the first; older ones are forgotten."""
        while len(self._due) > 1 and self._due[1][0] <= at_s:
            self._due.popleft()
        return self._due[0][1] if self._due and self._due[0][0] <= at_s else None
