"""Members of the fleet as JSON-like content: for the registry's table, its history and the journal."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from vpp.domain.limits import Limits
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer

FleetMember = Area | Operator | Transformer | Site | Resource
_EVER, _INFINITE = float("-inf"), float("inf")


@dataclass(frozen=True, slots=True)
class MemberKind:
    """One kind of member.

    Attributes:
        name: In tables, journals and error texts.
        members: Name of its members in `vpp.fleet.index.FleetIndex` and in routes.
        cls: Of its members.
        references: Fields that name a member of another kind, and that kind's name.
    """

    name: str
    members: str
    cls: type[FleetMember]
    references: tuple[tuple[str, str], ...] = ()


KINDS = (
    MemberKind("area", "areas", Area),
    MemberKind("operator", "operators", Operator),
    MemberKind("transformer", "transformers", Transformer, (("area_id", "area"), ("parent_id", "transformer"))),
    MemberKind(
        "site",
        "sites",
        Site,
        (("area_id", "area"), ("operator_id", "operator"), ("transformer_id", "transformer")),
    ),
    MemberKind("resource", "resources", Resource, (("site_id", "site"),)),
)
"""In the order in which they refer to one another."""
KIND_OF = {kind.name: kind for kind in KINDS}
_DEFAULTS: dict[str, tuple[tuple[str, object], ...]] = {
    cls.__name__: tuple((f.name, f.default) for f in fields(cls)) for cls in (*(kind.cls for kind in KINDS), Limits)
}
"""Fields of every class with their defaults."""


def kind_of(member: FleetMember) -> MemberKind:
    """Return the kind of a member."""
    return next(kind for kind in KINDS if isinstance(member, kind.cls))


def body_of(member: FleetMember | Limits) -> dict[str, object]:
    """Return a member as JSON-like content: defaults are left out, numbers that JSON lacks are text."""
    return {
        name: _plain(value)
        for name, default in _DEFAULTS[type(member).__name__]
        if (value := getattr(member, name)) is not default
        and value != default
        and not (default != default and value != value)  # noqa: PLR0124 - both are NaN, unknown
    }


def member_of(kind: str, body: Mapping[str, Any]) -> FleetMember:
    """Return the member that ``body_of`` described."""
    cls = KIND_OF[kind].cls
    numbers = {f.name for f in fields(cls) if f.type in {float, "float"}}
    values: dict[str, Any] = {name: float(value) if name in numbers else value for name, value in body.items()}
    if cls is Resource:
        values |= {"resource_class": ResourceClass(body["resource_class"]), "adapter": Adapter(body["adapter"])}
    if "limits" in body:
        values["limits"] = Limits(**body["limits"])
    return cls(**values)


def stated(member: FleetMember) -> FleetMember:
    """Return what its owner states of a member, without what the registry keeps: validity, version and share."""
    plain = replace(member, valid_from_s=_EVER, valid_to_s=_INFINITE, version=1)
    return replace(plain, share_kw=float("nan")) if isinstance(plain, Resource) else plain


def same(one: FleetMember, other: FleetMember) -> bool:
    """Return whether two members state the same; unknown is equal to unknown."""
    # By their text: a NaN that was read twice is not equal to itself.
    return repr(stated(one)) == repr(stated(other))


def _plain(value: object) -> object:
    if isinstance(value, Limits):
        return body_of(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
