"""Fairness of the merit order: its memory of drivers, sites and buildings.

Cheapest class first; within it devices with slack, ahead of the plan and spared so far. Shed time is forgotten with a
time constant of days, so the memory is bounded and turns come round.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from vpp.dispatch.flexibility.device_flexibility import laxity_s
from vpp.dispatch.flexibility.device_rows import NOTHING_KW, is_charging
from vpp.dispatch.rows.assignments import AssignmentColumns
from vpp.dispatch.settings import MeritOrderRules
from vpp.dispatch.views import Devices, Meters, devices_of, meters_of
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.fleet.fleet_state import FleetState
from vpp.fleet.index import CLASSES, FleetIndex
from vpp.record.columns import column_body, column_of

SHED_TIME = "dispatch.burden"
"""Kind of the journal entries about shed time; stands in old journals."""
_LAXITY_SCALE_S = 3600.0
_MOST_GROWTH = 16.0
_MOST_GAP_S = 120.0
"""A longer time between two cycles was no control, but a service that was down."""


class Merit(NamedTuple):
    """Merit order of all rows, lowest first; shape ``(n_resources,)`` each.

    Attributes:
        bulk: For large amounts.
        trim: For small corrections, fast and accurate rows first.
    """

    bulk: FloatArray
    trim: FloatArray


class Fairness:
    """Time every row was shed, energy it is behind its plan, and heat or work it deferred.

    Args:
        rules: Merit order.
        recovery_s: Time constant in which a building makes good what it deferred.

    Attributes:
        debt_kwh: Heat or work each building has deferred and not made good yet, shape ``(n_resources,)``.
    """

    def __init__(self, rules: MeritOrderRules, *, recovery_s: float) -> None:
        self._rules, self._recovery_s = rules, recovery_s
        self._shed_s = np.zeros(0)
        self._arrears_kwh = np.zeros(0)
        self.debt_kwh = np.zeros(0)
        self._at_s = np.nan
        self._begin_s = np.nan
        self._merit: Merit | None = None
        self._keyed_s = -np.inf

    def resize(self, count: int) -> None:
        """Take a larger fleet; rows that join were never shed."""
        more = np.zeros(max(0, count - len(self._shed_s)))
        self._shed_s = np.concatenate((self._shed_s, more))
        self._arrears_kwh = np.concatenate((self._arrears_kwh, more))
        self.debt_kwh = np.concatenate((self.debt_kwh, more))
        self._merit = None

    def forget(self, rows: RowArray) -> None:
        """Take ``rows`` as never shed: others have taken their places."""
        for column in (self._shed_s, self._arrears_kwh, self.debt_kwh):
            column[rows] = 0.0
        self._merit = None

    def follow(
        self, state: FleetState, assigned: AssignmentColumns, rows: RowArray, planned_kw: FloatArray | None
    ) -> None:
        """Add what was shed and deferred since the last snapshot.

        Args:
            state: The snapshot.
            assigned: Assignment of every row since then, read-only.
            rows: Rows that may be assigned.
            planned_kw: Power every row should take now by the re-dispatch plan, NaN for no wish, ``None`` without
                one, shape ``(n_resources,)``. The plan of the day would not do: the journal keeps it for stores only,
                and a replay must come to the same order.
        """
        elapsed_s = state.at_s - self._at_s
        self._at_s = state.at_s
        if np.isnan(elapsed_s) or elapsed_s > _MOST_GAP_S:
            return
        index = state.index
        owing = index.rows_of(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        resting = owing[np.isnan(assigned.setpoint_kw[owing])]
        self.debt_kwh[resting] *= np.exp(-elapsed_s / self._recovery_s)
        rebound_ratio = read_only(index.nameplate.rebound_ratio)
        _add_shed(self._shed_s, self.debt_kwh, assigned, read_only(rows), rebound_ratio, elapsed_s, self._growth())
        if planned_kw is not None:
            _fall_behind(
                self._arrears_kwh,
                devices_of(index),
                meters_of(state),
                read_only(planned_kw),
                elapsed_s / SECONDS_PER_HOUR,
                2.0 * self._rules.arrears_scale_h,
            )

    def shed_s(self) -> FloatArray:
        """Return how long each row was shed, in seconds that fade with age, shape ``(n_resources,)``."""
        return self._shed_s / self._growth()

    def merit(self, state: FleetState) -> Merit:
        """Return the merit order, recomputed every ``rekey_s``."""
        if self._merit is None or state.at_s - self._keyed_s >= self._rules.rekey_s:
            self._merit, self._keyed_s = self._keyed(state), state.at_s
        return self._merit

    def body(self) -> dict[str, object]:
        """Return the body that survives a restart: time shed, and energy that buildings deferred."""
        rows = np.flatnonzero((self._shed_s > 0.0) | (self.debt_kwh > 0.0)).astype(np.int32)
        return {
            "at_s": self._at_s,
            "rows": column_body(rows),
            "shed_s": column_body(np.round(self.shed_s()[rows], 1)),
            "debt_kwh": column_body(np.round(self.debt_kwh[rows], 3)),
        }

    def restore(self, body: Mapping[str, Any]) -> None:
        """Restore what ``body`` wrote."""
        rows: RowArray = column_of(body["rows"], np.int32)
        self._shed_s[:] = 0.0
        self.debt_kwh[:] = 0.0
        self._shed_s[rows] = column_of(body["shed_s"], np.float64)
        self.debt_kwh[rows] = column_of(body["debt_kwh"], np.float64)
        self._begin_s = self._at_s = float(body["at_s"])

    def _growth(self) -> float:
        """Return by how much a second now outweighs one at the beginning; the past is never rewritten."""
        if np.isnan(self._begin_s):
            self._begin_s = self._at_s
        if np.isnan(self._begin_s):
            return 1.0
        growth = float(np.exp((self._at_s - self._begin_s) / (self._rules.forget_days * SECONDS_PER_DAY)))
        if growth > _MOST_GROWTH:
            self._shed_s /= growth
            self._begin_s, growth = self._at_s, 1.0
        return growth

    def _keyed(self, state: FleetState) -> Merit:
        rules, index = self._rules, state.index
        shed_s = self.shed_s()
        weights = _Weights(
            haste=rules.weights.haste,
            arrears=rules.weights.arrears,
            shed=rules.weights.shed,
            site=rules.weights.site,
            shed_s=rules.shed_scale_s,
            arrears_h=rules.arrears_scale_h,
        )
        bulk, trim = (
            read_only(np.array([cost[kind] for kind in CLASSES], dtype=np.float64))
            for cost in (rules.bulk_cost, rules.trim_cost)
        )
        return Merit(
            *_keys(
                devices_of(index),
                meters_of(state),
                state.at_s,
                read_only(shed_s),
                read_only(_site_means(index, shed_s)),
                read_only(self._arrears_kwh),
                bulk,
                trim,
                weights,
            )
        )


def shed_time_without(body: Mapping[str, Any], rows: RowArray) -> dict[str, object]:
    """Return what ``Fairness.body`` wrote as if ``rows`` had never been shed."""
    known: RowArray = column_of(body["rows"], np.int32)
    kept = ~np.isin(known, rows)
    columns = {name: column_of(body[name], np.float64) for name in ("shed_s", "debt_kwh")}
    return {
        **body,
        "rows": column_body(known[kept]),
        **{name: column_body(column[kept]) for name, column in columns.items()},
    }


class _Weights(NamedTuple):
    haste: float
    arrears: float
    shed: float
    site: float
    shed_s: float
    arrears_h: float


def _site_means(index: FleetIndex, shed_s: FloatArray) -> FloatArray:
    """Return the mean over all rows of each row's site, shape ``(n_resources,)``."""
    code, count = index.site_code, len(index.sites)
    rows = np.maximum(np.bincount(code, minlength=count), 1)
    return np.asarray((np.bincount(code, weights=shed_s, minlength=count) / rows)[code], dtype=np.float64)


