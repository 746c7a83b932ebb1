"""Guard: every setpoint inside its device, every transformer inside its cap.

It takes what arbitration agreed on and only narrows. Without any request it still watches the caps: a transformer whose
load comes near its limit gets limiting setpoints for the rows beneath it that may be shed. Kept sessions (opted out,
without a promise, or short of time) are the last to wait where they are raised, and are reduced only where a load would
otherwise stay above the limit itself: a cap comes before a promise, the margin under it does not (ADR 41).
"""

from dataclasses import dataclass

import numpy as np

from numerics.jit import njit
from numerics.views import read_only
from optimizer.allocate import merit_order
from vpp.dispatch.arbitration.session_slack import greatest_kw_of, is_hurried, slack_of
from vpp.dispatch.settings import CapMargins
from vpp.dispatch.views import EV, STORAGE, V2G, Devices, Meters, devices_of, meters_of
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, IdArray, RowArray
from vpp.fleet.feeders import FeederTree
from vpp.fleet.fleet_state import FleetState

_NOTHING_KW = 1e-9
_LEVEL_COST = 0.25
"""Part of a step of the merit order by which a kept session at its greatest power is raised after one at none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """Setpoints that are safe; load positive.

    Attributes:
        power_kw: Setpoint of every row, NaN where none is needed, shape ``(n_resources,)``.
        capped: Rows that a transformer's cap changed, shape ``(n_resources,)``.
        expected_kw: Power every row is then expected to take, shape ``(n_resources,)``.
        load_kw: Expected net load of every transformer, the most it may be, shape ``(n_transformers,)``.
        least_load_kw: And the least.
    """

    power_kw: FloatArray
    capped: BoolArray
    expected_kw: FloatArray
    load_kw: FloatArray
    least_load_kw: FloatArray


def guard(
    state: FleetState,
    tree: FeederTree,
    *,
    wanted_kw: FloatArray,
    now_kw: FloatArray,
    kept: BoolArray,
    fixed: BoolArray,
    order: FloatArray,
    caps: CapMargins,
    least_kw: FloatArray | None = None,
) -> Guarded:
    """Return the setpoints that are safe.

    Args:
        state: The snapshot.
        tree: Transformers above its rows.
        wanted_kw: Setpoint every row would get, NaN where it stays uncommanded, shape ``(n_resources,)``.
        now_kw: Power every row takes without a change, shape ``(n_resources,)``; the most it may, where that is not
            known.
        least_kw: The least it may take then, likewise; ``now_kw`` where nothing is in doubt.
        kept: Sessions that must not be reduced for anything but a limit that nothing else can keep.
        fixed: Rows that no command can reach.
        order: Merit of being cut, lowest first.
        caps: How near to a limit is aimed.
    """
    power = clamp(state, wanted_kw, kept)
    expected = _expected(read_only(power), read_only(now_kw))
    load = tree.load_kw(expected)
    lowest = expected if least_kw is None else _expected(read_only(power), read_only(least_kw))
    least_load = load if least_kw is None else tree.load_kw(lowest)
    if not len(above_caps(tree, load, caps, least_load)):
        return Guarded(
            power_kw=power,
            capped=np.zeros(len(power), np.bool_),
            expected_kw=expected,
            load_kw=load,
            least_load_kw=least_load,
        )
    before = power.copy()
    work = _Work(
        state,
        tree,
        power_kw=power,
        expected_kw=(expected, lowest.copy()),
        load_kw=(load, least_load),
        now_kw=now_kw,
        kept=kept,
        fixed=fixed,
        order=order,
        caps=caps,
    )
    # Cutting lowers loads and so breaks no import cap; feeding in less can, hence the third round.
    work.hold_imports()
    work.hold_exports()
    work.hold_imports()
    changed = ~((power == before) | (np.isnan(power) & np.isnan(before)))
    return Guarded(
        power_kw=power,
        capped=changed,
        expected_kw=expected,
        load_kw=work.load_kw,
        least_load_kw=work.least_load_kw,
    )


def above_caps(
    tree: FeederTree, load_kw: FloatArray, caps: CapMargins, least_load_kw: FloatArray | None = None
) -> IdArray:
    """Return the transformers that may be above what is aimed at under their caps.

    Args:
        tree: The transformers.
        load_kw: Their net load, the most it may be, shape ``(n_transformers,)``.
        caps: How near to a limit is aimed.
        least_load_kw: The least it may be; ``load_kw`` where nothing is in doubt.
    """
    imports, exports = tree.limit_kw * caps.aim_ratio, tree.export_limit_kw * caps.aim_ratio
    least = load_kw if least_load_kw is None else least_load_kw
    return np.flatnonzero((load_kw > imports + _NOTHING_KW) | (-least > exports + _NOTHING_KW))


def clamp(state: FleetState, wanted_kw: FloatArray, kept: BoolArray) -> FloatArray:
    """Return ``clamp_rows`` of every row, shape ``(n_resources,)``."""
    everyone = np.arange(len(wanted_kw), dtype=np.int32)
    return clamp_rows(state, everyone, wanted_kw, kept)


def clamp_rows(state: FleetState, rows: RowArray, wanted_kw: FloatArray, kept: BoolArray) -> FloatArray:
    """Return setpoints inside each device: its range now, its floor, its limits of charge; load positive.

    Shape ``(len(rows),)``.

    A charger never gets more than its default, and between nothing and its floor it gets the floor, or nothing where
    the floor is out of reach. A kept session is given its default; only a cap, applied after this, takes from it.
    """
    return _clamped(
        devices_of(state.index),
        meters_of(state),
        read_only(rows),
        read_only(wanted_kw),
        read_only(kept),
    )


@njit()
def _clamped(devices: Devices, meters: Meters, rows: RowArray, wanted_kw: FloatArray, kept: BoolArray) -> FloatArray:
    kind, p_min, p_max, floor_kw = devices.kind, devices.p_min_kw, devices.p_max_kw, devices.floor_kw
    default, low_kw, high_kw, soc = devices.default_kw, meters.low_kw, meters.high_kw, meters.soc
    power_kw = np.full(len(wanted_kw), np.nan)
    for place in range(len(rows)):
        if np.isnan(wanted_kw[place]):
            continue
        row = rows[place]
        if kind[row] == EV:
            # The range a charger states follows its own limit; only nameplate and default bound a ceiling.
            low = max(p_min[row], 0.0)
            high = p_max[row] if np.isnan(default[row]) else min(p_max[row], default[row])
        else:
            low, high = _range_kw(p_min[row], p_max[row], low_kw[row], high_kw[row])
            if kind[row] in (STORAGE, V2G):
                low, high = _charge_range_kw(low, high, soc[row], devices.soc_floor[row], devices.soc_ceiling[row])
        power = min(max(wanted_kw[place], low), high)
        if 0.0 < power < floor_kw[row]:
            power = floor_kw[row] if floor_kw[row] <= high else 0.0
        power_kw[place] = high if kept[place] and kind[row] == EV else power
    return power_kw


@njit()
def _range_kw(least: float, most: float, low: float, high: float) -> tuple[float, float]:
    """Return the nameplate's range, narrowed to the range the device states."""
    low = least if np.isnan(low) else max(least, min(low, most))
    high = most if np.isnan(high) else min(most, max(high, least))
    return min(low, high), high


