"""The last word: every setpoint inside its device, every transformer inside its cap.

It takes what all others agreed on and only narrows. Without any request it still watches the caps: a transformer whose
load comes near its limit gets limiting setpoints for the rows beneath it that may be shed. Sessions that are urgent or
opted out are never reduced; being raised, they are the last to wait.
"""

from dataclasses import dataclass

import numpy as np

from optimizer.allocate import merit_order
from vpp.dispatch.feeders import FeederTree
from vpp.dispatch.kinds import of_class
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.fleet import FleetState
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray

_NOTHING_KW = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What may be sent; load positive.

    Attributes:
        power_kw: Setpoint of every row, NaN where none is needed, shape ``(n_resources,)``.
        capped: Rows that a transformer's cap changed, shape ``(n_resources,)``.
        expected_kw: Power every row is then expected to take, shape ``(n_resources,)``.
        load_kw: Expected net load of every transformer, shape ``(n_transformers,)``.
    """

    power_kw: FloatArray
    capped: BoolArray
    expected_kw: FloatArray
    load_kw: FloatArray


def guard(
    state: FleetState,
    tree: FeederTree,
    *,
    wanted_kw: FloatArray,
    now_kw: FloatArray,
    kept: BoolArray,
    fixed: BoolArray,
    order: FloatArray,
    settings: DispatchSettings,
) -> Guarded:
    """Return the setpoints that are safe.

    Args:
        state: The snapshot.
        tree: Transformers above its rows.
        wanted_kw: Setpoint every row would get, NaN where it stays uncommanded, shape ``(n_resources,)``.
        now_kw: Power every row takes without a change, shape ``(n_resources,)``.
        kept: Sessions that must not be reduced.
        fixed: Rows that no command reaches.
        order: Who is cut first, lowest first.
        settings: How near to a limit is near enough.
    """
    work = _Work(
        state,
        tree,
        power_kw=clamp(state, wanted_kw, kept, settings),
        now_kw=now_kw,
        kept=kept,
        fixed=fixed,
        order=order,
        settings=settings,
    )
    before = work.power_kw.copy()
    for node in tree.children_first:
        work.hold_import(node)
    for node in tree.children_first:
        work.hold_export(node)
    for node in tree.children_first:
        work.hold_import(node)
    changed = ~((work.power_kw == before) | (np.isnan(work.power_kw) & np.isnan(before)))
    return Guarded(
        power_kw=work.power_kw,
        capped=changed,
        expected_kw=work.expected_kw(),
        load_kw=tree.loads_kw(work.expected_kw()),
    )


def clamp(state: FleetState, wanted_kw: FloatArray, kept: BoolArray, settings: DispatchSettings) -> FloatArray:
    """Return setpoints inside each device: its range now, its floor, its charge; ``(n_resources,)``, load positive.

    A charger never gets more than its default, and between nothing and its floor it gets the floor, or nothing where
    the floor is out of reach. A kept session never gets less than its default.
    """
    index = state.index
    low = np.fmax(index.p_min_kw, np.fmin(state.available_min_kw, index.p_max_kw))
    high = np.fmin(index.p_max_kw, np.fmax(state.available_max_kw, index.p_min_kw))
    charger = of_class(index, ResourceClass.EV)
    # What a charger says it can take follows its own limit; only nameplate and default bound a ceiling.
    high = np.where(charger, np.fmin(index.p_max_kw, index.default_kw), high)
    low = np.where(charger, np.maximum(index.p_min_kw, 0.0), np.minimum(low, high))
    store = of_class(index, ResourceClass.STORAGE, ResourceClass.V2G)
    low = np.where(store & (state.soc <= settings.soc_min), np.maximum(low, np.minimum(high, 0.0)), low)
    high = np.where(store & (state.soc >= settings.soc_max), np.minimum(high, np.maximum(low, 0.0)), high)
    power = np.clip(wanted_kw, low, high)
    stepped = index.floor_kw > 0.0
    under = stepped & (power > 0.0) & (power < index.floor_kw)
    power = np.where(under, np.where(index.floor_kw <= high, index.floor_kw, 0.0), power)
    return np.where(kept & charger & ~np.isnan(power), high, power)


class _Work:
    """Setpoints while the caps are being applied, node by node."""

    def __init__(
        self,
        state: FleetState,
        tree: FeederTree,
        *,
        power_kw: FloatArray,
        now_kw: FloatArray,
        kept: BoolArray,
        fixed: BoolArray,
        order: FloatArray,
        settings: DispatchSettings,
    ) -> None:
        self.power_kw = power_kw
        self._tree, self._kept, self._fixed, self._order = tree, kept, fixed, order
        self._now_kw = now_kw
        self._import_kw = tree.limit_kw * settings.cap_ratio
        self._export_kw = tree.export_kw * settings.cap_ratio
        index = state.index
        self._floor_kw = index.floor_kw
        self._pausing = index.floor_kw > 0.0
        building = of_class(index, ResourceClass.HVAC, ResourceClass.INDUSTRY)
        least = np.where(building, np.fmax(index.p_min_kw, state.available_min_kw), 0.0)
        self._least_kw = np.where(self._pausing, self._floor_kw, np.maximum(least, 0.0))
        giving = of_class(index, ResourceClass.STORAGE, ResourceClass.V2G, ResourceClass.PV)
        self._export_row = giving & ~fixed
        self._load_kw = tree.loads_kw(self.expected_kw())

    def expected_kw(self) -> FloatArray:
        """Return what every row takes: its setpoint where it gets one, else what it takes now."""
        return np.where(np.isnan(self.power_kw), self._now_kw, self.power_kw)

    def hold_import(self, node: int) -> None:
        """Bring a node's load under its cap: take back raises, then cut to floors, then pause."""
        over_kw = self._load_kw[node] - self._import_kw[node]
        if over_kw <= _NOTHING_KW:
            return
        rows = self._tree.rows_under(node)
        kept, fixed = self._kept[rows], self._fixed[rows]
        now = self._now_kw[rows]
        commanded = ~np.isnan(self.power_kw[rows])
        resting = np.where(self._pausing[rows] & (now > _NOTHING_KW), np.maximum(now, self._floor_kw[rows]), now)
        for chosen, least, whole in (
            (commanded & ~kept, resting, False),
            (commanded & kept, resting, False),
            (~kept & ~fixed, np.minimum(self._least_kw[rows], np.maximum(now, 0.0)), False),
            (~kept & ~fixed & self._pausing[rows], np.zeros(len(rows)), True),
        ):
            over_kw -= self._cut(rows, chosen, least, over_kw, whole=whole)
            if over_kw <= _NOTHING_KW:
                break
        self._load_kw = self._tree.loads_kw(self.expected_kw())

    def hold_export(self, node: int) -> None:
        """Bring a node's export under its cap: discharge less, feed in less."""
        over_kw = -self._load_kw[node] - self._export_kw[node]
        if over_kw <= _NOTHING_KW:
            return
        rows = self._tree.rows_under(node)
        expected = self.expected_kw()[rows]
        room = np.where(self._export_row[rows], np.maximum(-expected, 0.0), 0.0)
        share = merit_order(over_kw, room, -self._order[rows])
        moved = share > 0.0
        self.power_kw[rows[moved]] = (expected + share)[moved]
        self._load_kw = self._tree.loads_kw(self.expected_kw())

    def _cut(self, rows: RowArray, chosen: BoolArray, least_kw: FloatArray, over_kw: float, *, whole: bool) -> float:
        """Cut ``chosen`` towards ``least_kw`` in order; return by how much the load fell."""
        if over_kw <= _NOTHING_KW:
            return 0.0
        expected = self.expected_kw()[rows]
        room = np.where(chosen, np.maximum(expected - least_kw, 0.0), 0.0)
        share = merit_order(over_kw, room, self._order[rows])
        moved = share > 0.0
        power = np.where(whole & moved, least_kw, expected - share)
        low = self._pausing[rows] & (power < self._floor_kw[rows]) & (power > 0.0)
        power = np.where(low, 0.0, power)
        self.power_kw[rows[moved]] = power[moved]
        return float((expected - power)[moved].sum())
