"""Counterfactual of charging sessions: the power they would take without commands, from their own meters.

A session that was never commanded shows it: its meter is its counterfactual. Once commanded, a session is taken to
go on with the power it showed before, until the energy it still lacked then would have been given; from then on, to
the end of the visit, it would have taken nothing. So energy that is only shifted counts as rebound when it
comes back. This is the device-level baseline of docs/adr/0002; with the course that other sessions take in place of
constant power it is that of docs/adr/0045.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, CodeArray, FloatArray, Quality, RowArray
from vpp.domain.units import SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState
from vpp.state.session_course import SessionCourse

_BAD = int(Quality.BAD)


class SessionCounterfactual:
    """Follows every charging row snapshot by snapshot.

    Args:
        count: Number of rows.
    """

    def __init__(self, count: int) -> None:
        self._seen_kw = np.full(count, np.nan)
        self._free_kw = np.full(count, np.nan)
        self._left_kwh = np.full(count, np.nan)
        self._touched = np.zeros(count, dtype=np.bool_)
        self._course = SessionCourse(count)
        self._at_s = np.nan

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        unknown = np.full(count - len(self._free_kw), np.nan)
        self._seen_kw = np.append(self._seen_kw, unknown)
        self._free_kw = np.append(self._free_kw, unknown)
        self._left_kwh = np.append(self._left_kwh, unknown)
        self._touched = np.append(self._touched, np.zeros(len(unknown), dtype=np.bool_))
        self._course.resize(count)

    def update(self, state: FleetState, *, held: BoolArray, noted_kw: FloatArray) -> FloatArray:
        """Return what each EV row would take now, NaN in all other rows, shape ``(n_resources,)``.

        Args:
            state: The snapshot.
            held: Rows with a command of a request in force, shape ``(n_resources,)``.
            noted_kw: Power noted when a row was commanded, for rows whose past was lost in a restart; NaN for none.
        """
        elapsed_s = state.at_s - self._at_s
        self._at_s = state.at_s
        would_kw = _followed(
            Session(seen_kw=self._seen_kw, free_kw=self._free_kw, left_kwh=self._left_kwh, touched=self._touched),
            state.index.rows_of(ResourceClass.EV),
            read_only(state.power_kw),
            read_only(state.quality),
            read_only(state.need_kwh),
            read_only(state.connected),
            read_only(state.plugged),
            read_only(held),
            read_only(noted_kw),
            0.0 if np.isnan(elapsed_s) else elapsed_s / SECONDS_PER_HOUR,
        )
        self._course.follow(state, touched=self._touched)
        return would_kw

    def take_course(self, would_kw: FloatArray, rows: RowArray) -> None:
        """Let those of ``rows`` that were commanded go on as other sessions do, in ``would_kw``, which is changed.

        Args:
            would_kw: As ``update`` returned it, shape ``(n_resources,)``.
            rows: EV rows.
        """
        rows = rows[self._touched[rows]]
        course_kw = self._course.would_kw(rows, self._free_kw[rows])
        would_kw[rows] = np.where(np.isnan(course_kw), would_kw[rows], course_kw)


class Session(NamedTuple):
    """State of every row; changed in place."""

    seen_kw: FloatArray
    free_kw: FloatArray
    left_kwh: FloatArray
    touched: BoolArray


@njit()
def _followed(  # noqa: PLR0917 - a kernel takes arguments by position
    session: Session,
    rows: RowArray,
    power_kw: FloatArray,
    quality: CodeArray,
    need_kwh: FloatArray,
    connected: BoolArray,
    plugged: BoolArray,
    held: BoolArray,
    noted_kw: FloatArray,
    elapsed_h: float,
) -> FloatArray:
    seen_kw, free_kw, left_kwh, touched = session
    would_kw = np.full(len(power_kw), np.nan)
    for row in rows:
        metered = power_kw[row] if quality[row] != _BAD else 0.0
        if not held[row] and not touched[row]:
            would_kw[row] = seen_kw[row] = metered
            continue
        if not touched[row]:
            before_kw = seen_kw[row] if np.isnan(noted_kw[row]) else noted_kw[row]
            free_kw[row] = 0.0 if np.isnan(before_kw) else before_kw
            left_kwh[row] = np.inf if np.isnan(need_kwh[row]) else need_kwh[row]
        touched[row] = not (connected[row] and not plugged[row])
        left_kwh[row] -= free_kw[row] * elapsed_h
        if not held[row]:
            seen_kw[row] = metered
        taking = free_kw[row] if left_kwh[row] > 0.0 else 0.0
        would_kw[row] = taking if touched[row] else metered
    return would_kw
