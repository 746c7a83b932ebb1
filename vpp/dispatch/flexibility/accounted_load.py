"""Accounted load of every row in its transformer: its meter where that can be believed, else what it may take.

A value that is bad, stale or lost counts as the greater of the last good one and the commanded one while a lease is in
force, afterwards as the most the default layer lets the device take; against an export limit as the least. So one wrong
meter moves its neighbours' limits by no more than that difference, and a lost device still counts.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.flexibility.device_rows import is_charging
from vpp.dispatch.rows.command_columns import InForceColumns
from vpp.dispatch.views import PV, STORAGE, V2G, Devices, Meters, devices_of, meters_of
from vpp.domain.telemetry import FloatArray, Quality
from vpp.fleet.fleet_state import FleetState

_GOOD, _SUBSTITUTED = int(Quality.GOOD), int(Quality.SUBSTITUTED)
_PATIENCE_S = 180.0
"""Time a connected device is given for its first measurement before it is accounted without one."""


class AccountedLoad(NamedTuple):
    """Load every row is accounted with; load positive, shape ``(n_resources,)`` each.

    Attributes:
        known_kw: Measured, or last measured well; 0 where nothing is known. What may be reported.
        most_kw: Against a limit of import.
        least_kw: Against a limit of export.
        doubtful: ``most_kw`` and ``least_kw`` differ somewhere, or differ from ``known_kw``.
    """

    known_kw: FloatArray
    most_kw: FloatArray
    least_kw: FloatArray
    doubtful: bool


class LoadAccounting:
    """Accounted load, cycle by cycle; remembers since when a connected row has waited for its first measurement."""

    def __init__(self, count: int) -> None:
        self._waiting_s = np.full(count, np.nan)

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        self._waiting_s = np.append(self._waiting_s, np.full(count - len(self._waiting_s), np.nan))

    def account(self, state: FleetState, in_force: InForceColumns) -> AccountedLoad:
        """Return the load every row is accounted with now.

        Args:
            state: The snapshot.
            in_force: What devices are believed to hold, read-only.
        """
        return _accounted(devices_of(state.index), meters_of(state), in_force, self._waiting_s, state.at_s)


@njit()
def _accounted(
    devices: Devices, meters: Meters, in_force: InForceColumns, waiting_s: FloatArray, at_s: float
) -> AccountedLoad:
    kind, p_min, p_max, safe = devices.kind, devices.p_min_kw, devices.p_max_kw, devices.default_kw
    power, power_at, quality = meters.power_kw, meters.power_at_s, meters.quality
    connected, plugged = meters.connected, meters.plugged
    default, dispatch, lease, limited = in_force.default_kw, in_force.dispatch_kw, in_force.lease_s, in_force.limited_s
    known, rows, count = np.zeros(len(power)), np.empty(len(power), dtype=np.int32), 0
    for row in range(len(power)):
        kw = power[row]
        unknown = np.isnan(kw)
        fresh = quality[row] in (_GOOD, _SUBSTITUTED) and not unknown
        # An empty station takes nothing, and most silent stations are empty ones.
        empty = not fresh and not plugged[row] and is_charging(kind[row])
        known[row] = 0.0 if unknown or empty else kw
        if (fresh and connected[row]) or empty:
            waiting_s[row] = np.nan
        elif not (fresh and np.isnan(dispatch[row])) or limited[row] > power_at[row]:
            rows[count] = row
            count += 1
    most, least, doubtful = known, known, False
    for row in rows[:count]:
        if np.isnan(power[row]) and not _overdue(waiting_s, row, connected[row], at_s):
            continue
        held = not np.isnan(dispatch[row]) and lease[row] > at_s
        fresh = quality[row] in (_GOOD, _SUBSTITUTED)
        if fresh and not held and not limited[row] > power_at[row]:
            continue
        if not doubtful:
            most, least, doubtful = known.copy(), known.copy(), True
        if held:
            commanded = min(max(dispatch[row], p_min[row]), p_max[row])
            least[row], most[row] = min(commanded, known[row]), max(commanded, known[row])
        else:
            stands = safe[row] if np.isnan(default[row]) else default[row]
            least[row], most[row] = _default_range(kind[row], p_min[row], p_max[row], stands)
    return AccountedLoad(known, most, least, doubtful)


@njit()
def _overdue(waiting_s: FloatArray, row: int, connected: bool, at_s: float) -> bool:  # noqa: FBT001 - a kernel takes arguments by position
    """Return whether a row has long been connected without a measurement; one never connected counts for nothing."""
    if not connected:
        waiting_s[row] = np.nan
        return False
    if np.isnan(waiting_s[row]):
        waiting_s[row] = at_s
    return bool(at_s - waiting_s[row] > _PATIENCE_S)


@njit()
def _default_range(kind: int, p_min: float, p_max: float, default: float) -> tuple[float, float]:
    """Return the least and the most an undispatched device may take."""
    if kind == PV:
        return p_min if np.isnan(default) else max(p_min, default), max(p_max, 0.0)
    if kind in (STORAGE, V2G):
        if np.isnan(default):
            return p_min, p_max
        return min(default, 0.0), max(default, 0.0)
    return min(p_min, 0.0), p_max if np.isnan(default) else min(p_max, default)


def no_doubt(power_kw: FloatArray) -> AccountedLoad:
    """Return the accounted load of powers that are all known, NaN counting as 0."""
    known: FloatArray = np.where(np.isnan(power_kw), 0.0, power_kw)
    return AccountedLoad(known, known, known, doubtful=False)
