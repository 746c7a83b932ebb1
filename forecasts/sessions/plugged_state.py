"""Chance that a connector is plugged in some hours ahead: tables of what followed like states, shrunk level by level.

The state is how long the car is there, or how long the connector is idle, and what the driver stated. Each level of the
tables is finer than the one before it, and drawn to it where it has seen little (empirical Bayes; Efron & Morris 1975).
So a statement is trusted as far as statements have been true, and return of another car is counted with departure.
"""

from typing import Final

import numpy as np

from forecasts.sessions.timeline import Timeline
from numerics.arrays import FloatArray, IntArray

_PLUGGED_EDGES_H: Final = np.array([0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 14.0, 24.0])
_IDLE_EDGES_H: Final = np.array([0.5, 2.0, 6.0, 24.0, 96.0])
_STATED_EDGES_H: Final = np.array([-1.0, 0.0, 1.0])
"""Edges of what is left of the stated stay at the target."""
_IDLE_STATES: Final = len(_IDLE_EDGES_H) + 1
_STATEMENTS: Final = len(_STATED_EDGES_H) + 2
STATES: Final = _IDLE_STATES + (len(_PLUGGED_EDGES_H) + 1) * _STATEMENTS
_BLOCK_H: Final = 3
_HOURS: Final = 24
_TRUST: Final = (8.0, 8.0, 20.0, 20.0, 20.0)
"""Cases after which a level counts as much as the one above it."""
_HALF_LIFE_DAYS: Final = 150.0


def states_of(timeline: Timeline, horizon_h: float) -> IntArray:
    """Return the code of every state for a target so many hours ahead, below ``STATES``, shape ``(T, C)``."""
    idle = np.searchsorted(_IDLE_EDGES_H, timeline.since_h, side="right")
    there = np.searchsorted(_PLUGGED_EDGES_H, timeline.since_h, side="right")
    left_h = timeline.stated_h - horizon_h
    stated = np.where(np.isnan(left_h), 0, 1 + np.searchsorted(_STATED_EDGES_H, left_h, side="right"))
    return np.asarray(np.where(timeline.plugged, _IDLE_STATES + there * _STATEMENTS + stated, idle))


class PluggedState:
    """Tables for one horizon.

    Args:
        zone: Zone of every connector, shape ``(C,)``.
        site: Site of every connector, shape ``(C,)``.
    """

    def __init__(self, zone: IntArray, site: IntArray) -> None:
        self._zone, self._site = zone, site
        blocks = 2 * _HOURS // _BLOCK_H
        zones, sites, ports = int(zone.max(initial=0)) + 1, int(site.max(initial=0)) + 1, len(zone)
        groups = (1, zones, zones * 2 * _HOURS, sites * blocks, ports * blocks)
        self._number = [np.zeros(count * STATES) for count in groups]
        self._plugged = [np.zeros(count * STATES) for count in groups]

    def learn(self, state: IntArray, hour: IntArray, weekend: IntArray, port: IntArray, plugged: FloatArray) -> None:
        """Count what followed states.

        Args:
            state: See ``states_of``, shape ``(n,)``.
            hour: Hour of the day of the state, shape ``(n,)``.
            weekend: 1 on weekends, shape ``(n,)``.
            port: Connector, shape ``(n,)``.
            plugged: 1 where it was plugged in at the target, shape ``(n,)``.
        """
        cells = self._cells(state, hour, weekend, port)
        for number, total, cell in zip(self._number, self._plugged, cells, strict=True):
            np.add(number, np.bincount(cell, minlength=len(number)), out=number)
            np.add(total, np.bincount(cell, plugged, minlength=len(total)), out=total)

    def age(self, days: float) -> None:
        """Let what was counted fade by so many days."""
        left = 0.5 ** (days / _HALF_LIFE_DAYS)
        for table in (*self._number, *self._plugged):
            np.multiply(table, left, out=table)

    def chance(self, state: IntArray, hour: IntArray, weekend: IntArray, port: IntArray) -> FloatArray:
        """Return the chance of being plugged in at the target, a half where nothing is known, shape ``(n,)``."""
        found = np.full(len(state), 0.5)
        cells = self._cells(state, hour, weekend, port)
        for number, total, cell, trust in zip(self._number, self._plugged, cells, _TRUST, strict=True):
            found = (total[cell] + trust * found) / (number[cell] + trust)
        return found

    def _cells(self, state: IntArray, hour: IntArray, weekend: IntArray, port: IntArray) -> list[IntArray]:
        """Return the cell of every case on each level."""
        zone, site = self._zone[port], self._site[port]
        block = weekend * (_HOURS // _BLOCK_H) + hour // _BLOCK_H
        blocks = 2 * _HOURS // _BLOCK_H
        groups = [0 * zone, zone, (zone * 2 + weekend) * _HOURS + hour, site * blocks + block, port * blocks + block]
        return [group * STATES + state for group in groups]
