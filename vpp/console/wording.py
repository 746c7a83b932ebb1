"""Wording of numbers and times: always with unit and local offset, unknown as a dash."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum

import numpy as np

from vpp.fleet.calendar import SHANGHAI

UNKNOWN = "–"  # noqa: RUF001 - an en dash is the typographic sign for "no value"
_MW_FROM_KW = 10_000.0


def power(kw: float | None) -> str:
    """Return a power in kW, from 10 MW on in MW."""
    return _scaled(kw, "kW", "MW")


def energy(kwh: float | None) -> str:
    """Return an energy in kWh, from 10 MWh on in MWh."""
    return _scaled(kwh, "kWh", "MWh")


def number(value: float | None, digits: int = 0) -> str:
    """Return a plain number with thousands separated."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0.0 else text.replace("-", "−")  # noqa: RUF001 - minus sign


def percent(ratio: float | None, digits: int = 1) -> str:
    """Return a ratio as per cent."""
    return UNKNOWN if ratio is None or not math.isfinite(ratio) else f"{number(100.0 * ratio, digits)} %"


def moment(at: datetime | None) -> str:
    """Return an instant on Shanghai's clock, offset included."""
    return UNKNOWN if at is None else at.astimezone(SHANGHAI).isoformat(sep=" ", timespec="seconds")


def clock_time(at: datetime) -> str:
    """Return the hour and minute on Shanghai's clock, for tables whose heading names the day and the offset."""
    return f"{at.astimezone(SHANGHAI):%H:%M}"


def words(name: str) -> str:
    """Return a machine name as words."""
    return name.replace("_", " ")


def plain(value: object) -> object:
    """Return a value of the vocabulary as JSON-like values; a number that is not finite becomes ``None``."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(each) for each in value]
    return _plain_scalar(value)


def _plain_scalar(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.astimezone(SHANGHAI).isoformat()
        case date():
            return value.isoformat()
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
        case _:
            return value


def _scaled(value: float | None, small: str, large: str) -> str:
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= _MW_FROM_KW:
        return f"{number(value / 1000.0, 2)} {large}"
    return f"{number(value)} {small}"
