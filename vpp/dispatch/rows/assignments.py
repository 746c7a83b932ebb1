"""Assignment of every row: the one owner of what dispatch holds of it, changed by named transitions only.

A row is *free*, *assigned* to a request (and may *pause* there), *due for release* once its request ended, or
*returning* until its meter shows it. A transformer's cap may hold it in any of these states, and its link may be *lost*
in any of them. Diagram and table: ``docs/row-states.md``. Allocation, arbitration and regulation decide and call a
transition; compiled code and all others read ``columns``.
"""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.dispatch.rows.row_columns import grown, refilled, repeated, views
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray

NOBODY = -1
"""Owner of a row that is assigned to no request."""
_SHOWN_RATIO = 0.1
"""A released row has returned when its meter is this near to its uncontrolled power."""
_SHOWN_KW = 0.05
"""And this near at least."""


class AssignmentColumns(NamedTuple):
    """What dispatch holds of every row; powers load positive, instants epoch seconds, shape ``(n_resources,)`` each.

    Attributes:
        owner: Number of the request a row is assigned to, ``NOBODY`` for none.
        setpoint_kw: Power it is to take, NaN where it is free.
        uncontrolled_kw: Power it would take undispatched, as seen when it was first commanded, or last released.
        anchor_kw: Its baseline at that moment, for moving ``uncontrolled_kw`` with the baseline's shape.
        cap_kw: Power it is held to for a transformer's cap, NaN where it is not.
        lost_s: When its link was lost, NaN while it is up.
        returning_s: When it was released, NaN once its meter shows it or it was assigned again.
        paused_s: Since when its charging pauses, NaN while it does not.
        resumed_s: When its last pause ended, ``-inf`` for never.
        assigned_s: Since when it is assigned to its request, NaN while it is to none.
        planned_kw: Activation the re-dispatch plan gave it when it was last looked at, NaN without one.
        release_due_s: When it is released after its request ended, NaN where it does not wait for that.
        active: Something above, or of its commands, may be other than blank; other rows are passed over.
    """

    owner: RowArray
    setpoint_kw: FloatArray
    uncontrolled_kw: FloatArray
    anchor_kw: FloatArray
    cap_kw: FloatArray
    lost_s: FloatArray
    returning_s: FloatArray
    paused_s: FloatArray
    resumed_s: FloatArray
    assigned_s: FloatArray
    planned_kw: FloatArray
    release_due_s: FloatArray
    active: BoolArray


def _blank() -> AssignmentColumns:
    """Return one free row."""
    unknown = np.array([np.nan])
    return AssignmentColumns(
        owner=np.array([NOBODY], dtype=np.int32),
        setpoint_kw=unknown,
        uncontrolled_kw=unknown,
        anchor_kw=unknown,
        cap_kw=unknown,
        lost_s=unknown,
        returning_s=unknown,
        paused_s=unknown,
        resumed_s=np.array([-np.inf]),
        assigned_s=unknown,
        planned_kw=unknown,
        release_due_s=unknown,
        active=np.zeros(1, dtype=np.bool_),
    )


class Recovered(NamedTuple):
    """Rows as the commands of an earlier life of the service left them.

    Attributes:
        rows: Rows with a dispatch lease in force, shape ``(r,)``.
        owner: Number of the running request each was commanded for, ``NOBODY`` for none.
        capped: Which were commanded for a transformer's cap.
        dispatch_kw: Value in force.
        uncontrolled_kw: Uncontrolled power noted with each row's last command, shape ``(n_resources,)``.
        released_s: When each row was last released, likewise.
    """

    rows: IdArray
    owner: RowArray
    capped: BoolArray
    dispatch_kw: FloatArray
    uncontrolled_kw: FloatArray
    released_s: FloatArray


