"""Members of the fleet as the registry has them: stated fields, validity, version, former versions; and changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from vpp.api.registration import PARTS, Part
from vpp.api.schemas.base import Schema, known_instant, null_if_unknown
from vpp.api.schemas.registration import LimitFields
from vpp.fleet.members.changes import ChangeOutcome
from vpp.fleet.members.member_codec import FleetMember, kind_of
from vpp.fleet.members.tenure import FormerMember

PART_OF = {part.name: part for part in PARTS}


class FormerView(Schema):
    """A member as it was until a change."""

    version: int
    until: datetime | None = Field(description="Instant of the change that ended this version.")
    actor: str = Field(description="Author of that change.")
    stated: dict[str, Any]


class MemberView(Schema):
    """A member of the fleet, in service or retired."""

    kind: str = Field(description="area, operator, transformer, site or resource")
    id: str
    version: int = Field(description="Rises by one with every change; the ETag.")
    in_service: bool
    valid_from: datetime | None = Field(description="null where it joined before that was recorded")
    valid_to: datetime | None = Field(description="null while it is in service")
    stated: dict[str, Any] = Field(description="The fields as they are registered.")
    former: list[FormerView] = Field(description="Former versions, the oldest first.")


class EffectsView(Schema):
    """What a change does to what runs at its instant."""

    devices: int = Field(description="Devices that leave; each is released before its link is dropped.")
    limited: int = Field(description="Those of them that may hold a value of a request or of a cap.")
    dispatched: int = Field(description="Those of them that work for a request, or are held for a cap.")
    cars: int = Field(description="Those of them with a car plugged in; its session ends.")
    overloaded: list[str] = Field(description="Transformers above a limit by what is metered now.")
    bounded: int = Field(0, description="Devices whose safe default is bounded by a share of a transformer afterwards.")
    without_power: int = Field(0, description="Those of them that get no power by default.")


class ChangedMember(Schema):
    """One member that a change concerns."""

    kind: str
    id: str
    version: int
    in_service: bool


class ChangeView(Schema):
    """A change that was made, or would be."""

    changed: bool = Field(description="false where the fleet stood so already, or for a dry run")
    dry_run: bool
    members: list[ChangedMember] = Field(description="The first thousand members that change.")
    members_count: int
    effects: EffectsView


def stated_fields(part: Part, member: FleetMember) -> dict[str, Any]:
    """Return the fields of a member as a record of its schema would state them, null where it states none."""
    limits = set(LimitFields.model_fields)
    return {
        name: null_if_unknown(getattr(member.limits if name in limits else member, name))  # type: ignore[union-attr] # by schema
        for name in part.schema.model_fields
    }


def merged(part: Part, member: FleetMember, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a member with other values in some fields; null takes a value back."""
    return {
        name: value for name, value in {**stated_fields(part, member), **patch}.items() if _is_stated(part, name, value)
    }


def member_view(member: FleetMember, former: Sequence[FormerMember]) -> MemberView:
    """Return a member with its former versions."""
    kind = kind_of(member)
    part = PART_OF[kind.members]
    return MemberView(
        kind=kind.name,
        id=member.id,
        version=member.version,
        in_service=not member.retired,
        valid_from=known_instant(member.valid_from_s),
        valid_to=known_instant(member.valid_to_s),
        stated=stated_fields(part, member),
        former=[
            FormerView(
                version=one.member.version,
                until=known_instant(one.until_s),
                actor=one.actor,
                stated=stated_fields(part, one.member),
            )
            for one in former
        ],
    )


def change_view(outcome: ChangeOutcome) -> ChangeView:
    """Return a change for its author."""
    effects, members = outcome.effects, outcome.change.members
    return ChangeView(
        changed=bool(members) and not outcome.dry_run,
        dry_run=outcome.dry_run,
        members=[
            ChangedMember(kind=one.kind, id=one.new.id, version=one.new.version, in_service=not one.new.retired)
            for one in members[:1000]
        ],
        members_count=len(members),
        effects=EffectsView(
            devices=effects.devices,
            limited=effects.limited,
            dispatched=effects.dispatched,
            cars=effects.cars,
            overloaded=list(effects.overloaded),
            bounded=effects.bounded,
            without_power=effects.without_power,
        ),
    )


def _is_stated(part: Part, name: str, value: object) -> bool:
    """Return whether a field goes into a record: null stands for its default, except where null is refused anyway."""
    field = part.schema.model_fields.get(name)
    return not (value is None and field is not None and not field.is_required())
