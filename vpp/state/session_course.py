"""Course of charging sessions: how the power of a car goes on while nobody commands it, learnt from their own meters.

A promise says less than a car takes: it goes on above it, and tapers before it is full. So a commanded session is taken
to go on as sessions did that were not commanded. They are laid over one another on a clock of their own: energy that
would have been taken at the greatest power a car has shown, as a multiple of what was lacking when it came. What they
took at each reading of that clock, as a share of that power, is the course (docs/adr/0045).
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState

_BAD = int(Quality.BAD)
_EVERY_S = 60.0
"""Time between two looks at all sessions: the usual cadence of their meters."""
_MOST_GAP_S = 180.0
"""A longer time between two looks was a service that was down: nothing is learnt of it."""
_FORGET_S = 3.0 * SECONDS_PER_DAY
_STEP = 0.05
_STEPS = 80
"""Up to four times what was lacking; a car that is still there has long been full."""
_PRIOR_KWH = 5.0
"""Energy at each reading of the clock that outweighs the rule of before: full power until the promise is met."""
_LEAST_SHARE = 0.02


class _Clocks(NamedTuple):
    """State of every row; changed in place, shape ``(n_resources,)`` each.

    Attributes:
        whole_kwh: What was lacking when the session was first seen, NaN without a promise.
        most_kw: Greatest power shown since then before it was commanded.
        reading: Energy at that power since then, as a multiple of what was lacking.
        ordered: Reading at the first command, NaN before.
    """

    whole_kwh: FloatArray
    most_kw: FloatArray
    reading: FloatArray
    ordered: FloatArray


class SessionCourse:
    """Learns the course from sessions that are not commanded, and reads it for those that are.

    Args:
        count: Number of rows of the fleet.
    """

    def __init__(self, count: int) -> None:
        self._clocks = _blank(count)
        self._taken_kwh, self._possible_kwh = _rule_of_before_kwh()
        self._at_s = np.nan

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        more = _blank(count - len(self._clocks.reading))
        self._clocks = _Clocks(*(np.append(old, new) for old, new in zip(self._clocks, more, strict=True)))

    def follow(self, state: FleetState, *, touched: BoolArray) -> None:
        """Take a snapshot, at most once a minute.

        Args:
            state: The snapshot.
            touched: Sessions that are or were commanded, shape ``(n_resources,)``.
        """
        elapsed_s = state.at_s - self._at_s
        if elapsed_s < _EVERY_S:
            return
        self._at_s = state.at_s
        gap = np.isnan(elapsed_s) or elapsed_s > _MOST_GAP_S
        kept = 1.0 if gap else float(np.exp(-elapsed_s / _FORGET_S))
        taken_kwh, possible_kwh = _rule_of_before_kwh()
        self._taken_kwh = taken_kwh + kept * (self._taken_kwh - taken_kwh)
        self._possible_kwh = possible_kwh + kept * (self._possible_kwh - possible_kwh)
        _follow(
            self._clocks,
            self._taken_kwh,
            self._possible_kwh,
            state.index.rows_of(ResourceClass.EV),
            read_only(state.power_kw),
            read_only(state.quality),
            read_only(state.need_kwh),
            read_only(state.connected),
            read_only(state.plugged),
            read_only(touched),
            0.0 if np.isnan(elapsed_s) else elapsed_s / SECONDS_PER_HOUR,
            not gap,
        )

    def would_kw(self, rows: RowArray, free_kw: FloatArray) -> FloatArray:
        """Return what commanded sessions would take now, NaN without a promise, shape ``(len(rows),)``.

        Args:
            rows: Sessions that are or were commanded.
            free_kw: Power each showed before, shape ``(len(rows),)``.
        """
        clocks = self._clocks
        reading, fresh = clocks.reading[rows], np.isnan(clocks.ordered[rows])
        clocks.ordered[rows[fresh]] = reading[fresh]
        clocks.most_kw[rows[fresh]] = np.fmax(clocks.most_kw[rows[fresh]], free_kw[fresh])
        share, before = self._share(reading), self._share(clocks.ordered[rows])
        going_on = np.minimum(share / np.maximum(before, _LEAST_SHARE), 1.0)
        return np.where(np.isnan(clocks.whole_kwh[rows]), np.nan, free_kw * going_on)

    def _share(self, reading: FloatArray) -> FloatArray:
        """Return the part of a car's greatest power that is taken at each reading, 0 to 1."""
        return np.interp(reading, _middles(), self._taken_kwh / self._possible_kwh)


def _blank(count: int) -> _Clocks:
    return _Clocks(np.full(count, np.nan), np.zeros(count), np.zeros(count), np.full(count, np.nan))


def _middles() -> FloatArray:
    """Return the readings of the clock that the steps of the course stand for, shape ``(_STEPS,)``."""
    return np.asarray(_STEP * (np.arange(_STEPS) + 0.5), dtype=np.float64)


def _rule_of_before_kwh() -> tuple[FloatArray, FloatArray]:
    """Return energies taken and possible by the rule of before, which do not fade, shape ``(_STEPS,)`` each."""
    return np.where(_middles() < 1.0, _PRIOR_KWH, 0.0), np.full(_STEPS, _PRIOR_KWH)


@njit()
def _follow(  # noqa: PLR0917 - a kernel takes arguments by position
    clocks: _Clocks,
    taken_kwh: FloatArray,
    possible_kwh: FloatArray,
    rows: RowArray,
    power_kw: FloatArray,
    quality: CodeArray,
    need_kwh: FloatArray,
    connected: BoolArray,
    plugged: BoolArray,
    touched: BoolArray,
    elapsed_h: float,
    learns: bool,  # noqa: FBT001 - a kernel takes arguments by position
) -> None:
    whole_kwh, most_kw, reading, ordered = clocks
    for row in rows:
        if not touched[row]:
            ordered[row] = np.nan
        if not plugged[row]:
            if connected[row]:
                whole_kwh[row], most_kw[row], reading[row] = np.nan, 0.0, 0.0
            continue
        lacking = need_kwh[row]
        if not np.isnan(lacking) and lacking > 0.0 and (np.isnan(whole_kwh[row]) or lacking > whole_kwh[row]):
            whole_kwh[row], reading[row] = lacking, 0.0
        if np.isnan(whole_kwh[row]):
            continue
        power = power_kw[row]
        if not touched[row] and quality[row] != _BAD and not np.isnan(power):
            most_kw[row] = max(most_kw[row], power)
            if learns:
                step = min(int(reading[row] / _STEP), _STEPS - 1)
                taken_kwh[step] += max(power, 0.0) * elapsed_h
                possible_kwh[step] += most_kw[row] * elapsed_h
        reading[row] += most_kw[row] * elapsed_h / whole_kwh[row]
