"""Regulation signals as tables: CSV with the columns ``time`` and ``value`` or ``target_kw``.

Times are instants with an offset, or seconds; values lie in [-1, 1], positive where net load is to fall, or are kW in
the column ``target_kw``. A value holds until the next.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray

_TIME_WORDS = "an ISO-8601 time with an offset, e.g. 2026-07-15T14:00:00+08:00, or seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal that holds each value until the next.

    Attributes:
        time_s: Seconds, rising, shape ``(n,)``.
        value: Share of the reserved power in [-1, 1], positive where net load is to fall; or kW, shape ``(n,)``.
        unit: ``"value"`` for shares, ``"target_kw"`` for kW.
    """

    time_s: FloatArray
    value: FloatArray
    unit: str = "value"

    def at(self, time_s: FloatArray) -> FloatArray:
        """Return the values in force at ``time_s``, NaN before the first, shape of ``time_s``."""
        last = np.searchsorted(self.time_s, time_s, side="right") - 1
        return np.where(last >= 0, self.value[np.maximum(last, 0)], np.nan)

    def resampled(self, step_s: float) -> "Signal":
        """Return the same signal at equal steps from its first instant to its last.

        Raises:
            InputError: The step is not above 0.
        """
        if not step_s > 0.0:
            raise InputError("step_s", step_s, "seconds above 0")
        count = int((self.time_s[-1] - self.time_s[0]) // step_s) + 1
        time_s = self.time_s[0] + step_s * np.arange(count, dtype=np.float64)
        return Signal(time_s=time_s, value=self.at(time_s), unit=self.unit)

    @property
    def mileage_per_h(self) -> float:
        """Sum of all changes per hour, in the signal's unit."""
        hours = (self.time_s[-1] - self.time_s[0]) / 3600.0
        return float(np.abs(np.diff(self.value)).sum() / hours) if hours > 0.0 else 0.0


def read_signal(path: Path) -> Signal:
    """Return the signal in a CSV file.

    Raises:
        InputError: As ``parse_signal``; OSError where the file cannot be read.
    """
    return parse_signal(path.read_bytes())


def parse_signal(content: bytes) -> Signal:
    """Return the signal in CSV text; columns ``time`` and ``value`` or ``target_kw``.

    Raises:
        InputError: Names the row, from 1 below the header, and what it should hold.
    """
    header, lines = _table(content)
    unit = "target_kw" if "target_kw" in header else "value"
    if sorted(header) != sorted(("time", unit)):
        raise InputError("header", ",".join(header)[:80], "the columns time and value, or time and target_kw")
    when, what = header.index("time"), header.index(unit)
    time_s, value = np.empty(len(lines)), np.empty(len(lines))
    for row, line in enumerate(lines, 1):
        if len(line) != len(header):
            raise InputError(f"row {row}", len(line), f"{len(header)} fields, as the header has")
        time_s[row - 1] = _seconds(row, line[when])
        value[row - 1] = _value(row, line[what], unit)
        if row > 1 and not time_s[row - 1] > time_s[row - 2]:
            raise InputError(f"row {row}, time", line[when], "a time after that of the row before")
    return Signal(time_s=time_s, value=value, unit=unit)


def _table(content: bytes) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    try:
        text = content.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("body", content[:40], f"CSV in UTF-8 ({error})") from error
    if len(lines) <= 1:
        raise InputError("body", content[:40], "a header line and at least one row")
    return [name.strip() for name in lines[0]], lines[1:]


def _number(cell: str) -> float:
    """Return a number, NaN for what other programs would not read as one."""
    try:
        return float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        return math.nan


def _seconds(row: int, cell: str) -> float:
    seconds = _number(cell)
    if math.isfinite(seconds):
        return seconds
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise InputError(f"row {row}, time", cell, _TIME_WORDS) from None
    if at.tzinfo is None:
        raise InputError(f"row {row}, time", cell, _TIME_WORDS)
    return at.timestamp()


def _value(row: int, cell: str, unit: str) -> float:
    value = _number(cell)
    if not math.isfinite(value) or (unit == "value" and abs(value) > 1.0):
        accepted = "a number of kW" if unit == "target_kw" else "a number from -1 to 1"
        raise InputError(f"row {row}, {unit}", cell, accepted)
    return value
