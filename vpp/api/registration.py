"""Bulk registration: every record checked, every fault named by row, all or nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from vpp.api.bodies import csv_records, json_content, json_records
from vpp.api.problems import MAX_ERRORS, RejectedFieldsError, field_errors, shown
from vpp.api.schemas.base import FieldError
from vpp.api.schemas.registration import AreaBody, OperatorBody, ResourceBody, SiteBody, TransformerBody
from vpp.domain.errors import InputError
from vpp.fleet.index import FleetIndex
from vpp.fleet.members.member_codec import KIND_OF, FleetMember, MemberKind

Body = AreaBody | OperatorBody | TransformerBody | SiteBody | ResourceBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of record.

    Attributes:
        kind: Of the members that records describe.
        schema: What a record must look like.
    """

    kind: MemberKind
    schema: type[Body]

    @property
    def name(self) -> str:
        """Name as in ``FleetIndex`` and in the route."""
        return self.kind.members

    @property
    def numeric(self) -> frozenset[str]:
        """Fields of a CSV record that hold numbers."""
        kinds = self.schema.model_json_schema()["properties"]
        return frozenset(name for name, field in kinds.items() if _is_numeric(field))


AREAS = Part(kind=KIND_OF["area"], schema=AreaBody)
OPERATORS = Part(kind=KIND_OF["operator"], schema=OperatorBody)
TRANSFORMERS = Part(kind=KIND_OF["transformer"], schema=TransformerBody)
SITES = Part(kind=KIND_OF["site"], schema=SiteBody)
RESOURCES = Part(kind=KIND_OF["resource"], schema=ResourceBody)
PARTS = (AREAS, OPERATORS, TRANSFORMERS, SITES, RESOURCES)


def records_of(body: bytes, content_type: str, part: Part) -> list[Any]:
    """Return the raw records of a body, JSON (one or a list) or CSV.

    Raises:
        InputError: It parses as neither.
    """
    if content_type.startswith("text/csv"):
        return csv_records(body, part.numeric)
    return json_records(body)


def parts_of(body: bytes) -> dict[str, list[Any]]:
    """Return the raw records of a whole fleet by kind.

    Raises:
        InputError: It is not a JSON object of lists with the names of ``PARTS``.
    """
    content = json_content(body)
    if not isinstance(content, dict):
        raise InputError("body", shown(content), "a JSON object")
    known = {part.name for part in PARTS}
    for name, records in content.items():
        if name not in known:
            raise InputError(name, shown(records), f"only {', '.join(sorted(known))}")
        if not isinstance(records, list):
            raise InputError(name, shown(records), "a list of records")
    return content


def checked(raw: Mapping[str, Sequence[Any]], index: FleetIndex) -> dict[str, list[Any]]:
    """Return the things that raw records describe, by kind.

    Args:
        raw: Records by kind.
        index: The fleet they join; references may go there or to other records.

    Raises:
        RejectedFieldsError: Names row, field, value and what is accepted, for every fault up to a hundred.
    """
    things: dict[str, list[Any]] = {}
    errors: list[FieldError] = []
    for part in PARTS:
        prefix = f"{part.name}." if len(raw) > 1 else ""
        things[part.name] = []
        for row, record in enumerate(raw.get(part.name, ()), 1):
            found = _parsed(record, part, row, prefix)
            if isinstance(found, list):
                errors += found
            else:
                things[part.name].append(found)
            if len(errors) >= MAX_ERRORS:
                raise RejectedFieldsError(errors)
    errors = errors or [*_faults(things, index, nested=len(raw) > 1)]
    if errors:
        raise RejectedFieldsError(errors)
    return things


def _parsed(record: object, part: Part, row: int, prefix: str) -> FleetMember | list[FieldError]:
    try:
        return part.schema.model_validate(record).thing()
    except ValidationError as error:
        found = field_errors(error.errors(include_url=False, include_context=False), row=row)
        return [e.model_copy(update={"field": prefix + e.field}) for e in found]
    except InputError as error:
        return [FieldError(row=row, field=prefix + error.field, value=shown(error.value), accepted=error.accepted)]


def _faults(things: Mapping[str, Sequence[FleetMember]], index: FleetIndex, *, nested: bool) -> Iterator[FieldError]:
    known = {part.name: {thing.id for thing in (*getattr(index, part.name), *things[part.name])} for part in PARTS}
    for part in PARTS:
        prefix = f"{part.name}." if nested else ""
        references = [(field, KIND_OF[to].members) for field, to in part.kind.references]
        seen: set[str] = set()
        for row, thing in enumerate(things[part.name], 1):
            if thing.id in seen:
                yield FieldError(row=row, field=f"{prefix}id", value=thing.id, accepted="each id once")
            seen.add(thing.id)
            for field, kind in references:
                given = getattr(thing, field)
                if given is not None and given not in known[kind]:
                    yield FieldError(
                        row=row, field=prefix + field, value=given, accepted=f"the id of one of the {kind} known here"
                    )


def _is_numeric(field: Mapping[str, Any]) -> bool:
    kinds = [field, *field.get("anyOf", ())]
    return any(kind.get("type") in {"number", "integer"} for kind in kinds)
