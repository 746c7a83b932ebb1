"""Tenure: former versions of members, and the owners that sites and devices had before the present ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from vpp.domain.resource import Resource
from vpp.domain.site import Site
from vpp.fleet.members.member_codec import FleetMember

_OWNER = {Site: "operator_id", Resource: "site_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerMember:
    """A member as it was until a change.

    Attributes:
        member: As it was.
        until_s: Epoch seconds of the change.
        actor: Author of the change.
    """

    member: FleetMember
    until_s: float
    actor: str


class FormerOwner(NamedTuple):
    """Owner of a site, or site of a device, until a change.

    Attributes:
        kind: ``"site"`` or ``"resource"``.
        position: Of the site among the sites, or row of the device.
        owner_id: Id of the operator, or of the site.
        until_s: Epoch seconds of the change.
    """

    kind: str
    position: int
    owner_id: str
    until_s: float


def former_owner(position: int, old: FleetMember, new: FleetMember, until_s: float) -> FormerOwner | None:
    """Return the owner that a member has no longer after a change, ``None`` where it stays."""
    if not isinstance(old, Site | Resource) or not isinstance(new, Site | Resource):
        return None
    before, after = (getattr(one, _OWNER[type(one)]) for one in (old, new))
    kind = "site" if isinstance(old, Site) else "resource"
    return None if before == after else FormerOwner(kind, position, before, until_s)


def former_owners(present: Iterable[FleetMember], former: Iterable[FormerMember]) -> tuple[FormerOwner, ...]:
    """Return the former owners of members of one kind, the oldest first.

    Args:
        present: The members in their places.
        former: Their former versions, in any order.
    """
    versions: dict[str, list[tuple[FleetMember, float]]] = {}
    for one in sorted(former, key=lambda one: one.member.version):
        versions.setdefault(one.member.id, []).append((one.member, one.until_s))
    found = []
    for position, member in enumerate(present) if versions else ():
        known = versions.get(member.id)
        if known is None:
            continue
        later = [version for version, _ in known[1:]] + [member]
        found += [former_owner(position, old, new, until_s) for (old, until_s), new in zip(known, later, strict=True)]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.until_s))
