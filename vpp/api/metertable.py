"""Wide tables of metered 15-minute means as CSV: every bad record named, memory in proportion to the body."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from vpp.api.problems import MAX_ERRORS, RejectedFieldsError, shown
from vpp.api.schemas.base import LAST_YEAR, FieldError
from vpp.domain.csv_table import cells_in_body, is_plain
from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.domain.units import STEP_S

MAX_INTERVALS = 96 * 400
"""A table of metered means covers at most about a year."""
MOST_HOLES = 4
"""Most intervals that a table may cover for each of its lines, beyond ``_FREE_CELLS``: memory in proportion to the
body."""
_FREE_CELLS = 1_000_000
_START_ACCEPTED = "an ISO-8601 time with an offset on a quarter of an hour, e.g. 2026-07-15T14:15:00+08:00"
_MEAN_ACCEPTED = "a mean power in kW with a decimal point, or an empty field where it is not known"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTable:
    """Metered means as sent.

    Attributes:
        mean_kw: Load positive, NaN where nothing was said, shape ``(len(resource_ids), grid.count)``.
        line_of: Number of the record that speaks of each interval, from 1, 0 for none, shape ``(grid.count,)``.
    """

    grid: TimeGrid
    resource_ids: tuple[str, ...]
    mean_kw: FloatArray
    line_of: IdArray


def meter_table(body: bytes, known: Container[str]) -> MeterTable:
    """Return a wide table of metered 15-minute means.

    The first column is ``start_at`` (ISO-8601 with an offset, on quarters of an hour, in any order), each further one
    a resource id; cells are mean net power in kW, load positive, empty where unknown. Intervals that are left out
    are unknown.

    Args:
        body: The CSV.
        known: Ids of registered resources.

    Raises:
        InputError: The header makes no sense, or the table covers too long a time.
        RejectedFieldsError: Ids that are not known, or lines with a start or a value that makes no sense, by number.
    """
    lines = cells_in_body(body)
    header = next(lines, [""])
    resource_ids = _resource_ids(header, known)
    starts_s, means = _means(lines, header)
    grid, steps = _grid(starts_s, len(resource_ids))
    table = np.full((grid.count, len(resource_ids)), np.nan)
    table[steps] = means
    line_of = np.zeros(grid.count, dtype=np.int64)
    line_of[steps] = np.arange(1, len(steps) + 1)
    return MeterTable(grid=grid, resource_ids=resource_ids, mean_kw=np.ascontiguousarray(table.T), line_of=line_of)


def _resource_ids(header: Sequence[str], known: Container[str]) -> tuple[str, ...]:
    resource_ids = tuple(header[1:])
    if header[0] != "start_at" or not resource_ids or len(set(resource_ids)) < len(resource_ids):
        raise InputError("header", shown(",".join(header[:20])), "start_at, then each resource id once")
    unknown = [identity for identity in resource_ids if identity not in known]
    if unknown:
        raise RejectedFieldsError(
            [FieldError(field="header", value=name, accepted="ids of registered resources") for name in unknown]
        )
    return resource_ids


def _means(lines: Iterator[Sequence[str]], header: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    starts_s: list[float] = []
    means: list[FloatArray] = []
    errors: list[FieldError] = []
    taken: dict[float, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            start_s = _start_s(line, taken)
            mean = _row_means(line, header)
        except InputError as error:
            errors.append(FieldError(row=number, field=error.field, value=error.value, accepted=error.accepted))
            if len(errors) >= MAX_ERRORS:
                break
            continue
        taken[start_s] = number
        starts_s.append(start_s)
        means.append(mean)
    if errors:
        raise RejectedFieldsError(errors)
    return np.array(starts_s), np.array(means)


def _start_s(line: Sequence[str], taken: dict[float, int]) -> float:
    try:
        at = datetime.fromisoformat(line[0])
    except ValueError:
        raise InputError("start_at", line[0], _START_ACCEPTED) from None
    if at.tzinfo is None or not _EPOCH.year <= at.year < LAST_YEAR:
        raise InputError("start_at", line[0], f"{_START_ACCEPTED}, from {_EPOCH.year} to {LAST_YEAR}")
    start_s = (at - _EPOCH).total_seconds()
    if start_s % STEP_S or start_s < 0.0:
        raise InputError("start_at", line[0], _START_ACCEPTED)
    if start_s in taken:
        raise InputError("start_at", line[0], f"each interval once; record {taken[start_s]} has it already")
    return start_s


def _row_means(line: Sequence[str], header: Sequence[str]) -> FloatArray:
    if len(line) != len(header):
        raise InputError("row", len(line), f"{len(header)} fields, as the header has")
    try:
        means = np.array([cell or "nan" for cell in line[1:]], dtype=np.float64)
    except (ValueError, OverflowError):
        means = None
    if means is None or np.isinf(means).any() or not all(map(is_plain, line[1:])):
        name, cell = next((n, c) for n, c in zip(header[1:], line[1:], strict=True) if not _is_mean(c))
        raise InputError(name, cell, _MEAN_ACCEPTED)
    return means


def _is_mean(cell: str) -> bool:
    try:
        return is_plain(cell) and not np.isinf(float(cell or "nan"))
    except ValueError:
        return False


def _grid(starts_s: FloatArray, width: int) -> tuple[TimeGrid, IdArray]:
    first_s = float(starts_s.min())
    steps = ((starts_s - first_s) // STEP_S).astype(np.int64)
    count = int(steps.max()) + 1
    if count > MAX_INTERVALS:
        raise InputError("start_at", count, f"a table over at most {MAX_INTERVALS} intervals")
    if count * width > max(_FREE_CELLS, MOST_HOLES * len(steps) * width):
        accepted = f"a table without such holes, or several: {len(steps)} records for {width} resources"
        raise InputError("start_at", f"{count} intervals", accepted)
    return TimeGrid(start_at=instant(first_s), count=count), steps
