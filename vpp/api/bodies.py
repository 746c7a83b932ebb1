"""Bulk bodies: records as JSON or CSV, and wide tables of metered means as CSV. Pure functions, fit for a thread."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from vpp.api.problems import MAX_ERRORS, RejectedFieldsError, shown
from vpp.api.schemas.base import FieldError
from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import STEP_S

MAX_INTERVALS = 96 * 400
"""A table of metered means covers at most about a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTable:
    """Metered means as they were sent; ``mean_kw`` has shape ``(len(resource_ids), grid.count)``."""

    grid: TimeGrid
    resource_ids: tuple[str, ...]
    mean_kw: FloatArray


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
    """Return what a JSON body says.

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
    header, *lines = _lines(body)
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


def meter_table(body: bytes) -> MeterTable:
    """Return a wide table of metered 15-minute means.

    The first column is ``start_at`` (ISO-8601 with an offset, on quarters of an hour, in any order), each further one
    a resource id; cells are mean net power in kW, load positive, empty where unknown. Intervals that are left out
    are unknown.

    Raises:
        InputError: The header makes no sense, or the table covers too long a time.
        RejectedFieldsError: Rows with a start or a value that makes no sense.
    """
    header, *lines = _lines(body)
    resource_ids = tuple(header[1:])
    if header[0] != "start_at" or not resource_ids or len(set(resource_ids)) < len(resource_ids):
        raise InputError("header", shown(",".join(header)), "start_at, then each resource id once")
    starts_s, means = _means(lines, header)
    grid, steps = _grid(starts_s)
    table = np.full((grid.count, len(resource_ids)), np.nan)
    table[steps] = means
    return MeterTable(grid=grid, resource_ids=resource_ids, mean_kw=np.ascontiguousarray(table.T))


def _lines(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("body", shown(body[:80]), f"CSV in UTF-8 ({error})") from error
    if len(lines) <= 1:
        raise InputError("body", shown(body[:80]), "a header line and at least one record")
    return lines


def _number(cell: str) -> object:
    # What is no number stays text, for the schema to refuse by name.
    if cell.lstrip("+-").isdecimal():
        return int(cell)
    try:
        return float(cell)
    except ValueError:
        return cell


def _means(lines: Sequence[Sequence[str]], header: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    starts_s = np.full(len(lines), np.nan)
    means = np.full((len(lines), len(header) - 1), np.nan)
    errors: list[FieldError] = []
    for position, line in enumerate(lines):
        try:
            starts_s[position] = _start_s(line)
            means[position] = _row_means(line, header)
        except InputError as error:
            errors.append(
                FieldError(row=position + 1, field=error.field, value=shown(error.value), accepted=error.accepted)
            )
            if len(errors) >= MAX_ERRORS:
                break
    if errors:
        raise RejectedFieldsError(errors)
    return starts_s, means


def _start_s(line: Sequence[str]) -> float:
    accepted = "an ISO-8601 time with an offset on a quarter of an hour, e.g. 2026-07-15T14:15:00+08:00"
    try:
        at = datetime.fromisoformat(line[0])
    except ValueError:
        raise InputError("start_at", line[0], accepted) from None
    if at.tzinfo is None:
        raise InputError("start_at", line[0], accepted)
    start_s = (at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    if start_s % STEP_S or start_s < 0.0:
        raise InputError("start_at", line[0], accepted)
    return start_s


def _row_means(line: Sequence[str], header: Sequence[str]) -> FloatArray:
    if len(line) != len(header):
        raise InputError("row", len(line), f"{len(header)} fields, as the header has")
    try:
        means = np.array([cell or "nan" for cell in line[1:]], dtype=np.float64)
    except ValueError:
        means = None
    if means is None or np.isinf(means).any():
        name, cell = next((n, c) for n, c in zip(header[1:], line[1:], strict=True) if not _is_mean(c))
        raise InputError(name, cell, "a mean power in kW, or an empty field where it is not known")
    return means


def _is_mean(cell: str) -> bool:
    try:
        return not np.isinf(float(cell or "nan"))
    except ValueError:
        return False


def _grid(starts_s: FloatArray) -> tuple[TimeGrid, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    first_s = float(starts_s.min())
    steps = ((starts_s - first_s) // STEP_S).astype(np.int64)
    values, counts = np.unique(steps, return_counts=True)
    if counts.max() > 1:
        twice = instant(first_s + STEP_S * float(values[counts.argmax()]))
        raise InputError("start_at", twice.isoformat(), "each interval once")
    count = int(steps.max()) + 1
    if count > MAX_INTERVALS:
        raise InputError("start_at", count, f"a table over at most {MAX_INTERVALS} intervals")
    return TimeGrid(start_at=instant(first_s), count=count), steps
