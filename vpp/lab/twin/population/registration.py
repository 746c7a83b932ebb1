"""Conversion of a fleet to the JSON body of a bulk registration."""

import math
from dataclasses import MISSING, asdict, fields

from vpp.domain.errors import InputError
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.fleet.index import FleetIndex

_PARTS = ("areas", "operators", "transformers", "sites", "resources")


def fleet_to_json(index: FleetIndex) -> dict[str, list[dict[str, object]]]:
    """Return the fleet as lists of field dicts, without defaults that JSON cannot carry (NaN, infinity).

    Raises:
        InputError: A field without a default is not finite.
    """
    return {part: [_fields_of(member) for member in getattr(index, part)] for part in _PARTS}


def _fields_of(member: Area | Operator | Transformer | Site | Resource) -> dict[str, object]:
    body: dict[str, object] = {}
    defaults = {f.name: f.default for f in fields(member)}
    values = asdict(member)
    del values["version"]  # the service counts
    values.pop("share_kw", None)  # and shares
    values |= {name: value for name, value in values.pop("limits", {}).items() if value is not None}
    for name, value in values.items():
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
