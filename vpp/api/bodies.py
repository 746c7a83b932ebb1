"""Bulk bodies: records as JSON or CSV. Pure functions, fit for a thread."""

import re
from typing import Any

import orjson

from vpp.api.problems import RejectedFieldsError, shown
from vpp.api.schemas.base import FieldError
from vpp.domain.csv_table import cells_in_body
from vpp.domain.errors import InputError

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?|[+-]?(?:nan|inf)")


def json_records(body: bytes) -> list[Any]:
    """Return the records of a JSON body, which is one object or a list.

    Raises:
        InputError: It is not JSON, or neither.
    """
    content = json_content(body)
    records = content if isinstance(content, list) else [content]
    if not records:
        raise InputError("body", [], "at least one record")
    return records


def json_content(body: bytes) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return the content of a JSON body.

    Raises:
        InputError: It is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError("body", shown(body[:80]), f"valid JSON ({error})") from error


def csv_records(body: bytes, numeric: frozenset[str]) -> list[dict[str, object]]:
    """Return the records of a CSV body by the names in its header; an empty field is not stated.

    Args:
        body: UTF-8, first line the field names.
        numeric: Names of fields that hold numbers.

    Raises:
        InputError: It is not UTF-8, has no records, or names a field twice.
        RejectedFieldsError: Rows with more or fewer fields than the header.
    """
    header, *lines = cells_in_body(body)
    if len(set(header)) < len(header):
        raise InputError("header", header, "each field name once")
    uneven = [
        FieldError(row=row, field="row", value=len(line), accepted=f"{len(header)} fields, as the header has")
        for row, line in enumerate(lines, 1)
        if len(line) != len(header)
    ]
    if uneven:
        raise RejectedFieldsError(uneven)
    return [
        {name: _number(cell) if name in numeric else cell for name, cell in zip(header, line, strict=True) if cell}
        for line in lines
    ]


def _number(cell: str) -> object:
    # What is no number, or more digits than any quantity has, stays text, for the schema to refuse by name.
    if _WHOLE.fullmatch(cell):
        return int(cell)
    return float(cell) if _DECIMAL.fullmatch(cell) else cell
