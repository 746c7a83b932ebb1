"""Safe defaults of charging points brought to what the registry has: lowered at once, raised once there is room.

A charging point that was never sent a default holds what its registration had when it came. Once that is changed, or
its share of a transformer, it holds the value of before until it has accepted another one. Values are lowered at once,
and raised only where the values that all devices below each transformer may still hold, the raised ones included, are
within its limit: so defaults are within it at every instant of a change, whoever is away or refuses.
"""

from typing import NamedTuple

import numpy as np

from vpp.dispatch.commands.outbox import Outbox
from vpp.dispatch.rows.command_columns import CommandColumns
from vpp.domain.resource import STORING, ResourceClass
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.registered_defaults import changed_defaults

_NOTHING_KW = 1e-6
_LOADS = (ResourceClass.EV, ResourceClass.V2G, ResourceClass.HVAC, ResourceClass.INDUSTRY)


class SafeWish(NamedTuple):
    """Default values wanted of some charging points.

    Attributes:
        rows: Rising.
        default_kw: Shape ``(len(rows),)``.
    """

    rows: RowArray
    default_kw: FloatArray


class SafeDefaults:
    """Default values wanted of charging points that hold another one than the registry has.

    Args:
        index: The fleet.
        outbox: Knows what devices hold, and is told what they hold by their registration of before.
    """

    def __init__(self, index: FleetIndex, outbox: Outbox) -> None:
        self._index, self._outbox = index, outbox
        self._told = np.zeros(0, dtype=np.int32)
        self._wish = SafeWish(self._told, np.zeros(0))

    def resize(self, index: FleetIndex) -> None:
        """Take the fleet as it is now; the outbox has taken it."""
        self._outbox.note_defaults(*changed_defaults(self._index, index))
        self._index = index
        self.recall()

    def recall(self) -> None:
        """Take what devices hold from the outbox anew, after a restart or a change."""
        told = ~np.isnan(self._outbox.in_force.default_kw) & self._index.is_class(ResourceClass.EV)
        self._told = np.flatnonzero(told & self._index.in_service).astype(np.int32)

    def look(self) -> RowArray:
        """Return the rows of which another value is wanted in this cycle, rising."""
        rows, commands = self._told, self._outbox.columns
        held_kw, safe_kw = commands.in_force.default_kw[rows], self._index.nameplate.default_kw[rows]
        lowered, raised = held_kw > safe_kw + _NOTHING_KW, held_kw < safe_kw - _NOTHING_KW
        if raised.any():
            raised[raised] = self._fits(commands, rows[raised], safe_kw[raised])
        asked = lowered | raised
        self._wish = SafeWish(rows[asked], safe_kw[asked])
        return self._wish.rows

    def beside(self, rows: RowArray, planned_kw: FloatArray) -> FloatArray:
        """Return the default values wanted of ``rows``, those of a plan among them, shape ``(len(rows),)``.

        Args:
            rows: Rising; those of ``look`` among them.
            planned_kw: By the plan, NaN for no wish, likewise.
        """
        if not len(self._wish.rows):
            return planned_kw
        wanted_kw = planned_kw.copy()
        wanted_kw[np.searchsorted(rows, self._wish.rows)] = self._wish.default_kw
        return wanted_kw

    def _fits(self, commands: CommandColumns, rows: RowArray, raised_kw: FloatArray) -> BoolArray:
        """Return which of ``rows`` may be raised: those whose transformers all have room for all that may be."""
        tree = self._index.feeders
        target_kw = self._target_kw()
        now_kw = self._now_kw(commands, target_kw)
        room_kw = np.maximum(tree.limit_kw, tree.load_kw(target_kw)) - tree.load_kw(now_kw)
        rise_kw = tree.changes_kw(rows, np.maximum(raised_kw - now_kw[rows], 0.0))
        full = tree.with_all_below((rise_kw > _NOTHING_KW) & (rise_kw > room_kw + _NOTHING_KW))
        return ~full[tree.of_row[rows]]

    def _target_kw(self) -> FloatArray:
        """Return what defaults of the registry let every row take, shape ``(n_resources,)``; batteries by shares."""
        plate, index = self._index.nameplate, self._index
        loads_kw = np.where(index.is_class(*_LOADS), np.nan_to_num(plate.default_kw), 0.0)
        battery_kw = np.where(index.is_class(ResourceClass.STORAGE), np.nan_to_num(plate.share_kw), 0.0)
        return np.where(index.in_service, np.maximum(loads_kw, 0.0) + battery_kw, 0.0)

    def _now_kw(self, commands: CommandColumns, target_kw: FloatArray) -> FloatArray:
        """Return what defaults that devices may hold let every row take, shape ``(n_resources,)``."""
        index, held_kw, out = self._index, commands.in_force.default_kw, commands.unanswered
        under_way = (out.id > 0) & (out.layer == Layer.DEFAULT)
        may_kw = np.where(under_way, np.fmax(held_kw, out.power_kw), held_kw)
        cars = index.is_class(ResourceClass.EV) & ~np.isnan(may_kw)
        # What a plan gave a store before its share counts while it is above it.
        stores = index.is_class(*STORING) & ~np.isnan(index.nameplate.share_kw)
        return np.where(cars, may_kw, np.where(stores, np.fmax(may_kw, target_kw), target_kw))