@njit()
def _charge_range_kw(low: float, high: float, soc: float, floor: float, ceiling: float) -> tuple[float, float]:
    """Return the range of a store: one at its floor may not discharge, one at its ceiling may not charge."""
    if soc <= floor:
        low = max(low, min(high, 0.0))
    if soc >= ceiling:
        high = min(high, max(low, 0.0))
    return low, high


@njit()
def _expected(power_kw: FloatArray, now_kw: FloatArray) -> FloatArray:
    """Return every row's expected power: its setpoint where it has one, else its power now."""
    expected = np.empty(len(power_kw))
    for row in range(len(power_kw)):
        expected[row] = now_kw[row] if np.isnan(power_kw[row]) else power_kw[row]
    return expected


class _Work:
    """Setpoints while caps are applied, node by node; powers change in place.

    Expected powers and loads come in pairs: the most, which counts against import, and the least, against export.
    """

    def __init__(
        self,
        state: FleetState,
        tree: FeederTree,
        *,
        power_kw: FloatArray,
        expected_kw: tuple[FloatArray, FloatArray],
        load_kw: tuple[FloatArray, FloatArray],
        now_kw: FloatArray,
        kept: BoolArray,
        fixed: BoolArray,
        order: FloatArray,
        caps: CapMargins,
    ) -> None:
        self.power_kw = power_kw
        self.load_kw, self.least_load_kw = load_kw
        self._state, self._tree, self._kept, self._fixed, self._order = state, tree, kept, fixed, order
        self._now_kw = now_kw
        self._expected_kw, self._lowest_kw = expected_kw
        self._limit_kw, self._import_kw = tree.limit_kw, tree.limit_kw * caps.aim_ratio
        self._margin_kw = tree.limit_kw * max(caps.promise_ratio - caps.aim_ratio, 0.0)
        self._promise_kw = np.minimum(self._import_kw + self._margin_kw, tree.limit_kw)
        self._export_kw = tree.export_limit_kw * caps.aim_ratio
        self._building = state.index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
        self._feeding_in = state.index.is_class(ResourceClass.STORAGE, ResourceClass.V2G, ResourceClass.PV)

    def hold_imports(self) -> None:
        """Bring every node's load under its cap, children first; no cut lifts another node above its own."""
        for node in self._tree.upwards(self.load_kw > self._import_kw + _NOTHING_KW):
            if self.load_kw[node] > self._import_kw[node] + _NOTHING_KW:
                self._hold_import(node)

    def hold_exports(self) -> None:
        """Bring every node's export under its cap, children first; none of it makes another node export more."""
        for node in self._tree.upwards(-self.least_load_kw > self._export_kw + _NOTHING_KW):
            if -self.least_load_kw[node] > self._export_kw[node] + _NOTHING_KW:
                self._hold_export(node)

    def _hold_import(self, node: int) -> None:
        """Take back raises, cut to floors, pause; then take back raises of kept sessions, and last cut those."""
        over_kw = self.load_kw[node] - self._import_kw[node]
        rows = self._tree.rows_under(node)
        kept, fixed, now = self._kept[rows], self._fixed[rows], self._now_kw[rows]
        floor_kw = self._state.index.nameplate.floor_kw[rows]
        pausing = floor_kw > 0.0
        commanded = ~np.isnan(self.power_kw[rows])
        resting = np.where(pausing & (now > _NOTHING_KW), np.maximum(now, floor_kw), now)
        for chosen, least, whole in (
            (commanded & ~kept, resting, False),
            (~kept & ~fixed, np.minimum(self._least_kw(rows, pausing), np.maximum(now, 0.0)), False),
            (~kept & ~fixed & pausing, np.zeros(len(rows)), True),
        ):
            over_kw -= self._cut(rows, chosen, least, over_kw, whole=whole)
            if over_kw <= _NOTHING_KW:
                return
        # A session short of slack takes the place of those that can wait, and part of the margin under the limit; it is
        # cut only where no other can keep the cap.
        raised = commanded & kept
        order = self._order[rows] + np.where(raised, -_LEVEL_COST * self._used_ratio(rows), 0.0)
        self._cut(rows, raised, resting, over_kw - self._margin_kw[node], whole=False, order=order)
        self._break_promises(node, rows, kept & ~fixed)

    def _break_promises(self, node: int, rows: RowArray, kept: BoolArray) -> None:
        """Cut kept sessions, if the load is still above the limit itself; drivers short of time come last.

        They are trimmed side by side down to the load that promises may bring it to, so that the next small rise of the
        base load cuts nobody again, but none below its floor, whatever little it takes now: that would pause it. They
        are paused one by one, and only for what is above the limit.
        """
        if self._above_kw(node) <= _NOTHING_KW:
            return
        slack_s = slack_of(self._state, rows)
        hurried = is_hurried(self._state, rows, slack_s)
        pausing = self._state.index.nameplate.floor_kw[rows] > 0.0
        least_kw = self._least_kw(rows, pausing)
        for chosen in (kept & ~hurried, kept & hurried):
            if self._above_kw(node) <= _NOTHING_KW:
                return
            self._trim(rows, chosen, least_kw, float(self.load_kw[node] - self._promise_kw[node]))
            self._cut(rows, chosen & pausing, np.zeros(len(rows)), self._above_kw(node), whole=True, order=-slack_s)

    def _above_kw(self, node: int) -> float:
        """Return by how much a node's load is above its limit itself, negative where it is below."""
        return float(self.load_kw[node] - self._limit_kw[node])

    def _used_ratio(self, rows: RowArray) -> FloatArray:
        """Return the share of its greatest power that each row takes now, 0 to 1."""
        greatest_kw = np.maximum(greatest_kw_of(self._state, rows), _NOTHING_KW)
        return np.clip(np.nan_to_num(self._now_kw[rows]) / greatest_kw, 0.0, 1.0)

    def _least_kw(self, rows: RowArray, pausing: BoolArray) -> FloatArray:
        """Return the least power each row can be cut to without being stopped."""
        index = self._state.index
        device = np.fmax(index.nameplate.p_min_kw[rows], self._state.available_min_kw[rows])
        least = np.where(self._building[rows], device, 0.0)
        return np.where(pausing, index.nameplate.floor_kw[rows], np.maximum(least, 0.0))

    def _hold_export(self, node: int) -> None:
        """Lower discharge and infeed."""
        over_kw = -self.least_load_kw[node] - self._export_kw[node]
        rows = self._tree.rows_under(node)
        expected = self._lowest_kw[rows]
        available = np.where(self._feeding_in[rows] & ~self._fixed[rows], np.maximum(-expected, 0.0), 0.0)
        share = merit_order(over_kw, available, -self._order[rows])
        moved = share > 0.0
        self._move(rows[moved], (expected + share)[moved])

    def _cut(
        self,
        rows: RowArray,
        chosen: BoolArray,
        least_kw: FloatArray,
        over_kw: float,
        *,
        whole: bool,
        order: FloatArray | None = None,
    ) -> float:
        """Cut ``chosen`` towards ``least_kw``, in ``order`` if given; return by how much the load fell."""
        if over_kw <= _NOTHING_KW:
            return 0.0
        available = np.where(chosen, np.maximum(self._expected_kw[rows] - least_kw, 0.0), 0.0)
        share = merit_order(over_kw, available, self._order[rows] if order is None else order)
        return self._lower(rows, share, least_kw, whole=whole)

    def _trim(self, rows: RowArray, chosen: BoolArray, least_kw: FloatArray, over_kw: float) -> None:
        """Cut ``chosen`` side by side: each by the same share of what it takes above ``least_kw``."""
        available = np.where(chosen, np.maximum(self._expected_kw[rows] - least_kw, 0.0), 0.0)
        total_kw = float(available.sum())
        if over_kw > _NOTHING_KW and total_kw > _NOTHING_KW:
            self._lower(rows, available * min(over_kw / total_kw, 1.0), least_kw, whole=False)

    def _lower(self, rows: RowArray, share: FloatArray, least_kw: FloatArray, *, whole: bool) -> float:
        """Lower rows by their share, or to ``least_kw`` where ``whole``; return by how much the load fell."""
        expected, floor_kw = self._expected_kw[rows], self._state.index.nameplate.floor_kw[rows]
        moved = share > 0.0
        # Rounding must not bring a row below its floor by a hair, for what is below its floor is stopped.
        power = np.where(whole & moved, least_kw, np.maximum(expected - share, np.minimum(least_kw, expected)))
        low = (floor_kw > 0.0) & (power < floor_kw) & (power > 0.0)
        power = np.where(low, 0.0, power)
        self._move(rows[moved], power[moved])
        return float((expected - power)[moved].sum())

    def _move(self, rows: RowArray, power_kw: FloatArray) -> None:
        self.load_kw = self.load_kw + self._tree.changes_kw(rows, power_kw - self._expected_kw[rows])
        self.least_load_kw = self.least_load_kw + self._tree.changes_kw(rows, power_kw - self._lowest_kw[rows])
        self.power_kw[rows] = self._expected_kw[rows] = self._lowest_kw[rows] = power_kw
