"""Moves between two full cycles, by the picture of the last one.

Arbitration of that cycle left the load that every transformer is expected to carry; what ticks add to it is kept, and
no move is let through that would lift a load above what the guard aims at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vpp.dispatch.arbitration.feeder_loads import FeederLoads
from vpp.dispatch.arbitration.guard import clamp_rows
from vpp.dispatch.regulation.follower import Followed, RegulationFollower
from vpp.dispatch.rows.assignments import NOBODY, Assignments
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex

_ROUNDS = 3
_NOTHING_KW = 1e-9


class Moves(NamedTuple):
    """Rows that are commanded by a tick; powers load positive, shape ``(r,)`` each.

    Attributes:
        rows: The rows.
        power_kw: What each is to take, NaN for those that are released.
        uncontrolled_kw: What each would take undispatched.
    """

    rows: RowArray
    power_kw: FloatArray
    uncontrolled_kw: FloatArray


@dataclass(slots=True)
class _Request:
    """One request between two cycles: its number, and the rows that wait for others to have moved."""

    number: int
    waiting: RowArray


class BetweenCycles:
    """Moves that are allowed between two full cycles.

    Args:
        index: The fleet.
        settings: How near to a cap is aimed, and devices' ranges.
        assignments: State of the rows.
    """

    def __init__(self, index: FleetIndex, settings: DispatchSettings, assignments: Assignments) -> None:
        self._aim_ratio, self._assignments = settings.caps.aim_ratio, assignments
        self._tree = index.feeders
        self._most_kw: FloatArray = np.zeros(len(index.transformers))
        self._least_kw: FloatArray = np.zeros(len(index.transformers))
        self._state: FleetState | None = None
        self._requests: dict[str, _Request] = {}

    def begin(self, state: FleetState, loads: FeederLoads, followed: Mapping[str, tuple[int, Followed]]) -> None:
        """Take the result of a full cycle.

        Args:
            state: Its snapshot.
            loads: Of every transformer once its setpoints have taken effect.
            followed: Number and moves of every request that is followed.
        """
        self._state = state
        self._most_kw, self._least_kw = loads.most_kw.copy(), loads.least_kw.copy()
        self._requests = {
            name: _Request(number=number, waiting=moves.rows[moves.wait]) for name, (number, moves) in followed.items()
        }

    @property
    def state(self) -> FleetState | None:
        """The snapshot of the last full cycle, if anything is followed since."""
        return self._state if self._requests else None

    def move(self, request_id: str, follower: RegulationFollower, followed: Followed) -> Moves:
        """Return one request's moves that are commanded now; the others wait for the next tick."""
        request, state = self._requests[request_id], self._state
        if state is None:
            raise RuntimeError("move() before begin(): there is no full cycle to go by")
        held = self._assignments.columns
        rows = np.union1d(followed.rows[~followed.wait], request.waiting).astype(np.int32)
        owner = held.owner[rows]
        rows = rows[((owner == request.number) | (owner == NOBODY)) & np.isnan(held.cap_kw[rows])]
        held_kw = np.where(held.owner[rows] == request.number, held.setpoint_kw[rows], np.nan)
        base = follower.base_kw(rows)
        wanted = follower.setpoints_kw(rows, ~np.isnan(held_kw))
        wanted = clamp_rows(state, rows, wanted, np.zeros(len(rows), dtype=np.bool_))
        change = np.nan_to_num(_known(wanted, base) - _known(held_kw, base))
        allowed = self._allowed(rows, change)
        request.waiting = np.union1d(followed.rows[followed.wait], rows[~allowed]).astype(np.int32)
        moved_kw = self._tree.changes_kw(rows[allowed], change[allowed])
        self._most_kw, self._least_kw = self._most_kw + moved_kw, self._least_kw + moved_kw
        moves = Moves(rows[allowed], wanted[allowed], base[allowed])
        self._assignments.move(
            request.number, moves.rows, moves.power_kw, uncontrolled_kw=moves.uncontrolled_kw, at_s=state.at_s
        )
        return moves

    def _allowed(self, rows: RowArray, change_kw: FloatArray) -> BoolArray:
        """Return the moves that bring no transformer above its cap, shape ``(len(rows),)``."""
        allowed = np.ones(len(rows), dtype=np.bool_)
        most = self._tree.limit_kw * self._aim_ratio + _NOTHING_KW
        least = -self._tree.export_limit_kw * self._aim_ratio - _NOTHING_KW
        for _ in range(_ROUNDS):
            moved_kw = self._tree.changes_kw(rows[allowed], change_kw[allowed])
            # What is beyond a cap already is for the full cycle to cure; here it must not get worse.
            over = (self._most_kw + moved_kw > most) & (moved_kw > _NOTHING_KW)
            under = (self._least_kw + moved_kw < least) & (moved_kw < -_NOTHING_KW)
            if not (over.any() or under.any()):
                return allowed
            allowed &= ~((change_kw > 0.0) & self._tree.with_all_below(over)[self._tree.of_row[rows]])
            allowed &= ~((change_kw < 0.0) & self._tree.with_all_below(under)[self._tree.of_row[rows]])
        return np.zeros(len(rows), dtype=np.bool_)


def _known(power_kw: FloatArray, otherwise_kw: FloatArray) -> FloatArray:
    return np.where(np.isnan(power_kw), otherwise_kw, power_kw)
