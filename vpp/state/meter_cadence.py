"""Cadence of meters: how often each row is read, as observed from the age of its readings.

Half a period is the mean age of what is read once a period, however often one looks. A look that comes no more often
than the readings meets a single row at the same age again and again, but its peers, behind the same protocol and of the
same class, at all ages; so a row is taken to be read as often as its peers unless it is clearly older than any of them
could be. Where a clock has all peers read at once, looks in step with it would meet all of them at one age: the time to
the next look changes from look to look.

A stale reading says nothing of a cadence: the meter is out of order, or the row was away, without a link or a car, when
it should have been read.
"""

import math

import numpy as np

from numerics.jit import njit
from numerics.spread import GOLDEN_RATIO
from numerics.views import read_only
from vpp.domain.resource import CHARGING
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, IdArray, Quality
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import CLASSES, FleetIndex

_MEMORY_S = 600.0
"""Time constant in which the age of readings is averaged."""
_LOOK_S = 30.0
"""Mean time between two looks: each goes through the whole fleet."""
_CLEARLY = 2.5
"""A row whose mean age is more than this many times its peers' is read more seldom than they are: of a common period
none exceeds twice the mean."""
_GOOD, _SUBSTITUTED = int(Quality.GOOD), int(Quality.SUBSTITUTED)


class MeterCadence:
    """Mean age of the readings of every row, followed snapshot by snapshot.

    Args:
        index: The fleet.
    """

    def __init__(self, index: FleetIndex) -> None:
        self._mean_s: FloatArray = np.empty(0)
        self._at_s, self._due_s, self._seen_s, self._looks = math.nan, -math.inf, 0.0, 0
        self.resize(index)

    def resize(self, index: FleetIndex) -> None:
        """Take a fleet that has grown or changed; what is out of service says nothing of its peers any more."""
        more = len(index) - len(self._mean_s)
        mean_s = np.append(self._mean_s, np.full(more, np.nan))
        mean_s[index.out_of_service] = np.nan
        self._mean_s = mean_s
        self._charging = index.is_class(*CHARGING)
        self._peers: IdArray = index.adapter_code.astype(np.int64) * len(CLASSES) + index.class_code

    def observe(self, state: FleetState) -> None:
        """Take a snapshot; rows without a link, a car, or a fresh reading that can be believed are passed over."""
        if state.at_s < self._due_s:
            return
        self._looks += 1
        self._due_s = state.at_s + 2.0 * _LOOK_S * (self._looks * GOLDEN_RATIO % 1.0)
        elapsed_s = 0.0 if math.isnan(self._at_s) else state.at_s - self._at_s
        self._at_s, self._seen_s = state.at_s, min(self._seen_s + elapsed_s, _MEMORY_S)
        _averaged(
            self._mean_s,
            state.at_s,
            min(elapsed_s / self._seen_s, 1.0) if self._seen_s > 0.0 else 1.0,
            read_only(state.power_at_s),
            read_only(state.quality),
            read_only(state.connected),
            read_only(state.plugged),
            read_only(self._charging),
        )

    def period_s(self) -> FloatArray:
        """Return the time between two readings of every row, seconds, NaN where nothing is known, shape ``(n,)``.

        May be called from any thread: a fleet that grows meanwhile gets its peers last.
        """
        peers = self._peers
        mean_s = self._mean_s[: len(peers)].copy()
        known = ~np.isnan(mean_s)
        count = int(peers.max(initial=-1)) + 1
        rows = np.bincount(peers[known], minlength=count)
        sums_s = np.bincount(peers[known], weights=mean_s[known], minlength=count)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_peers_s = (sums_s / rows)[peers]
        return np.asarray(2.0 * np.where(mean_s > _CLEARLY * of_peers_s, mean_s, of_peers_s))


@njit()
def _averaged(  # noqa: PLR0917 - a kernel takes arguments by position
    mean_s: FloatArray,
    now_s: float,
    share: float,
    read_s: FloatArray,
    quality: CodeArray,
    connected: BoolArray,
    plugged: BoolArray,
    charging: BoolArray,
) -> None:
    """Average the age of each row's reading into ``mean_s``, with the weight ``share``."""
    for row in range(len(read_s)):
        fresh = quality[row] == _GOOD or quality[row] == _SUBSTITUTED
        age_s = now_s - read_s[row]
        if fresh and connected[row] and (plugged[row] or not charging[row]) and age_s < np.inf:
            before_s = mean_s[row]
            mean_s[row] = age_s if np.isnan(before_s) else before_s + share * (age_s - before_s)
