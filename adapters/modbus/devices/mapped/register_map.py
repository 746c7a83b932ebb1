"""Register maps that are declared in a file, for devices that do not speak SunSpec."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import TypeVar

from adapters.modbus.transport.connection import Table
from adapters.modbus.transport.registers import KINDS
from vpp.domain.errors import InputError
from vpp.domain.telemetry import Quantity

EXAMPLE = Path(__file__).parents[1] / "maps" / "example_meter.toml"
"""A map whose comments explain every field."""
_LAST_REGISTER = 65535
_MAP_FIELDS = {"name", "manufacturer", "model", "word_order", "points"}
_Choice = TypeVar("_Choice", bound=Enum)
_PLAIN = ("int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
_POINT_FIELDS = {"role", "quantity", "address", "table", "type", "scale", "sign", "min", "max", "write"}


class Role(StrEnum):
    """Purpose of a point."""

    MEASURE = "measure"
    SETPOINT = "setpoint"
    """Power to take while the timer runs, and without one until replaced."""
    DEFAULT = "default"
    """Power to take once the timer has run out."""
    TIMER = "timer"
    """Seconds until the device falls back to its default by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPoint:
    """One value in a device's registers.

    Attributes:
        quantity: What it measures; ``None`` for anything but ``Role.MEASURE``.
        address: First register, counted from 0 as on the wire.
        kind: A numeric type of `adapters.modbus.transport.registers.KINDS`.
        scale: Unit of the quantity (kW, kWh, 0-1, s) per unit of the register.
        sign: 1 where the device counts consumption as positive, -1 where production is.
        minimum: Least value that makes sense, in the quantity's unit and sign; a reading below it is dropped, an
            instruction below it is not written.
        maximum: Greatest such value.
        write: It may be written. Without this nothing is ever written, whatever the role.
    """

    role: Role
    quantity: Quantity | None
    address: int
    kind: str
    table: Table = Table.HOLDING
    scale: float = 1.0
    sign: int = 1
    minimum: float = -math.inf
    maximum: float = math.inf
    write: bool = False

    @property
    def size(self) -> int:
        """Number of registers."""
        return KINDS[self.kind].size

    def allows(self, value: float) -> bool:
        """Tell whether a value lies within the point's bounds; NaN does not."""
        return self.minimum <= value <= self.maximum


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMap:
    """All points of one kind of device.

    Attributes:
        low_word_first: 32- and 64-bit values stand with their low register first.
    """

    name: str
    points: tuple[MapPoint, ...]
    manufacturer: str = ""
    model: str = ""
    low_word_first: bool = False

    @classmethod
    def from_toml(cls, path: Path) -> "RegisterMap":
        """Read a map from a TOML file such as ``maps/example_meter.toml``.

        Raises:
            InputError: Something in the file is missing, unknown or makes no sense.
            OSError: The file cannot be read.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(str(path), str(error), "a TOML file in UTF-8") from error
        return cls.from_table(table, where=path.name)

    @classmethod
    def from_table(cls, table: Mapping[str, object], *, where: str) -> "RegisterMap":
        """Build a map from a parsed table; ``where`` begins the name of a field in an error. Raises InputError."""
        _only(table, _MAP_FIELDS, where)
        order = str(table.get("word_order", "high_first"))
        if order not in {"high_first", "low_first"}:
            raise InputError(f"{where}.word_order", order, "high_first or low_first")
        rows = table.get("points")
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{where}.points", rows, "at least one [[points]] table")
        points = tuple(_point(row, f"{where}.points[{i}]") for i, row in enumerate(rows))
        _check_once(points, where)
        return cls(
            name=_text(table, "name", where),
            manufacturer=str(table.get("manufacturer", "")),
            model=str(table.get("model", "")),
            low_word_first=order == "low_first",
            points=points,
        )


def _point(row: object, where: str) -> MapPoint:
    if not isinstance(row, dict):
        raise InputError(where, row, "a table")
    _only(row, _POINT_FIELDS, where)
    role = _member(Role, row.get("role", Role.MEASURE), f"{where}.role")
    kind, sign = str(row.get("type")), _number(row, "sign", 1.0, where)
    if kind not in _PLAIN:
        raise InputError(f"{where}.type", kind, "one of " + ", ".join(_PLAIN))
    if sign not in {1.0, -1.0}:
        raise InputError(f"{where}.sign", sign, "1 or -1")
    return _checked(
        MapPoint(
            role=role,
            quantity=_quantity(row, where) if role is Role.MEASURE else None,
            address=_address(row, where),
            kind=kind,
            table=_member(Table, row.get("table", "holding"), f"{where}.table"),
            scale=_number(row, "scale", 1.0, where),
            sign=int(sign),
            minimum=_number(row, "min", -math.inf, where),
            maximum=_number(row, "max", math.inf, where),
            write=row.get("write", False) is True,
        ),
        where,
    )


def _checked(point: MapPoint, where: str) -> MapPoint:
    if not point.minimum <= point.maximum:
        raise InputError(f"{where}.min", point.minimum, f"a number at or below max = {point.maximum}")
    if point.scale == 0.0 or not math.isfinite(point.scale):
        raise InputError(f"{where}.scale", point.scale, "a finite number other than 0")
    if point.role is not Role.MEASURE and not point.write:
        raise InputError(f"{where}.write", point.write, f"true: a {point.role} is there to be written")
    if point.write and (point.table is Table.INPUT or not math.isfinite(point.minimum + point.maximum)):
        raise InputError(where, "write = true", "a holding register with min and max, which guard what is written")
    return point


def _check_once(points: Sequence[MapPoint], where: str) -> None:
    for role in (Role.SETPOINT, Role.DEFAULT, Role.TIMER):
        if sum(point.role is role for point in points) > 1:
            raise InputError(f"{where}.points", str(role), "each role other than measure at most once")
    measured = [point.quantity for point in points if point.quantity is not None]
    for quantity in measured:
        if measured.count(quantity) > 1:
            raise InputError(f"{where}.points", quantity.name, "each quantity at most once; values are not added up")


def _quantity(row: Mapping[str, object], where: str) -> Quantity:
    name = row.get("quantity")
    if not isinstance(name, str) or name not in Quantity.__members__:
        raise InputError(f"{where}.quantity", name, "one of " + ", ".join(Quantity.__members__))
    return Quantity[name]


def _address(row: Mapping[str, object], where: str) -> int:
    address = row.get("address")
    if not isinstance(address, int) or isinstance(address, bool) or not 0 <= address <= _LAST_REGISTER:
        raise InputError(f"{where}.address", address, "a register number from 0 to 65535, as on the wire")
    return address


def _number(row: Mapping[str, object], name: str, default: float, where: str) -> float:
    value = row.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InputError(f"{where}.{name}", value, "a number")
    return float(value)


def _text(table: Mapping[str, object], name: str, where: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}.{name}", value, "a text that is not empty")
    return value


def _member(kind: type[_Choice], value: object, where: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        raise InputError(where, value, "one of " + ", ".join(str(member.value) for member in kind)) from None


def _only(table: Mapping[str, object], known: set[str], where: str) -> None:
    for field in table:
        if field not in known:
            raise InputError(f"{where}.{field}", table[field], "only " + ", ".join(sorted(known)))