class Assignments:
    """The state of every row.

    Args:
        count: Rows of the fleet.

    Attributes:
        columns: Read-only view of the state, replaced by ``grow`` only.
    """

    def __init__(self, count: int = 0) -> None:
        self._own = repeated(_blank(), count)
        self.columns = views(self._own)

    def __len__(self) -> int:
        return len(self._own.owner)

    def grow(self, count: int) -> None:
        """Take a larger fleet; rows that join are free."""
        self._own = grown(self._own, _blank(), count)
        self.columns = views(self._own)

    def wanted_kw(self) -> FloatArray:
        """Return the power every row is to take, its cap included, NaN where it is free, shape ``(n_resources,)``."""
        return np.fmin(self._own.setpoint_kw, self._own.cap_kw)

    def resting_kw(self, rows: RowArray, shown_kw: FloatArray) -> FloatArray:
        """Return the power each of ``rows`` takes once it is undispatched, as noted before, shape ``(len(rows),)``.

        Args:
            rows: Rows to look at.
            shown_kw: What every row counts for where nothing was noted, shape ``(n_resources,)``.
        """
        own = self._own
        noted = ~np.isnan(own.returning_s[rows]) | ~np.isnan(own.release_due_s[rows]) | ~np.isnan(own.cap_kw[rows])
        known = own.uncontrolled_kw[rows]
        return np.where(noted & ~np.isnan(known), known, shown_kw[rows])

    def observe_links(self, connected: BoolArray, before: BoolArray | None, at_s: float) -> None:
        """Note whose link was lost and whose came back.

        Args:
            connected: Whose link is up, shape ``(n_resources,)``.
            before: The same one cycle earlier; ``None`` to look at every row.
            at_s: Epoch seconds.
        """
        rows = np.arange(len(connected)) if before is None else np.flatnonzero(connected != before)
        lost_s = self._own.lost_s[rows]
        self._own.lost_s[rows] = np.where(connected[rows], np.nan, np.where(np.isnan(lost_s), at_s, lost_s))

    def observe_returns(self, rows: RowArray, power_kw: FloatArray, at_s: float, confirm_s: float) -> None:
        """End the return of those of ``rows`` whose meter shows it, or has had ``confirm_s`` to show it.

        Args:
            rows: Rows to look at.
            power_kw: Metered power of every row, shape ``(n_resources,)``.
            at_s: Epoch seconds.
            confirm_s: Longest return.
        """
        own = self._own
        rows = rows[~np.isnan(own.returning_s[rows])]
        uncontrolled = own.uncontrolled_kw[rows]
        near_kw = np.maximum(_SHOWN_RATIO * np.abs(uncontrolled), _SHOWN_KW)
        back = np.abs(power_kw[rows] - uncontrolled) <= near_kw
        own.returning_s[rows[back | (at_s - own.returning_s[rows] > confirm_s)]] = np.nan

    def assign(
        self,
        number: int,
        setpoint_kw: FloatArray,
        *,
        uncontrolled_kw: FloatArray,
        baseline_kw: FloatArray,
        at_s: float,
    ) -> None:
        """Assign rows to request ``number`` with their setpoints, and release its rows that have none any more.

        Args:
            number: The request.
            setpoint_kw: Power each of its rows is to take, NaN for rows it does not use, shape ``(n_resources,)``.
            uncontrolled_kw: Power each row would take undispatched, likewise.
            baseline_kw: Baseline of every row now, NaN where unknown, likewise.
            at_s: Epoch seconds.
        """
        _assign(self._own, number, read_only(setpoint_kw), read_only(uncontrolled_kw), read_only(baseline_kw), at_s)

    def move(
        self, number: int, rows: RowArray, power_kw: FloatArray, *, uncontrolled_kw: FloatArray, at_s: float
    ) -> None:
        """Assign or release some rows of request ``number`` between two full cycles; shape ``(len(rows),)`` each.

        Args:
            number: The request.
            rows: Rows that are free or assigned to it.
            power_kw: Power each is to take, NaN for those that are released.
            uncontrolled_kw: Power each would take undispatched.
            at_s: Time of the last full cycle's snapshot.
        """
        own = self._own
        leaving, staying = np.isnan(power_kw), ~np.isnan(power_kw)
        joining = staying & (own.owner[rows] != number)
        unnoted = joining & (np.isnan(own.returning_s[rows]) | np.isnan(own.uncontrolled_kw[rows]))
        own.uncontrolled_kw[rows[unnoted]], own.anchor_kw[rows[unnoted]] = uncontrolled_kw[unnoted], np.nan
        own.assigned_s[rows[joining]] = at_s
        own.release_due_s[rows[joining]] = np.nan
        own.owner[rows[staying]], own.setpoint_kw[rows[staying]] = number, power_kw[staying]
        own.returning_s[rows[staying]] = np.nan
        leaving &= own.owner[rows] == number
        learnt = leaving & ~np.isnan(uncontrolled_kw)
        own.uncontrolled_kw[rows[learnt]], own.anchor_kw[rows[learnt]] = uncontrolled_kw[learnt], np.nan
        left = rows[leaving]
        own.owner[left], own.returning_s[left] = NOBODY, at_s
        for column in (own.setpoint_kw, own.paused_s, own.assigned_s, own.planned_kw, own.release_due_s):
            column[left] = np.nan
        own.active[rows] = True

    def end_requests(self, rows: RowArray, running: BoolArray, release_due_s: FloatArray, at_s: float) -> None:
        """Release the rows of requests that do not run any more, at once or when they are due, and those due now.

        Args:
            rows: Rows to look at.
            running: Requests that run, by number.
            release_due_s: When each row of a request that just ended is due, NaN for at once, shape ``(len(rows),)``.
            at_s: Epoch seconds.
        """
        _end_requests(self._own, read_only(rows), read_only(running), read_only(release_due_s), at_s)

    def withdraw(self, rows: RowArray, at_s: float) -> None:
        """Release those of ``rows``, which are out of service, that are assigned, due for release or held for a cap."""
        if not len(rows):
            return
        own = self._own
        held = ~np.isnan(own.setpoint_kw[rows]) | ~np.isnan(own.cap_kw[rows]) | ~np.isnan(own.release_due_s[rows])
        left = rows[held]
        own.owner[left], own.returning_s[left], own.active[left] = NOBODY, at_s, True
        for column in (own.setpoint_kw, own.cap_kw, own.paused_s, own.assigned_s, own.planned_kw, own.release_due_s):
            column[left] = np.nan

    def forget(self, rows: RowArray) -> None:
        """Take ``rows`` as free: their devices are retired, or others have taken their places."""
        refilled(self._own, _blank(), rows)

    def pause(self, rows: RowArray, at_s: float) -> None:
        """Begin a pause of charging in ``rows``, which are assigned."""
        self._own.paused_s[rows] = at_s

    def resume(self, rows: RowArray | IdArray, at_s: float) -> None:
        """End the pause of ``rows``."""
        self._own.paused_s[rows] = np.nan
        self._own.resumed_s[rows] = at_s

    def plan(self, rows: RowArray, activated_kw: FloatArray) -> None:
        """Note the activation a re-dispatch plan gives ``rows``, shape ``(len(rows),)``."""
        self._own.planned_kw[rows] = activated_kw

    def drop_plan(self) -> None:
        """Forget the re-dispatch plan, so that the merit order stands on its own again."""
        planned = ~np.isnan(self._own.planned_kw)
        if planned.any():
            self._own.planned_kw[planned] = np.nan

    def cap(self, rows: IdArray, power_kw: FloatArray, uncontrolled_kw: FloatArray) -> None:
        """Hold ``rows`` to a power for a transformer's cap.

        Args:
            rows: Rows the guard has cut.
            power_kw: Power each may take, shape ``(len(rows),)``.
            uncontrolled_kw: Power each would take undispatched; noted where nothing was before.
        """
        own = self._own
        unnoted = np.isnan(own.cap_kw[rows]) & np.isnan(own.setpoint_kw[rows]) & np.isnan(own.returning_s[rows])
        own.uncontrolled_kw[rows[unnoted]] = uncontrolled_kw[unnoted]
        own.cap_kw[rows] = power_kw
        own.returning_s[rows] = np.nan
        own.active[rows] = True

    def uncap(self, rows: IdArray, at_s: float) -> None:
        """Lift the cap of ``rows``; those that are assigned to no request return."""
        self._own.cap_kw[rows] = np.nan
        self._own.returning_s[rows[np.isnan(self._own.setpoint_kw[rows])]] = at_s

    def active_rows(self, always: BoolArray) -> RowArray:
        """Return the rows that a cycle must look at: the active ones, and those flagged in ``always``."""
        return np.flatnonzero(self._own.active | always).astype(np.int32)

    def activate(self, rows: RowArray) -> None:
        """Look at ``rows`` in every cycle from now on: a command to them is under way."""
        self._own.active[rows] = True

    def settle(self, rows: RowArray, commanded: BoolArray) -> None:
        """Pass over those of ``rows`` from now on in which nothing is left of any request, cap or command.

        Args:
            rows: Rows to look at.
            commanded: In which of them a dispatch value may be in force or under way, shape ``(len(rows),)``.
        """
        own = self._own
        active = commanded.copy()
        for column in (own.setpoint_kw, own.cap_kw, own.release_due_s, own.returning_s, own.paused_s):
            active |= ~np.isnan(column[rows])
        own.active[rows] = active

    def recover(self, left: Recovered, *, at_s: float, confirm_s: float) -> None:
        """Take rows over from an earlier life of the service: by their leases, else returning; every link as lost.

        Args:
            left: What its commands say.
            at_s: Epoch seconds.
            confirm_s: Rows released longer ago than this have returned.
        """
        own, rows = self._own, left.rows
        own.cap_kw[rows[left.capped]] = left.dispatch_kw[left.capped]
        assigned = left.owner >= 0
        own.owner[rows[assigned]] = left.owner[assigned]
        own.setpoint_kw[rows[assigned]] = left.dispatch_kw[assigned]
        own.uncontrolled_kw[rows] = left.uncontrolled_kw[rows]
        returning = np.isnan(own.setpoint_kw) & (at_s - left.released_s < confirm_s)
        own.returning_s[returning] = left.released_s[returning]
        own.uncontrolled_kw[returning] = left.uncontrolled_kw[returning]
        own.lost_s[:] = at_s
        own.active[:] = True


