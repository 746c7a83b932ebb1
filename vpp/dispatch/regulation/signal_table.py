"""Regulation signals as tables: CSV with the columns ``time`` and ``value`` or ``target_kw``.

Times are instants with an offset, or seconds; values lie in [-1, 1], positive where net load is to fall, or are kW in
the column ``target_kw``. A value holds until the next.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from vpp.domain.csv_table import CsvLine, lines_in_body, number_in
from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray

_TIME_ACCEPTED = "an ISO-8601 time with an offset, e.g. 2026-07-15T14:00:00+08:00, or seconds"


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
    head, *lines = lines_in_body(content)
    header = [name.strip() for name in head.cells]
    unit = "target_kw" if "target_kw" in header else "value"
    if sorted(header) != sorted(("time", unit)):
        raise InputError("header", ",".join(header)[:80], "the columns time and value, or time and target_kw")
    when, what = header.index("time"), header.index(unit)
    time_s, value = np.empty(len(lines)), np.empty(len(lines))
    for place, line in enumerate(lines):
        line.check_width(header)
        time_s[place] = _seconds(line, line.cells[when])
        value[place] = _value(line, line.cells[what], unit)
        if place and not time_s[place] > time_s[place - 1]:
            raise InputError(f"{line.where}, time", line.cells[when], "a time after that of the row before")
    return Signal(time_s=time_s, value=value, unit=unit)


def _seconds(line: CsvLine, cell: str) -> float:
    seconds = number_in(cell)
    if math.isfinite(seconds):
        return seconds
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise InputError(f"{line.where}, time", cell, _TIME_ACCEPTED) from None
    if at.tzinfo is None:
        raise InputError(f"{line.where}, time", cell, _TIME_ACCEPTED)
    return at.timestamp()


def _value(line: CsvLine, cell: str, unit: str) -> float:
    value = number_in(cell)
    if not math.isfinite(value) or (unit == "value" and abs(value) > 1.0):
        accepted = "a number of kW" if unit == "target_kw" else "a number from -1 to 1"
        raise InputError(f"{line.where}, {unit}", cell, accepted)
    return value
