"""Default values that charging points hold by their registration of before a change of the fleet."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vpp.domain.resource import Resource, ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.member_codec import member_of

_RATINGS = ("default_kw", "p_max_kw", "share_kw")
"""Fields that a safe default depends on."""


def changed_defaults(before: FleetIndex, after: FleetIndex) -> tuple[RowArray, FloatArray]:
    """Return the charging points that stay where they are with another safe default, and the one of before, kW."""
    old_kw, count = before.nameplate.default_kw, len(before)
    differ = (old_kw != after.nameplate.default_kw[:count]) & before.is_class(ResourceClass.EV)
    rows = [row for row in np.flatnonzero(differ).tolist() if _stays(before.resources[row], after.resources[row])]
    return np.array(rows, dtype=np.int32), old_kw[rows]


def defaults_before(body: Mapping[str, Any]) -> tuple[RowArray, FloatArray]:
    """Return the same by the body of an entry ``fleet.changed``."""
    rows, old_kw = list[int](), list[float]()
    for change in body["changes"]:
        if change["kind"] != "resource" or change["old"] is None or not _may_differ(change["old"], change["new"]):
            continue
        old, new = member_of("resource", change["old"]), member_of("resource", change["new"])
        if isinstance(old, Resource) and isinstance(new, Resource) and old.safe_kw != new.safe_kw and _stays(old, new):
            rows.append(int(change["position"]))
            old_kw.append(old.safe_kw)
    return np.array(rows, dtype=np.int32), np.array(old_kw, dtype=np.float64)


def _may_differ(old: Any, new: Any) -> bool:  # noqa: ANN401 - bodies of a JSON-like entry
    return old["resource_class"] == ResourceClass.EV and any(old.get(name) != new.get(name) for name in _RATINGS)


def _stays(old: Resource, new: Resource) -> bool:
    return old.address == new.address and not new.retired