@njit()
def _add_shed(  # noqa: PLR0917 - a kernel takes arguments by position
    shed_s: FloatArray,
    debt_kwh: FloatArray,
    assigned: AssignmentColumns,
    rows: RowArray,
    rebound_ratio: FloatArray,
    elapsed_s: float,
    growth: float,
) -> None:
    """Add the time each of ``rows`` was shed, and what of it has to be made good."""
    owner, uncontrolled, setpoint = assigned.owner, assigned.uncontrolled_kw, assigned.setpoint_kw
    for row in rows:
        activated_kw = abs(uncontrolled[row] - setpoint[row]) if owner[row] >= 0 else 0.0
        if activated_kw > NOTHING_KW:
            shed_s[row] += elapsed_s * growth
            debt_kwh[row] += rebound_ratio[row] * activated_kw * elapsed_s / SECONDS_PER_HOUR


@njit()
def _fall_behind(  # noqa: PLR0917 - a kernel takes arguments by position
    arrears_kwh: FloatArray,
    devices: Devices,
    meters: Meters,
    planned_kw: FloatArray,
    elapsed_h: float,
    most_h: float,
) -> None:
    """Add to every car the energy it is behind its plan, within some hours of charging; it ends with the visit."""
    kind, p_max, plugged, power = devices.kind, devices.p_max_kw, meters.plugged, meters.power_kw
    for row in range(len(arrears_kwh)):
        if is_charging(kind[row]) and not plugged[row]:
            arrears_kwh[row] = 0.0
        elif is_charging(kind[row]) and not np.isnan(planned_kw[row]) and not np.isnan(power[row]):
            most_kwh = most_h * p_max[row]
            arrears = arrears_kwh[row] + (planned_kw[row] - power[row]) * elapsed_h
            arrears_kwh[row] = min(max(arrears, -most_kwh), most_kwh)


@njit()
def _keys(  # noqa: PLR0917 - a kernel takes arguments by position
    devices: Devices,
    meters: Meters,
    at_s: float,
    shed_s: FloatArray,
    site_s: FloatArray,
    arrears_kwh: FloatArray,
    bulk: FloatArray,
    trim: FloatArray,
    weights: _Weights,
) -> tuple[FloatArray, FloatArray]:
    """Return the two keys; what is added to a class's cost stays below 1, so classes keep their order."""
    count = len(shed_s)
    for_bulk, for_trim = np.empty(count), np.empty(count)
    kinds, p_max, departure, need = devices.kind, devices.p_max_kw, meters.departure_s, meters.need_kwh
    for row in range(count):
        kind = kinds[row]
        extra = weights.shed * shed_s[row] / (shed_s[row] + weights.shed_s)
        extra += weights.site * site_s[row] / (site_s[row] + weights.shed_s)
        if is_charging(kind):
            lax_s = max(laxity_s(departure[row], need[row], p_max[row], at_s), 0.0)
            if np.isfinite(lax_s):
                extra += weights.haste * _LAXITY_SCALE_S / (_LAXITY_SCALE_S + lax_s)
            behind_h = arrears_kwh[row] / max(p_max[row], NOTHING_KW)
            extra += weights.arrears * behind_h / (abs(behind_h) + weights.arrears_h)
        for_bulk[row] = bulk[kind] + extra
        for_trim[row] = trim[kind] + extra
    return for_bulk, for_trim
