"""Amendment of a fleet index: members replaced in place, columns of rows that stay as they are shared.

A city of 276,000 rows is checked and indexed in a second; one device of it is changed in a few milliseconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vpp.domain.errors import InputError, UnknownIdError
from vpp.domain.resource import Adapter, Resource
from vpp.domain.telemetry import RowArray
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.member_codec import KIND_OF, KINDS, FleetMember
from vpp.fleet.members.tenure import FormerOwner

Changed = Mapping[str, Mapping[int, FleetMember]]
"""New members by place, by the name of their kind in the index."""

_FIXED = {"resources": ("id", "resource_class", "adapter")}
_SHARED = ("row_of", "class_code", "adapter_code", "_masks", "_rows")
"""What depends on ids, classes and protocols alone, which never change."""
_BLOCK = 4096
_BY_SITE = {"area_code": "areas", "operator_code": "operators", "transformer_code": "transformers"}
_REFERENCE_OF = {"areas": "area_id", "operators": "operator_id", "transformers": "transformer_id"}


def amended(
    index: FleetIndex,
    changed: Changed,
    *,
    withheld: Sequence[int] = (),
    former_owners: tuple[FormerOwner, ...] | None = None,
) -> FleetIndex:
    """Return the fleet with other members in some places.

    Args:
        index: The fleet.
        changed: Each has the id, and a resource the class and protocol, of the one whose place it takes.
        withheld: Rows withheld from now on.
        former_owners: Former owners as they are known from now on; as before where not given.

    Raises:
        InputError: A member has another id, or a resource another class or protocol.
        UnknownIdError: A member refers to an id that is not there.
    """
    _check(index, changed)
    members = {kind.members: _with(getattr(index, kind.members), changed.get(kind.members, {})) for kind in KINDS}
    # Not by the constructor, which checks the whole fleet.
    new = object.__new__(FleetIndex)
    state: dict[str, Any] = {**members, "withheld": tuple(sorted(set(withheld)))}
    state["former_owners"] = index.former_owners if former_owners is None else former_owners
    known = vars(index)
    state |= {name: known[name] for name in _SHARED if name in known}
    if "site_of" in known and not changed.get("sites"):
        state["site_of"] = known["site_of"]
    vars(new).update(state)
    rows = _rows_of(index, changed)
    vars(new).update(_columns(index, new, rows))
    if "feeders" in known and not changed.get("transformers") and new.transformer_code is index.transformer_code:
        vars(new)["feeders"] = known["feeders"]
    for name in known.keys() - vars(new).keys():
        getattr(new, name)  # made here, perhaps in a thread, rather than in the next cycle
    return new


def changed_rows(before: FleetIndex, after: FleetIndex) -> list[int]:
    """Return the rows of ``before`` whose resource is another, or in another state of service, in ``after``."""
    old, new, differ = before.resources, after.resources, list[int]()
    for first in range(0, len(old), _BLOCK):
        if old[first : first + _BLOCK] != new[first : first + _BLOCK]:  # equal where they are the same objects
            both = zip(old[first : first + _BLOCK], new[first : first + _BLOCK], strict=False)
            differ += [row for row, (one, other) in enumerate(both, first) if one is not other and _differ(one, other)]
    return sorted({*differ, *(set(before.withheld) ^ set(after.withheld))})


def _differ(one: Resource, other: Resource) -> bool:
    """Return whether two resources differ; a version stands for what was changed under it."""
    # By their text, which takes long: a NaN that was read twice is not equal to itself.
    return one.version != other.version or repr(one) != repr(other)


class RowChanges(NamedTuple):
    """What another state of the fleet means to one protocol's link.

    Attributes:
        left: Rows whose device is to be dropped, rising.
        joined: Rows whose device is to be served, rising; some of them may have had another one.
        changed: Rows whose device stays at its address with another nameplate, rising.
    """

    left: list[int]
    joined: list[int]
    changed: list[int]


def row_changes(before: FleetIndex, after: FleetIndex, adapter: Adapter) -> RowChanges:
    """Return what has changed for the link of ``adapter``; a retired device is not served."""
    found = RowChanges([], [], [])
    for row in changed_rows(before, after):
        old, new = before.resources[row], after.resources[row]
        if new.adapter is not adapter:
            continue
        if not old.retired and not new.retired and old.address == new.address:
            found.changed.append(row)
            continue
        if not old.retired:
            found.left.append(row)
        if not new.retired:
            found.joined.append(row)
    fresh = enumerate(after.resources[len(before) :], len(before))
    found.joined.extend(row for row, new in fresh if new.adapter is adapter and not new.retired)
    return found


def _with(members: tuple[Any, ...], changed: Mapping[int, Any]) -> tuple[Any, ...]:
    if not changed:
        return members
    whole = list(members)
    for place, member in changed.items():
        whole[place] = member
    return tuple(whole)


def _check(index: FleetIndex, changed: Changed) -> None:
    for kind in KINDS:
        members = changed.get(kind.members)
        if not members:
            continue
        ids = {to: {other.id for other in getattr(index, KIND_OF[to].members)} for _, to in kind.references}
        for place, member in members.items():
            known = getattr(index, kind.members)[place]
            for field in _FIXED.get(kind.members, ("id",)):
                if getattr(known, field) != getattr(member, field):
                    accepted = f"{getattr(known, field)}, which this place has for ever"
                    raise InputError(field, getattr(member, field), accepted)
            for field, to in kind.references:
                given = getattr(member, field)
                if given is not None and given not in ids[to]:
                    raise UnknownIdError(to, given)


def _rows_of(index: FleetIndex, changed: Changed) -> RowArray:
    """Return the rows any column of which may change, rising."""
    rows = np.array(sorted(changed.get("resources", {})), dtype=np.int32)
    sites = np.array(sorted(changed.get("sites", {})), dtype=np.int32)
    moved = np.flatnonzero(np.isin(index.site_code, sites)) if len(sites) else np.empty(0, dtype=np.int64)
    return np.union1d(rows, moved).astype(np.int32)


def _columns(index: FleetIndex, new: FleetIndex, rows: RowArray) -> dict[str, Any]:
    """Return the columns that ``index`` has made so far, as they are in ``new``."""
    known, found = vars(index), {}
    resources = [new.resources[row] for row in rows.tolist()]
    sites = [new.site_of[resource.site_id] for resource in resources]
    if "site_code" in known:
        places = {site.id: i for i, site in enumerate(new.sites)}
        found["site_code"] = _patched(known["site_code"], rows, [places[r.site_id] for r in resources])
    for name, kind in _BY_SITE.items():
        if name in known:
            places = {member.id: i for i, member in enumerate(getattr(new, kind))}
            codes = [places[getattr(site, _REFERENCE_OF[kind])] for site in sites]
            found[name] = _patched(known[name], rows, codes)
    if "nameplate" in known:
        found["nameplate"] = known["nameplate"].amended(new.resources, rows)
    return found


def _patched(column: Any, rows: RowArray, values: Sequence[Any]) -> Any:  # noqa: ANN401 - arrays of any type
    """Return ``column`` with other values in ``rows``, itself where they are the same."""
    given = np.array(values, dtype=column.dtype)
    if np.array_equal(column[rows], given):
        return column
    patched = column.copy()
    patched[rows] = given
    return patched
