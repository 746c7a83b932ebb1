"""Who works for whom: the roster's changes of a cycle, each in one pass over its rows."""

from typing import NamedTuple

import numpy as np

from numerics.jit import njit
from vpp.dispatch.columns import RosterTable
from vpp.dispatch.flexibility.device_flexibility import NOTHING_KW
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray

_SHOWN_RATIO = 0.1
"""A row that was let go is back when its meter is this near to its free power."""


class Ranks(NamedTuple):
    """The roster's columns, changed in place."""

    owner: RowArray
    setpoint_kw: FloatArray
    free_kw: FloatArray
    anchor_kw: FloatArray
    cap_kw: FloatArray
    lost_s: FloatArray
    returning_s: FloatArray
    paused_s: FloatArray
    resumed_s: FloatArray
    taken_s: FloatArray
    intended_kw: FloatArray
    home_s: FloatArray
    live: BoolArray


def ranks_of(table: RosterTable) -> Ranks:
    """Return the roster's columns."""
    return Ranks(*(getattr(table, name) for name in Ranks._fields))


def notice_links(roster: RosterTable, connected: BoolArray, before: BoolArray | None, at_s: float) -> None:
    """Note who lost its link and who has it back.

    Args:
        roster: Whose ``lost_s`` is changed.
        connected: Whose link is up, shape ``(n_resources,)``.
        before: The same one cycle earlier; ``None`` to look at every row.
        at_s: Epoch seconds.
    """
    rows = np.arange(len(connected)) if before is None else np.flatnonzero(connected != before)
    lost_s = roster.lost_s[rows]
    roster.lost_s[rows] = np.where(connected[rows], np.nan, np.where(np.isnan(lost_s), at_s, lost_s))


def notice_return(roster: RosterTable, rows: RowArray, power_kw: FloatArray, at_s: float, confirm_s: float) -> None:
    """Note which of ``rows`` were let go and show it by now."""
    rows = rows[~np.isnan(roster.returning_s[rows])]
    free_kw = roster.free_kw[rows]
    near_kw = np.maximum(_SHOWN_RATIO * np.abs(free_kw), NOTHING_KW)
    back = np.abs(power_kw[rows] - free_kw) <= near_kw
    roster.returning_s[rows[back | (at_s - roster.returning_s[rows] > confirm_s)]] = np.nan


def resting_kw(roster: RosterTable, rows: RowArray, shown_kw: FloatArray) -> FloatArray:
    """Return the power each of ``rows`` takes once nobody dispatches it, as last noted, shape ``(len(rows),)``."""
    noted = ~np.isnan(roster.returning_s[rows]) | ~np.isnan(roster.home_s[rows]) | ~np.isnan(roster.cap_kw[rows])
    known = roster.free_kw[rows]
    return np.where(noted & ~np.isnan(known), known, shown_kw[rows])


@njit()
def enlist(  # noqa: PLR0917 - a kernel takes arguments by position
    ranks: Ranks, number: int, setpoint_kw: FloatArray, free_kw: FloatArray, baseline_kw: FloatArray, at_s: float
) -> int:
    """Write who works for request ``number`` into the roster; return how many rows do.

    Args:
        ranks: The roster.
        number: The request.
        setpoint_kw: Power each of its rows should take, NaN for rows it does not use, shape ``(n_resources,)``.
        free_kw: Power each row would take if it were free.
        baseline_kw: Baseline of every row now, NaN where unknown.
        at_s: Epoch seconds.
    """
    count = 0
    owner, held, returning = ranks.owner, ranks.setpoint_kw, ranks.returning_s
    free, anchor, taken, home = ranks.free_kw, ranks.anchor_kw, ranks.taken_s, ranks.home_s
    live = ranks.live
    for row in range(len(setpoint_kw)):
        mine = owner[row] == number
        if np.isnan(setpoint_kw[row]):
            if mine:
                _let_go(ranks, row, at_s)
            continue
        count += 1
        if not mine:
            if np.isnan(returning[row]) or np.isnan(free[row]):
                free[row], anchor[row] = free_kw[row], baseline_kw[row]
            taken[row], home[row], live[row] = at_s, np.nan, True
        if np.isnan(anchor[row]):
            anchor[row] = baseline_kw[row]
        owner[row], held[row], returning[row] = number, setpoint_kw[row], np.nan
    return count


@njit()
def _let_go(ranks: Ranks, row: int, at_s: float) -> None:
    ranks.owner[row] = -1
    ranks.setpoint_kw[row] = np.nan
    ranks.returning_s[row] = at_s
    ranks.paused_s[row] = np.nan
    ranks.taken_s[row] = np.nan
    ranks.intended_kw[row] = np.nan
    ranks.home_s[row] = np.nan


@njit()
def let_strays_go(ranks: Ranks, rows: RowArray, alive: BoolArray, home_s: FloatArray, at_s: float) -> None:
    """Free the rows of requests that do not run any more, and those whose turn to go home has come.

    Args:
        ranks: The roster.
        rows: Rows to look at.
        alive: Requests that run, by number.
        home_s: When each row of a request that just ended goes home, NaN for at once, shape ``(len(rows),)``.
        at_s: Epoch seconds.
    """
    owner, home = ranks.owner, ranks.home_s
    for place in range(len(rows)):
        row = rows[place]
        if owner[row] >= 0 and not alive[owner[row]]:
            if home_s[place] > at_s:
                home[row], owner[row] = home_s[place], -1
            else:
                _let_go(ranks, row, at_s)
        elif home[row] <= at_s:
            _let_go(ranks, row, at_s)


@njit()
def leases(  # noqa: PLR0917 - a kernel takes arguments by position
    ranks: Ranks,
    rows: RowArray,
    guarded_kw: FloatArray,
    lease_s: FloatArray,
    source_of: RowArray,
    last_s_of: FloatArray,
    cap_source: int,
    at_s: float,
) -> tuple[FloatArray, RowArray, FloatArray]:
    """Return the dispatch value each row should get, NaN for none, who asks for it, and until when it holds.

    Args:
        ranks: The roster.
        rows: Rows to look at.
        guarded_kw: What may be sent to them, shape ``(len(rows),)``, as are the results.
        lease_s: Length of each row's lease, shape ``(n_resources,)``.
        source_of: Code of each request's source by its number; the last place is for rows of nobody.
        last_s_of: When the last lease of each request ends, likewise.
        cap_source: Code of the source of caps.
        at_s: Epoch seconds.
    """
    count = len(rows)
    owner, told, cap, home = ranks.owner, ranks.setpoint_kw, ranks.cap_kw, ranks.home_s
    wanted, source, until = np.full(count, np.nan), np.full(count, -1, dtype=np.int32), np.full(count, at_s)
    for place in range(count):
        row = rows[place]
        capped = not np.isnan(cap[row])
        if not capped and np.isnan(told[row]):
            continue
        wanted[place] = guarded_kw[place]
        source[place] = cap_source if capped and owner[row] < 0 else source_of[owner[row]]
        until[place] = min(at_s + lease_s[row], last_s_of[owner[row]])
        if not np.isnan(home[row]):
            until[place] = min(until[place], home[row])
    return wanted, source, until
