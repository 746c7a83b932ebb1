"""Metered response: the change that meters show, at the instants at which they were read.

Meters of one fleet are read seconds or a minute apart, each at its own time. The sum of what each showed last is the
response of some time ago, another time for every row: with one reading a minute it is half a minute late, and smeared.
Here each row's change runs straight from one of its readings to the next, and the sum is taken at the instants of the
cycles once the rows have been read after them. Nothing but meters is in it; it is known a little later.

::

    readings of a row      o-----------o-----------o
    instants of cycles   |   |   |   |   |   |   |   |
                     final ──┘   └── open until they are ``within_s`` old
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.domain.regulation import MeteredLoad
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality
from vpp.fleet.fleet_state import FleetState

WITHIN_S = 90.0
"""Time after which an instant is final; a row that is read more seldom holds its last change until then."""
_GOOD, _SUBSTITUTED = int(Quality.GOOD), int(Quality.SUBSTITUTED)


class _LastReading(NamedTuple):
    """Last reading of every row: when it was made, and the change it showed; shape ``(n_resources,)`` each."""

    at_s: FloatArray
    change_kw: FloatArray


class MeteredResponse:
    """Response of one request's rows at the instants of its cycles.

    Args:
        count: Number of rows of the fleet.
        within_s: Time after which an instant is final.
    """

    def __init__(self, count: int, *, within_s: float = WITHIN_S) -> None:
        self._last = _LastReading(np.full(count, -np.inf), np.zeros(count))
        self._within_s = within_s
        self._open_s: FloatArray = np.empty(0)
        self._baseline_kw: FloatArray = np.empty(0)
        self._change_kw: FloatArray = np.empty(0)
        self._base_kw: FloatArray = np.full(count, np.nan)

    @property
    def complete(self) -> bool:
        """Whether no instant is open."""
        return not len(self._open_s)

    def open(self, at_s: float, baseline_kw: float) -> None:
        """Add an instant, later than those before, with the baseline of all rows then."""
        self._open_s, self._baseline_kw = np.append(self._open_s, at_s), np.append(self._baseline_kw, baseline_kw)
        self._change_kw = np.append(self._change_kw, 0.0)

    def grow(self, count: int) -> None:
        """Make room for rows that joined."""
        more = count - len(self._last.at_s)
        self._last = _LastReading(
            np.append(self._last.at_s, np.full(more, -np.inf)), np.append(self._last.change_kw, np.zeros(more))
        )
        self._base_kw = np.append(self._base_kw, np.full(more, np.nan))

    def read(self, state: FleetState, rows: BoolArray, base_kw: FloatArray, steps: BoolArray) -> MeteredLoad:
        """Take the readings of a snapshot and return the instants that are final with it.

        A row that is lost, or cannot be believed, claims no change from its last good reading on.

        Args:
            state: The snapshot.
            rows: Rows whose meters count, shape ``(n_resources,)``.
            base_kw: Power of each without the request now, NaN where not known, likewise.
            steps: Rows whose base steps: new readings were made before the step, so they are compared with that of
                the last snapshot.
        """
        before_kw, self._base_kw = self._base_kw, base_kw
        final = int(np.searchsorted(self._open_s, state.at_s - self._within_s, side="right"))
        _spread(
            self._last,
            self._open_s,
            self._change_kw,
            final,
            state.at_s,
            read_only(state.power_at_s),
            read_only(state.power_kw),
            (read_only(before_kw), read_only(base_kw), read_only(steps)),
            read_only(state.connected),
            read_only(state.quality),
            read_only(rows),
        )
        baseline_kw = self._baseline_kw[:final]
        found = MeteredLoad(self._open_s[:final], baseline_kw, baseline_kw - self._change_kw[:final])
        self._open_s, self._baseline_kw = self._open_s[final:], self._baseline_kw[final:]
        self._change_kw = self._change_kw[final:].copy()
        return found


@njit()
def _spread(  # noqa: PLR0917 - a kernel takes arguments by position
    last: _LastReading,
    open_s: FloatArray,
    sums_kw: FloatArray,
    final: int,
    now_s: float,
    read_s: FloatArray,
    power_kw: FloatArray,
    base: tuple[FloatArray, FloatArray, BoolArray],
    connected: BoolArray,
    quality: CodeArray,
    rows: BoolArray,
) -> None:
    """Add each row's change to the open instants that its new reading passes, and to the final ones it has not."""
    base_before_kw, base_now_kw, steps = base
    for row in range(len(read_s)):
        if not rows[row]:
            continue
        before_s, before_kw = last.at_s[row], last.change_kw[row]
        good = connected[row] and (quality[row] == _GOOD or quality[row] == _SUBSTITUTED)
        base_kw = base_before_kw[row] if steps[row] and not np.isnan(base_before_kw[row]) else base_now_kw[row]
        change_kw = base_kw - power_kw[row]
        if not good or np.isnan(change_kw):
            last.at_s[row], last.change_kw[row] = now_s, 0.0
            continue
        at_s, kw, first = before_s, before_kw, np.isinf(before_s)
        if read_s[row] > before_s:
            at_s, kw = read_s[row], change_kw
        begin = len(open_s) if at_s > before_s else final
        for place in range(begin - 1, -1, -1):
            instant_s = open_s[place]
            if instant_s <= before_s:
                break
            if instant_s > at_s:
                sums_kw[place] += kw if place < final else 0.0
            elif first:
                sums_kw[place] += kw
            else:
                sums_kw[place] += before_kw + (instant_s - before_s) / (at_s - before_s) * (kw - before_kw)
        last.at_s[row], last.change_kw[row] = at_s, kw