@njit()
def _assign(  # noqa: PLR0917 - a kernel takes arguments by position
    own: AssignmentColumns,
    number: int,
    setpoint_kw: FloatArray,
    uncontrolled_kw: FloatArray,
    baseline_kw: FloatArray,
    at_s: float,
) -> None:
    owner, held, returning = own.owner, own.setpoint_kw, own.returning_s
    uncontrolled, anchor, assigned, due = own.uncontrolled_kw, own.anchor_kw, own.assigned_s, own.release_due_s
    active = own.active
    for row in range(len(setpoint_kw)):
        mine = owner[row] == number
        if np.isnan(setpoint_kw[row]):
            if mine:
                # What was learnt while it was commanded is not forgotten: a car that is full by now takes nothing.
                if not np.isnan(uncontrolled_kw[row]):
                    uncontrolled[row], anchor[row] = uncontrolled_kw[row], baseline_kw[row]
                _release(own, row, at_s)
            continue
        if not mine:
            if np.isnan(returning[row]) or np.isnan(uncontrolled[row]):
                uncontrolled[row], anchor[row] = uncontrolled_kw[row], baseline_kw[row]
            assigned[row], due[row], active[row] = at_s, np.nan, True
        if np.isnan(anchor[row]):
            anchor[row] = baseline_kw[row]
        owner[row], held[row], returning[row] = number, setpoint_kw[row], np.nan


@njit()
def _release(own: AssignmentColumns, row: int, at_s: float) -> None:
    own.owner[row] = NOBODY
    own.setpoint_kw[row] = np.nan
    own.returning_s[row] = at_s
    own.paused_s[row] = np.nan
    own.assigned_s[row] = np.nan
    own.planned_kw[row] = np.nan
    own.release_due_s[row] = np.nan


@njit()
def _end_requests(
    own: AssignmentColumns, rows: RowArray, running: BoolArray, release_due_s: FloatArray, at_s: float
) -> None:
    owner, due = own.owner, own.release_due_s
    for place in range(len(rows)):
        row = rows[place]
        if owner[row] >= 0 and not running[owner[row]]:
            if release_due_s[place] > at_s:
                due[row], owner[row] = release_due_s[place], NOBODY
            else:
                _release(own, row, at_s)
        elif due[row] <= at_s:
            _release(own, row, at_s)
