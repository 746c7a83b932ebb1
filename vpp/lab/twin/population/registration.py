"""Conversion of a fleet to the JSON body of a bulk registration, and back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar

from vpp.domain.errors import InputError
from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer

Member = TypeVar("Member", Area, Operator, Transformer, Site, Resource)

_PARTS = ("areas", "operators", "transformers", "sites", "resources")


def fleet_to_json(index: FleetIndex) -> dict[str, list[dict[str, object]]]:
    """Return the fleet as lists of field dicts, without defaults that JSON cannot carry (NaN, infinity).

    Raises:
        InputError: A field without a default is not finite.
    """
    return {part: [_fields_of(member) for member in getattr(index, part)] for part in _PARTS}


def fleet_from_json(body: Mapping[str, Sequence[Mapping[str, Any]]]) -> FleetIndex:
    """Return the fleet that ``fleet_to_json`` described.

    Raises:
        InputError: A part is missing or a field is unknown, missing or of no sense.
        UnknownIdError: Something refers to an id that is not there.
    """
    for part in _PARTS:
        if part not in body:
            raise InputError(part, None, "a list")
    return FleetIndex(
        areas=_members(Area, body["areas"]),
        operators=_members(Operator, body["operators"]),
        transformers=_members(Transformer, body["transformers"]),
        sites=_members(Site, body["sites"]),
        resources=_members(Resource, [_typed(given) for given in body["resources"]]),
    )


def _fields_of(member: Area | Operator | Transformer | Site | Resource) -> dict[str, object]:
    body: dict[str, object] = {}
    defaults = {f.name: f.default for f in fields(member)}
    for name, value in asdict(member).items():
        if isinstance(value, float) and not math.isfinite(value):
            if not _same(value, defaults[name]):
                raise InputError(f"{member.id}.{name}", value, "a finite number or the field's default")
            continue
        body[name] = str(value) if isinstance(value, ResourceClass | Adapter) else value
    return body


def _same(value: float, default: object) -> bool:
    if default is MISSING or not isinstance(default, float):
        return False
    return value == default or (math.isnan(value) and math.isnan(default))


def _typed(given: Mapping[str, Any]) -> dict[str, Any]:
    body = dict(given)
    try:
        body["resource_class"] = ResourceClass(str(body.get("resource_class")))
        body["adapter"] = Adapter(str(body.get("adapter")))
    except ValueError as error:
        raise InputError("resource_class, adapter", str(error), "one of the known classes and adapters") from error
    return body


def _members(kind: type[Member], given: Sequence[Mapping[str, Any]]) -> tuple[Member, ...]:
    try:
        return tuple(kind(**body) for body in given)
    except TypeError as error:
        raise InputError(kind.__name__, str(error), "the fields of that type") from error
