"""Safe shares: what each device may take by default below a transformer that a change of the fleet has made too small.

Safe defaults stand as their owner states them, and as many as he registers with a transformer. A change afterwards must
not let the defaults below a node add up to more than its limit: where they would, charging points get a share of what
the limit leaves, and batteries what is left by those. A node whose defaults already exceed its limit, because its owner
counts on few cars at a time, keeps that ratio. Shares are lifted by the change that makes room again.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vpp.domain.resource import CHARGING, Resource, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, RowArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import FleetChange, MemberChange

_ROUNDED = 100.0
"""Shares are whole hundredths of a kW."""
_NOTHING = 1e-6
_LOADS = (*CHARGING, ResourceClass.HVAC, ResourceClass.INDUSTRY)


def shared(index: FleetIndex, change: FleetChange) -> tuple[FleetChange, FleetIndex]:
    """Return a change with the shares that follow from it, and the fleet after it.

    Args:
        index: The fleet before the change.
        change: What was asked.
    """
    after = change.applied(index)
    if not change.members:
        return change, after
    given_kw, known_kw = safe_shares(index, after), after.nameplate.share_kw
    rows = np.flatnonzero(~((given_kw == known_kw) | (np.isnan(given_kw) & np.isnan(known_kw))))
    if not len(rows):
        return change, after
    whole = replace(change, members=_with_shares(index, change, rows.tolist(), given_kw[rows].tolist()))
    return whole, whole.applied(index)


def safe_shares(before: FleetIndex, after: FleetIndex) -> FloatArray:
    """Return the share of every row after a change, kW, NaN for none, shape ``(len(after),)``.

    Args:
        before: The fleet before the change, its shares included.
        after: The fleet after it; shares in it are not looked at, but for those of rows that are retired.
    """
    share_kw, live = after.nameplate.share_kw.copy(), _live(after)
    share_kw[live] = np.nan
    if not len(before.transformers):
        return share_kw
    stations, batteries = after.is_class(*CHARGING) & live, after.is_class(ResourceClass.STORAGE) & live
    stated, stood = _Defaults.stated(after, live), _Defaults.in_force(before, _live(before))
    loads_kw = _fitted(after, stated.loads_kw, stations, _allowed_kw(before, after, stood.loads_kw))
    share_kw[stations] = np.where(loads_kw < stated.loads_kw - _NOTHING, loads_kw, np.nan)[stations]
    whole_kw = _fitted(
        after, loads_kw + stated.storing_kw, batteries, _allowed_kw(before, after, stood.loads_kw + stood.storing_kw)
    )
    share_kw[batteries] = np.where(whole_kw < stated.storing_kw - _NOTHING, whole_kw, np.nan)[batteries]
    return share_kw


class _Defaults(NamedTuple):
    """Most that defaults let every row take, shape ``(n_resources,)`` each: loads by theirs, batteries by any plan."""

    loads_kw: FloatArray
    storing_kw: FloatArray

    @classmethod
    def stated(cls, index: FleetIndex, live: BoolArray) -> "_Defaults":
        """Return defaults without shares."""
        return cls._of(index, live, index.nameplate.own_default_kw, index.nameplate.p_max_kw)

    @classmethod
    def in_force(cls, index: FleetIndex, live: BoolArray) -> "_Defaults":
        """Return defaults within their shares."""
        plate = index.nameplate
        return cls._of(index, live, plate.default_kw, np.fmin(plate.p_max_kw, plate.share_kw))

    @classmethod
    def _of(cls, index: FleetIndex, live: BoolArray, loads_kw: FloatArray, storing_kw: FloatArray) -> "_Defaults":
        loads, batteries = index.is_class(*_LOADS) & live, index.is_class(ResourceClass.STORAGE) & live
        return cls(
            np.where(loads, np.maximum(loads_kw, 0.0), 0.0), np.where(batteries, np.maximum(storing_kw, 0.0), 0.0)
        )


def _live(index: FleetIndex) -> BoolArray:
    """Return the rows that are not retired; one whose former device is still to leave is there."""
    live = index.in_service.copy()
    withheld = list(index.withheld)
    live[withheld] = [not index.resources[row].retired for row in withheld]
    return live


def _allowed_kw(before: FleetIndex, after: FleetIndex, stood_kw: FloatArray) -> FloatArray:
    """Return what defaults may add up to at every transformer after a change, shape ``(n_transformers,)``.

    Its limit, or more in the ratio in which they exceeded it before; a transformer that has just joined is as its owner
    registers it.
    """
    tree, limit_kw = before.feeders, after.feeders.limit_kw
    ratio = np.full(len(limit_kw), np.inf)
    ratio[: len(tree)] = np.maximum(tree.load_kw(stood_kw) / tree.limit_kw, 1.0)
    allowed_kw: FloatArray = limit_kw * ratio + _NOTHING
    return allowed_kw


def _fitted(index: FleetIndex, power_kw: FloatArray, movable: BoolArray, allowed_kw: FloatArray) -> FloatArray:
    """Return powers with those of ``movable`` lowered until no transformer is above what it is allowed, if they can."""
    tree, floor_kw = index.feeders, index.nameplate.floor_kw
    fitted_kw, load_kw = power_kw.copy(), tree.load_kw(power_kw)
    for node in tree.upwards(load_kw > allowed_kw):  # children first; no cut lifts another node's load
        over_kw = load_kw[node] - allowed_kw[node]
        rows = tree.rows_under(node)
        rows = rows[movable[rows]]
        if over_kw <= 0.0 or not len(rows):
            continue
        room_kw = max(float(fitted_kw[rows].sum() - over_kw), 0.0)
        cut_kw = _portions(fitted_kw[rows], floor_kw[rows], room_kw)
        load_kw = load_kw + tree.changes_kw(rows, cut_kw - fitted_kw[rows])
        fitted_kw[rows] = cut_kw
    return fitted_kw


def _portions(power_kw: FloatArray, floor_kw: FloatArray, room_kw: float) -> FloatArray:
    """Return powers that add up to ``room_kw`` at most: as many devices as can be stay at their floors at least.

    What room is left above the floors goes to each in the ratio of what it had above its own.
    """
    least_kw = np.minimum(floor_kw, power_kw)
    order: RowArray = np.argsort(least_kw, kind="stable").astype(np.int32)
    kept = np.zeros(len(power_kw), dtype=np.bool_)
    kept[order[np.cumsum(least_kw[order]) <= room_kw + _NOTHING]] = True
    above_kw = np.where(kept, power_kw - least_kw, 0.0)
    left_kw, wanted_kw = room_kw - float(least_kw[kept].sum()), float(above_kw.sum())
    ratio = min(max(left_kw / wanted_kw, 0.0), 1.0) if wanted_kw > 0.0 else 0.0
    exact_kw = np.where(kept, np.minimum(least_kw + ratio * above_kw, power_kw), 0.0)
    return _rounded(exact_kw, np.where(kept, least_kw, 0.0), power_kw, room_kw)


def _rounded(exact_kw: FloatArray, least_kw: FloatArray, most_kw: FloatArray, room_kw: float) -> FloatArray:
    """Return powers in hundredths of a kW, of which those with the largest remainders are rounded up to fill the room.

    Were all rounded down, the sum that an exceeded limit is measured by would fall with every change of the fleet.
    """
    given_kw = np.maximum(np.floor(exact_kw * _ROUNDED + _NOTHING) / _ROUNDED, least_kw)
    rest_kw, above_kw = exact_kw - given_kw, np.minimum(np.ceil(exact_kw * _ROUNDED) / _ROUNDED, most_kw)
    order = np.argsort(-rest_kw, kind="stable")
    order = order[rest_kw[order] > _NOTHING]
    filled_kw = float(given_kw.sum()) + np.cumsum(above_kw[order] - given_kw[order])
    raised = order[filled_kw <= room_kw]
    given_kw[raised] = above_kw[raised]
    return given_kw


def _with_shares(
    index: FleetIndex, change: FleetChange, rows: list[int], share_kw: list[float]
) -> tuple[MemberChange, ...]:
    """Return the changes of the members, with shares in those of ``rows`` and further ones where there were none."""
    asked = {one.position: one for one in change.members if one.kind == "resource"}
    for row, kw in zip(rows, share_kw, strict=True):
        one = asked.get(row)
        if one is None:
            old = index.resources[row]
            new = replace(old, share_kw=kw, version=old.version + 1)
            asked[row] = MemberChange(kind="resource", position=row, old=old, new=new)
        elif isinstance(one.new, Resource):
            asked[row] = replace(one, new=replace(one.new, share_kw=kw))
    others = tuple(one for one in change.members if one.kind != "resource")
    return (*others, *(asked[row] for row in sorted(asked)))
