"""Exponential back-off with jitter, in the clock's seconds.

Doubling alone would bring back in one moment everything that failed in one moment; the jitter spreads it (Brooker,
"Exponential Backoff and Jitter", 2015).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

_MOST_DOUBLINGS = 30
"""Beyond any sensible ratio of the two waits, and far below what a float holds."""
_RANDOM = random.Random()  # noqa: S311 - spreads load, hides nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waiting times that double from failure to failure. It keeps no count: any number of devices may share one.

    Attributes:
        first_s: Wait after the first failure.
        longest_s: Bound of the wait before jitter.
        jitter: Bounds of the factor that is drawn uniformly for every wait.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    jitter: tuple[float, float] = (0.5, 1.5)

    def wait_s(
        self,
        failures: int,
        uniform: Callable[[float, float], float] = _RANDOM.uniform,
        *,
        first_s: float | None = None,
    ) -> float:
        """Return how long to wait before the next try.

        Args:
            failures: Failures in a row so far, 1 after the first; 0 counts as 1.
            uniform: Draws the jitter; a seeded one where waits must be reproducible.
            first_s: Wait after the first failure where the other side has asked for another one (``Retry-After``).
        """
        doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
        least_s = self.first_s if first_s is None else first_s
        return float(min(least_s * 2.0**doublings, self.longest_s) * uniform(*self.jitter))
