"""Counterfactual of roofs: the power they would feed in without commands, by the roofs around them that have none.

A roof that was not ordered shows it: its meter is its counterfactual. Once ordered, it is taken to go on as the roofs
of its area do that were not, in the ratio to them that it had before, until its request is over. Some roofs are left
out of every request for that (`vpp.state.eligibility.reference_roofs`). This is the control group of NAESB WEQ-015 and
docs/adr/0050, roof by roof and while the request runs.
"""

import numpy as np

from numerics.arrays import IntArray
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, Quality, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.state.load_counterfactual import Shape, metered

LEVEL_S = 1800.0
"""Time constant of a roof's gain: longer than its own clouds last."""
_LEAST_PEERS = 3
"""Fewer roofs than this do not stand for an area; those of the whole fleet do."""
_LEAST_SUN = 0.02
"""Share of full sun below which a gain cannot be learnt: dawn and dusk."""
_SUNS, _AREA, _FLEET = 2, 0, 1


def roof_rows(index: FleetIndex) -> RowArray:
    """Return the rows of photovoltaics, shape ``(m,)``."""
    return index.rows_of(ResourceClass.PV)


class RoofCounterfactual:
    """Follows every roof snapshot by snapshot.

    The sun on a roof is what the free roofs around it feed in, as a share of what they feed in under full sun; that is
    each roof's gain, at first its nameplate and learnt while it is free. So it does not matter which of them are free.
    There are two suns, of the area and of the whole fleet; where too few roofs of an area are free its own is unknown.

    Args:
        count: Number of rows of the fleet.
    """

    def __init__(self, count: int) -> None:
        self._level_kw = np.full(count, np.nan)
        self._level_sun, self._sun, self._gain_kw = (np.full((_SUNS, count), np.nan) for _ in range(3))
        self._ordered = np.zeros(count, dtype=np.bool_)
        self._at_s = np.nan

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        more = count - len(self._level_kw)
        self._level_kw = np.append(self._level_kw, np.full(more, np.nan))
        unknown = np.full((_SUNS, more), np.nan)
        self._level_sun, self._sun = np.hstack((self._level_sun, unknown)), np.hstack((self._sun, unknown))
        self._gain_kw = np.hstack((self._gain_kw, unknown))
        self._ordered = np.append(self._ordered, np.zeros(more, dtype=np.bool_))

    def restore(self, rows: RowArray) -> None:
        """Take roofs as ordered before a restart; they go on from the power noted with their last command."""
        self._gain_kw[:, rows], self._ordered[rows] = np.nan, True

    def observe(self, state: FleetState, *, held: BoolArray) -> None:
        """Take the sun by the roofs that are free, and learn the gain of each of them.

        Args:
            state: The snapshot.
            held: Rows with a command of a request in force, or held to a cap, shape ``(n_resources,)``.
        """
        rows = roof_rows(state.index)
        if not len(rows):
            return
        elapsed_s, self._at_s = state.at_s - self._at_s, state.at_s
        weight = 1.0 if np.isnan(elapsed_s) else -float(np.expm1(-max(elapsed_s, 0.0) / LEVEL_S))
        free = _shines(state, rows) & ~held[rows] & ~self._ordered[rows]
        gain_kw = self._gain_kw[:, rows]
        gain_kw = np.where(np.isnan(gain_kw), -state.index.nameplate.p_min_kw[rows], gain_kw)
        self._sun[:, rows] = _suns(state, rows, free, gain_kw)
        rows = rows[free]
        self._level_kw[rows] = level_kw = _followed(self._level_kw[rows], state.power_kw[rows], weight)
        self._level_sun[:, rows] = level = _followed(self._level_sun[:, rows], self._sun[:, rows], weight)
        bright = level > _LEAST_SUN
        learnt_kw = np.divide(-level_kw, level, out=np.ones_like(level), where=bright)
        self._gain_kw[:, rows] = np.where(bright, learnt_kw, self._gain_kw[:, rows])

    def would_kw(
        self, state: FleetState, rows: RowArray, frozen: Shape, *, held: BoolArray, noted_kw: FloatArray
    ) -> FloatArray:
        """Return what some roofs of a request would take now, shape ``(len(rows),)``; an ordered one at most 0.

        Where no roof is free its frozen baseline counts.

        Args:
            state: The snapshot.
            rows: Roofs.
            frozen: Their frozen baseline.
            held: Rows with a command of a request in force, shape ``(n_resources,)``.
            noted_kw: Power noted when a row was commanded, for rows whose past was lost in a restart; NaN for none.
        """
        restored = self._ordered[rows] & np.isnan(self._gain_kw[:, rows]).all(axis=0)
        self._ordered[rows] |= held[rows]
        ordered, sun, least_kw = self._ordered[rows], self._sun[:, rows], state.index.nameplate.p_min_kw[rows]
        gain_kw = self._gain_kw[:, rows]
        noted = restored & np.isfinite(noted_kw[rows]) & (sun > _LEAST_SUN)
        gain_kw = np.where(noted, -noted_kw[rows] / np.where(noted, sun, 1.0), gain_kw)
        self._gain_kw[:, rows] = gain_kw
        gain_kw = np.where(np.isnan(gain_kw), -least_kw, gain_kw)
        peers_kw = -np.where(np.isnan(sun[_AREA]), gain_kw[_FLEET] * sun[_FLEET], gain_kw[_AREA] * sun[_AREA])
        shown = _shines(state, rows) & ~ordered
        own_kw = np.where(shown, state.power_kw[rows], np.clip(peers_kw, least_kw, 0.0))
        if (blind := np.isnan(own_kw)).any():
            own_kw[blind] = frozen(np.full(len(rows), state.at_s))[blind]
        return own_kw

    def end(self, running: BoolArray, *, held: BoolArray) -> None:
        """Forget the orders of rows that no running request measures and none holds, shape ``(n_resources,)`` each."""
        self._ordered &= running | held


def _shines(state: FleetState, rows: RowArray) -> BoolArray:
    """Return which of ``rows`` can feed in and have a good meter now, shape ``(len(rows),)``."""
    good = metered(state, rows) & (state.quality[rows] == Quality.GOOD)
    return np.asarray(good & (state.index.nameplate.p_min_kw[rows] < 0.0))


def _followed(level: FloatArray, seen: FloatArray, weight: float) -> FloatArray:
    """Return a level after something new was seen; what is unknown leaves it as it is."""
    moved = np.where(np.isnan(level), seen, level + weight * (seen - level))
    return np.where(np.isnan(seen), level, moved)


def _suns(state: FleetState, rows: RowArray, free: BoolArray, gain_kw: FloatArray) -> FloatArray:
    """Return the sun on every row by the free roofs of its area and by all, NaN where they are too few, ``(2, m)``."""
    area: IntArray = np.asarray(state.index.area_code[rows], dtype=np.int64)
    count = int(area.max()) + 1
    made_kw = -state.power_kw[rows[free]]
    peers = np.bincount(area[free], minlength=count)
    made, full = (np.bincount(area[free], weights=w, minlength=count) for w in (made_kw, gain_kw[_AREA, free]))
    near = np.divide(made, full, out=np.full(count, np.nan), where=(peers >= _LEAST_PEERS) & (full > 0.0))
    full_kw = float(gain_kw[_FLEET, free].sum())
    everywhere = float(made_kw.sum()) / full_kw if full_kw > 0.0 else np.nan
    return np.asarray(np.maximum(np.stack((near[area], np.full(len(rows), everywhere))), 0.0))
