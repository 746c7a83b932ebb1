"""Admission of devices at a rate, with a growing ``Retry-After`` for those turned away."""

import math
import random
from collections.abc import Callable


class TokenBucket:
    """Token bucket in loop time.

    Args:
        per_s: Tokens a second; infinite for no limit.
        burst: Tokens available after a quiet time.
    """

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at = -math.inf

    def take(self, now: float) -> bool:
        """Take a token at loop time ``now``; tell whether there was one."""
        if self._per_s == math.inf:
            return True
        if self._at > -math.inf:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class RushDetector:
    """Detection of a rush: many devices connect between two ticks of a tenth of a second.

    A process that shares its core sees connections in gusts, so a rush ends only when no tick has counted so many
    for a while.
    """

    MANY = 10
    CALM_WALL_S = 1.0

    __slots__ = ("_arrived", "_until")

    def __init__(self) -> None:
        self._arrived = 0
        self._until = -math.inf

    def arrived(self) -> None:
        """Count a device that connected."""
        self._arrived += 1

    def tick(self, now: float) -> None:
        """Evaluate the devices counted since the last tick; ``now`` is loop time."""
        if self._arrived > self.MANY:
            self._until = now + self.CALM_WALL_S
        self._arrived = 0

    def is_on(self, now: float) -> bool:
        """Tell whether the rush is still on."""
        return now < self._until


class Admission:
    """Lets devices in at a rate, those with priority always, and spreads the return of the others.

    The wait grows with the number turned away since the bucket was last full, so that they do not come back together:
    of a thousand turned away at 100 a second the last is asked to wait ten seconds; each wait gets up to half of
    itself on top at random.
    """

    LEAST_WAIT_S = 1.0
    LONGEST_WAIT_S = 600.0

    def __init__(self, per_s: float, burst: float, *, seed: int = 0) -> None:
        self._bucket = TokenBucket(per_s, burst)
        self._per_s = per_s
        self._turned_away = 0
        self._random = random.Random(seed)  # noqa: S311 - spreads load, hides nothing

    def admit(self, now: float, *, has_priority: Callable[[], bool]) -> float:
        """Return 0 to let a device in, else the wall seconds it should wait.

        Args:
            now: Loop time.
            has_priority: Tells whether the device is let in regardless; called only when the rate is exceeded.
        """
        if self._bucket.take(now) or has_priority():
            self._turned_away = max(0, self._turned_away - 1)
            return 0.0
        self._turned_away += 1
        wait_s = max(self.LEAST_WAIT_S, self._turned_away / self._per_s)
        return min(wait_s * self._random.uniform(1.0, 1.5), self.LONGEST_WAIT_S)
