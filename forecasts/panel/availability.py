"""Instant from which a value is known, where it is known only after the sessions that made it have ended."""

import numpy as np

from numerics.arrays import FloatTable, IntArray


def known_after_idle(occupied: FloatTable, longest_steps: int) -> IntArray:
    """Return the first step at which the energy of each step is known, shape ``(T, S)``.

    The energy of a session is told when it ends, and spread over it only then. All sessions of a step have ended once a
    whole later step was idle; otherwise after the longest session there can be.

    Args:
        occupied: Connector-hours plugged in, NaN where unknown, which is not idle, shape ``(T, S)``.
        longest_steps: Steps after which every session has ended.
    """
    steps = len(occupied)
    step = np.arange(steps, dtype=np.int64)[:, None]
    at_latest = step + 1 + longest_steps
    idle_end = np.where(occupied <= 0.0, step + 1, np.iinfo(np.int64).max)
    next_idle = np.minimum.accumulate(idle_end[::-1], axis=0)[::-1]
    return np.asarray(np.minimum(next_idle, at_latest))
