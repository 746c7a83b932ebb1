"""How many stations may come in a second, and how soon the rest may try again."""

import math
import random
from collections.abc import Callable


class Bucket:
    """A token bucket in loop time.

    Args:
        per_s: Tokens a second; infinite for no limit.
        burst: Tokens at hand after a quiet time.
    """

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at = -math.inf

    def take(self, now: float) -> bool:
        """Take a token; tell whether there was one."""
        if self._per_s == math.inf:
            return True
        if self._at > -math.inf:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait_s(self) -> float:
        """Return how long until there is a token again, if nobody else takes it."""
        return 0.0 if self._per_s == math.inf else max(0.0, (1.0 - self._tokens) / self._per_s)


class Rush:
    """Tells whether stations come in by the crowd, from how many came between two ticks of a tenth of a second.

    A process that must share its core with others sees them come in gusts, so a rush is over only when no tick has
    seen so many for a while.
    """

    MANY = 10
    CALM_WALL_S = 1.0

    __slots__ = ("_came", "_until")

    def __init__(self) -> None:
        self._came = 0
        self._until = -math.inf

    def came(self) -> None:
        """Count a station."""
        self._came += 1

    def tick(self, now: float) -> None:
        """Look at those that came since the last tick, in loop time."""
        if self._came > self.MANY:
            self._until = now + self.CALM_WALL_S
        self._came = 0

    def lasts(self, now: float) -> bool:
        """Tell whether it is not over yet."""
        return now < self._until


class Admission:
    """Lets stations in at a rate; those that take part in an event go first, the rest is told when to come back.

    The wait grows with those turned away since the bucket was last full, so that they do not come back together:
    if a thousand were turned away at 100 a second, the thousandth is asked to wait ten seconds, and each adds up to
    half of that by lot.
    """

    LEAST_WAIT_S = 1.0
    LONGEST_WAIT_S = 600.0

    def __init__(self, per_s: float, burst: float, *, seed: int = 0) -> None:
        self._bucket = Bucket(per_s, burst)
        self._per_s = per_s
        self._turned_away = 0
        self._lot = random.Random(seed)  # noqa: S311 - spreads load, hides nothing

    def admit(self, now: float, *, prior: Callable[[], bool]) -> float:
        """Return 0 to let a station in, else the seconds it should wait.

        Args:
            now: Loop time.
            prior: Tells whether the station is one that is always let in; not asked while there is room for all.
        """
        if self._bucket.take(now) or prior():
            self._turned_away = max(0, self._turned_away - 1)
            return 0.0
        self._turned_away += 1
        wait_s = max(self.LEAST_WAIT_S, self._turned_away / self._per_s)
        return min(wait_s * self._lot.uniform(1.0, 1.5), self.LONGEST_WAIT_S)
