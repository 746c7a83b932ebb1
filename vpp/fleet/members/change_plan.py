"""Changes of the fleet planned and checked as a whole: what an addition, a put or a retirement does to all members."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vpp.domain.errors import ConflictError, InputError, UnknownIdError, VersionError
from vpp.domain.resource import Resource
from vpp.domain.site import Member, Transformer
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.changes import FleetChange, MemberChange, joining
from vpp.fleet.members.member_codec import KIND_OF, FleetMember, kind_of, same

_USERS = {
    "area": (("transformer", "area_id"), ("site", "area_id")),
    "transformer": (("transformer", "parent_id"), ("site", "transformer_id")),
}
"""Members that keep another one from being retired: their kind, and their field that names it."""
_PARTS = {"operator": ("site", "operator_id"), "site": ("resource", "site_id")}
"""Members that are retired with another one."""
_FIXED = ("resource_class", "adapter")
_NEVER_AGAIN = "an id that was never given: this one belongs to a member that is retired, and ids are never used again"


def find(index: FleetIndex, kind: str, identity: str) -> tuple[int, FleetMember]:
    """Return place and member of an id, retired or not; raises UnknownIdError."""
    members: Sequence[Any] = getattr(index, KIND_OF[kind].members)
    if kind == "resource":
        row = index.row_of.get(identity)
        if row is not None:
            return row, members[row]
    else:
        for place, member in enumerate(members):
            if member.id == identity:
                return place, member
    raise UnknownIdError(kind, identity)


def version_of(index: FleetIndex, kind: str, identity: str) -> int | None:
    """Return the version of a member, ``None`` where there is none."""
    try:
        return find(index, kind, identity)[1].version
    except UnknownIdError:
        return None


def check_version(index: FleetIndex, kind: str, identity: str, version: int | None) -> None:
    """Raise VersionError where another version of a member stands than ``version``: 0 for none, ``None`` for any."""
    known = version_of(index, kind, identity) or 0
    if version is not None and known != version:
        raise VersionError(f"{kind} {identity} stands at version {known}, not {version}; read it again")


def join(index: FleetIndex, asked: Mapping[str, Sequence[FleetMember]], *, at_s: float, actor: str) -> FleetChange:
    """Return the change by which members join, by the name of their kind in the index; without those there already.

    Raises:
        InputError: An id is retired, or stands for something else, or a reference is retired.
    """
    added = {name: _added(name, getattr(index, name), members, at_s) for name, members in asked.items()}
    _check_joining(index, [member for members in added.values() for member in members])
    return FleetChange(at_s=at_s, actor=actor, members=tuple(joining(index, added)))


def put(index: FleetIndex, member: FleetMember, *, at_s: float, actor: str) -> FleetChange:
    """Return the change that makes ``member`` stand as stated: it joins, or takes the place of its version before.

    Without members where it stands so already.

    Raises:
        InputError: The id is retired, a reference is unknown or retired, or a field cannot be changed.
    """
    kind = kind_of(member)
    try:
        place, known = find(index, kind.name, member.id)
    except UnknownIdError:
        _check_references(index, member)
        joined = joining(index, {kind.members: [replace(member, valid_from_s=at_s, version=1)]})
        return FleetChange(at_s=at_s, actor=actor, members=tuple(joined))
    if known.retired:
        raise InputError("id", member.id, _NEVER_AGAIN)
    if same(known, member):
        return FleetChange(at_s=at_s, actor=actor, members=())
    _check_fixed(known, member)
    _check_references(index, member)
    if isinstance(member, Transformer):
        _check_tree(index, member)
    new = replace(member, valid_from_s=known.valid_from_s, version=known.version + 1)
    if isinstance(known, Resource) and isinstance(new, Resource):
        new = replace(new, share_kw=known.share_kw)
    change = MemberChange(kind=kind.name, position=place, old=known, new=new)
    moved = isinstance(known, Resource) and isinstance(new, Resource) and known.address != new.address
    leaving = (place,) if moved and place not in index.withheld else ()
    return FleetChange(at_s=at_s, actor=actor, members=(change,), leaving=leaving)


def retire(index: FleetIndex, kind: str, identity: str, *, at_s: float, actor: str) -> FleetChange:
    """Return the change that retires a member and what cannot be without it: an operator's sites, a site's resources.

    Without members where it is retired already.

    Raises:
        UnknownIdError: There was never such a member.
        ConflictError: Members in service refer to it.
    """
    place, known = find(index, kind, identity)
    if known.retired:
        return FleetChange(at_s=at_s, actor=actor, members=())
    _check_unused(index, kind, identity)
    changes = [_retired(kind, place, known, at_s)]
    parents, part = {identity}, _PARTS.get(kind)
    while part is not None:
        name, field = part
        members: Sequence[Any] = getattr(index, KIND_OF[name].members)
        found = [(i, m) for i, m in enumerate(members) if not m.retired and getattr(m, field) in parents]
        changes += [_retired(name, i, m, at_s) for i, m in found]
        parents, part = {m.id for _, m in found}, _PARTS.get(name)
    rows = sorted(change.position for change in changes if change.kind == "resource")
    return FleetChange(
        at_s=at_s, actor=actor, members=tuple(changes), leaving=tuple(r for r in rows if r not in index.withheld)
    )


def _check_joining(index: FleetIndex, members: Sequence[FleetMember]) -> None:
    """Raise InputError where the id of a member that is to join is retired, or it refers to a retired member."""
    for kind in KIND_OF.values():
        gone = {one.id for one in getattr(index, kind.members) if one.retired}
        if not gone:
            continue
        for member in members:
            if isinstance(member, kind.cls) and member.id in gone:
                raise InputError("id", member.id, _NEVER_AGAIN)
            for field, to in kind_of(member).references:
                if to == kind.name and getattr(member, field) in gone:
                    raise InputError(field, getattr(member, field), f"the id of a {to} that is in service")


def _added(name: str, before: Sequence[FleetMember], asked: Sequence[FleetMember], at_s: float) -> list[FleetMember]:
    """Return what is not there yet; the same thing again is no addition, another of the same id is an error."""
    known = {member.id: member for member in before} if asked else {}
    for member in asked:
        there = known.get(member.id)
        if there is not None and not there.retired and not same(there, member):
            raise InputError(f"{name}.id", member.id, "an id that is not taken yet, or exactly what it stands for")
    return [replace(one, valid_from_s=at_s) for one in asked if one.id not in known or known[one.id].retired]


def _retired(kind: str, place: int, member: Member, at_s: float) -> MemberChange:
    new: Any = replace(member, valid_to_s=at_s, version=member.version + 1)
    old: Any = member
    return MemberChange(kind=kind, position=place, old=old, new=new)


def _check_fixed(known: FleetMember, member: FleetMember) -> None:
    for field in _FIXED if isinstance(known, Resource) else ():
        before, after = getattr(known, field), getattr(member, field)
        if before is not after:
            raise InputError(
                field, after.value, f"{before.value}; retire the device and register another one under a new id"
            )


def _check_references(index: FleetIndex, member: FleetMember) -> None:
    for field, to in kind_of(member).references:
        given = getattr(member, field)
        if given is None:
            continue
        known = next((one for one in getattr(index, KIND_OF[to].members) if one.id == given), None)
        if known is None or known.retired:
            raise InputError(field, given, f"the id of a {to} that is in service")


def _check_tree(index: FleetIndex, member: Transformer) -> None:
    """Raise InputError where a transformer would be fed by itself or by one that it feeds."""
    parent = {one.id: one.parent_id for one in index.transformers}
    above = member.parent_id
    while above is not None:
        if above == member.id:
            raise InputError("parent_id", member.parent_id, f"a transformer that {member.id} does not feed")
        above = parent[above]


def _check_unused(index: FleetIndex, kind: str, identity: str) -> None:
    for name, field in _USERS.get(kind, ()):
        members: Sequence[Any] = getattr(index, KIND_OF[name].members)
        users = [one.id for one in members if not one.retired and getattr(one, field) == identity]
        if users:
            raise ConflictError(
                f"{kind} {identity} is named by {len(users)} {KIND_OF[name].members} in service, {users[0]} among them;"
                " retire or move these first"
            )
