"""Changes of the fleet: what is asked for, what it does to the members, and its entry in the journal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vpp.domain.telemetry import RowArray
from vpp.fleet.amendment import amended
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.member_codec import KIND_OF, KINDS, FleetMember, body_of, member_of
from vpp.fleet.members.tenure import FormerOwner, former_owner

CHANGED = "fleet.changed"
"""Kind of the journal entries about members added, changed and retired."""
LEFT = "fleet.left"
"""Kind of the journal entries about rows whose former device holds nothing of ours any more."""
CONNECTED = "fleet.connected"
"""Kind of entries about members added in journals of before ``fleet.changed``; they state how many rows there are."""
_MEMBERS_PER_ENTRY = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChange:
    """One member before and after a change.

    Attributes:
        kind: Its kind's name, as in ``KINDS``.
        position: Among the members of its kind; the row of a resource.
        old: ``None`` where it joins.
        new: With its new version.
    """

    kind: str
    position: int
    old: FleetMember | None
    new: FleetMember

    def body(self) -> dict[str, object]:
        """Return it as JSON-like content."""
        old = None if self.old is None else body_of(self.old)
        return {"kind": self.kind, "position": self.position, "old": old, "new": body_of(self.new)}

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "MemberChange":
        """Return what ``body`` made."""
        kind, old = body["kind"], body["old"]
        return cls(
            kind=kind,
            position=int(body["position"]),
            old=None if old is None else member_of(kind, old),
            new=member_of(kind, body["new"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChange:
    """Members added, changed and retired at one instant, all or nothing.

    Attributes:
        at_s: Epoch seconds.
        actor: Its author.
        members: What it does to each, in the order of ``KINDS``.
        leaving: Rows whose device is left once it holds nothing of ours, rising.
    """

    at_s: float
    actor: str
    members: tuple[MemberChange, ...]
    leaving: tuple[int, ...] = ()

    def applied(self, index: FleetIndex) -> FleetIndex:
        """Return the fleet after the change; columns that it does not touch are shared."""
        members = [(change.kind, change.position, change.new) for change in self.members]
        owners = [
            former_owner(change.position, change.old, change.new, self.at_s)
            for change in self.members
            if change.old is not None
        ]
        known = (*index.former_owners, *(one for one in owners if one is not None))
        return _put(index, members, leaving=self.leaving, former_owners=known)

    def undone(self, index: FleetIndex) -> FleetIndex:
        """Return the fleet before the change; rows that have joined are gone, and nothing is withheld."""
        members = [(change.kind, change.position, change.old) for change in self.members if change.old is not None]
        known = tuple(one for one in index.former_owners if one.until_s < self.at_s)
        before = _put(index, members, former_owners=known)
        joined = {kind.members: sum(c.kind == kind.name and c.old is None for c in self.members) for kind in KINDS}
        return before.first(**{name: len(getattr(before, name)) - count for name, count in joined.items() if count})

    def bodies(self) -> list[dict[str, object]]:
        """Return the bodies of its journal entries: one, or several where thousands of members are changed."""
        parts = [
            self.members[first : first + _MEMBERS_PER_ENTRY]
            for first in range(0, max(len(self.members), 1), _MEMBERS_PER_ENTRY)
        ]
        return [
            {
                "actor": self.actor,
                "changes": [change.body() for change in part],
                "leaving": list(self.leaving) if last else [],
            }
            for part, last in zip(parts, [False] * (len(parts) - 1) + [True], strict=True)
        ]

    @classmethod
    def of(cls, at_s: float, body: Mapping[str, Any]) -> "FleetChange":
        """Return the change that an entry of the journal tells of."""
        return cls(
            at_s=at_s,
            actor=str(body["actor"]),
            members=tuple(MemberChange.of(change) for change in body["changes"]),
            leaving=tuple(body["leaving"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnrecordedChange:
    """A change that is stored, and whose entries in the journal may be missing: a crash may have come between the two.

    Attributes:
        at_s: Epoch seconds.
        after: Position of the journal's last entry before the change was stored.
        bodies: Of its entries, in order.
    """

    at_s: float
    after: int
    bodies: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEffects:
    """What a change does to what runs at its instant.

    Attributes:
        devices: Devices that leave.
        limited: How many of them may hold a value of a request or a cap, and are released first.
        dispatched: How many of them work for a request, or are held for a cap.
        cars: How many of them have a car plugged in, whose session ends.
        overloaded: Transformers above a limit by what is metered now; the guard cuts there in the next cycle.
        bounded: Devices of the fleet whose safe default is bounded by a share after the change.
        without_power: How many of them get no power by default.
    """

    devices: int = 0
    limited: int = 0
    dispatched: int = 0
    cars: int = 0
    overloaded: tuple[str, ...] = ()
    bounded: int = 0
    without_power: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOutcome:
    """A change that was made, or would be.

    Attributes:
        change: Without members where the fleet stood so already.
        effects: On what runs.
        dry_run: It was not made.
        stands: Version of the member that was named, after the change or without one.
    """

    change: FleetChange
    effects: ChangeEffects
    dry_run: bool
    stands: int | None = None


def version_named(body: Mapping[str, Any]) -> tuple[str, int, int]:
    """Return kind, position and version of the first member of an entry's body: no other entry names them."""
    first = body["changes"][0]
    return str(first["kind"]), int(first["position"]), int(first["new"].get("version", 1))


def left_rows(body: Mapping[str, Any]) -> RowArray:
    """Return the rows that an entry ``fleet.left`` names."""
    return np.array(body["rows"], dtype=np.int32)


def joining(index: FleetIndex, members: Mapping[str, Sequence[FleetMember]]) -> list[MemberChange]:
    """Return the changes by which ``members``, by the name of their kind in the index, join the fleet."""
    return [
        MemberChange(kind=kind.name, position=position, old=None, new=member)
        for kind in KINDS
        for position, member in enumerate(members.get(kind.members, ()), len(getattr(index, kind.members)))
    ]


def _put(
    index: FleetIndex,
    members: Iterable[tuple[str, int, FleetMember]],
    *,
    leaving: Sequence[int] = (),
    former_owners: tuple[FormerOwner, ...],
) -> FleetIndex:
    """Return the fleet with members in their places, those of places beyond its end added."""
    changed: dict[str, dict[int, FleetMember]] = {}
    added: dict[str, list[FleetMember]] = {}
    for kind, position, member in members:
        name = KIND_OF[kind].members
        if position < len(getattr(index, name)):
            changed.setdefault(name, {})[position] = member
        else:
            added.setdefault(name, []).append(member)
    larger = index.extended(**added) if added else index  # type: ignore[arg-type] # members of their kinds
    return amended(larger, changed, withheld=(*larger.withheld, *leaving), former_owners=former_owners)
