"""Undispatched power by the rows' own meters: charging sessions, and what else the running requests measure so."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np

from numerics.arrays import IntArray
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.dispatch.rows.assignments import NOBODY, AssignmentColumns
from vpp.dispatch.rows.command_columns import InForceColumns
from vpp.domain.resource import STORING
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import FleetIndex
from vpp.state.counterfactual import SessionCounterfactual
from vpp.state.load_counterfactual import LoadCounterfactual, load_rows
from vpp.state.roof_counterfactual import RoofCounterfactual, roof_rows
from vpp.state.store_counterfactual import StoreCounterfactual


class OwnMeters:
    """Follows the rows whose baseline is made of their own meters, cycle by cycle.

    Args:
        count: Rows of the fleet.
    """

    def __init__(self, count: int) -> None:
        self._sessions, self._loads = SessionCounterfactual(count), LoadCounterfactual(count)
        self._roofs, self._stores = RoofCounterfactual(count), StoreCounterfactual(count)
        self._held, self._noted_kw = np.zeros(count, dtype=np.bool_), np.full(count, np.nan)

    def resize(self, count: int) -> None:
        """Make room for rows that joined."""
        self._sessions.resize(count)
        self._loads.resize(count)
        self._roofs.resize(count)
        self._stores.resize(count)

    def restore(
        self,
        index: FleetIndex,
        held: InForceColumns,
        source_of: Callable[[int], str],
        numbers: Mapping[str, int],
        *,
        lease_s: FloatArray,
        at_s: float,
    ) -> None:
        """Let what running requests have ordered go on: loads and roofs from what was noted with their last value.

        Args:
            index: The fleet.
            held: What was in force before a restart.
            source_of: Returns the source of a row's last dispatch value.
            numbers: Numbers of the running requests by id.
            lease_s: Length of each row's lease, seconds, shape ``(n_resources,)``.
            at_s: Epoch seconds.
        """
        noted = np.isfinite(held.uncontrolled_kw)
        roofs, rows = (every[noted[every]] for every in (roof_rows(index), load_rows(index)))
        self._roofs.restore(roofs[_ordered_by(roofs, source_of, numbers) != NOBODY])
        stores = index.rows_of(*STORING)
        self._stores.restore(stores[_ordered_by(stores, source_of, numbers) != NOBODY])
        number = _ordered_by(rows, source_of, numbers)
        rows, number = rows[number != NOBODY], number[number != NOBODY]
        sent_s = np.maximum(held.limited_s[rows] - lease_s[rows], held.released_s[rows])
        noted_s = np.where(np.isfinite(sent_s), np.minimum(sent_s, at_s), at_s)
        self._loads.restore(rows, held.uncontrolled_kw[rows], noted_s, number)

    def sessions_kw(self, state: FleetState, assigned: AssignmentColumns, *, commanded: BoolArray) -> FloatArray:
        """Return what every EV row would take now, NaN in all other rows, shape ``(n_resources,)``.

        Args:
            state: The snapshot.
            assigned: Assignments of all rows, with what each was noted to take, and what caps hold it to.
            commanded: Rows with a command of a request in force, shape ``(n_resources,)``.
        """
        self._held, self._noted_kw = commanded, assigned.uncontrolled_kw
        self._loads.observe(state, held=commanded)
        self._roofs.observe(state, held=commanded | ~np.isnan(assigned.cap_kw))  # a capped roof shows no sun
        self._stores.observe(state)
        return self._sessions.update(state, held=commanded, noted_kw=assigned.uncontrolled_kw)

    def follow(self, own_kw: FloatArray, state: FleetState, curves: Iterable[tuple[int, BaselineCurve | None]]) -> None:
        """Add what loads, roofs and stores of running requests would take now; commanded sessions take their course.

        Each only where a request is measured so.

        Args:
            own_kw: As ``sessions_kw`` returned it for this snapshot; changed.
            state: The snapshot.
            curves: Numbers and frozen baselines of the running requests, oldest first; of two the older one counts.
        """
        running = np.zeros(len(own_kw), dtype=np.bool_)
        for number, curve in curves:
            if curve is None:
                continue
            self._sessions.take_course(own_kw, curve.courses)
            rows = curve.shaped[~running[curve.shaped]]
            shape = partial(curve.shape_kw, rows)
            own_kw[rows] = self._loads.would_kw(
                state, rows, shape, number=number, held=self._held, noted_kw=self._noted_kw
            )
            roofs = curve.roofs[~running[curve.roofs]]
            own_kw[roofs] = self._roofs.would_kw(
                state, roofs, partial(curve.shape_kw, roofs), held=self._held, noted_kw=self._noted_kw
            )
            stores = curve.stores[~running[curve.stores]]
            own_kw[stores] = self._stores.would_kw(state, stores, curve.some_kw(state.at_s, stores))
            running[rows] = running[roofs] = running[stores] = True
        self._loads.end(running, held=self._held)
        self._roofs.end(running, held=self._held)
        self._stores.end(running | self._held)


def _ordered_by(rows: RowArray, source_of: Callable[[int], str], numbers: Mapping[str, int]) -> IntArray:
    """Return the number of the running request each row's last dispatch value is of, ``NOBODY`` for none."""
    return np.array([numbers.get(source_of(row), NOBODY) for row in rows.tolist()], dtype=np.int64)
