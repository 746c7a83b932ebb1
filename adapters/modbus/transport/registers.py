"""Numbers and text in 16-bit registers: types, byte order, "not implemented" and scale factors.

Source: SunSpec Device Information Model Specification 1.1, section 6 (data types and their unimplemented values).
Everything is big-endian: the high register comes first.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Registers = Sequence[int]
"""Values 0-65535 in the order they stand on the wire."""

SCALE_LIMIT = 10
"""A scale factor lies between -10 and 10."""
_BYTES = 2
_BIG_ENDIAN = ">"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A numeric type.

    Attributes:
        code: Its letter in the `struct` module.
        absent: The value that says "not implemented", ``None`` where none is set aside.
    """

    code: str
    absent: int | None = None

    @property
    def size(self) -> int:
        """Number of registers."""
        return struct.calcsize(_BIG_ENDIAN + self.code) // _BYTES

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value; infinite for floating point."""
        if self.code in "fd":
            return -math.inf, math.inf
        bits = 16 * self.size
        return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self.code.islower() else (0, 2**bits - 1)


_UINT16 = Kind(code="H", absent=0xFFFF)
_UINT32 = Kind(code="I", absent=0xFFFF_FFFF)
_INT16 = Kind(code="h", absent=-0x8000)

KINDS = {
    "int16": _INT16,
    "sunssf": _INT16,
    "uint16": _UINT16,
    "enum16": _UINT16,
    "bitfield16": _UINT16,
    "count": Kind(code="H"),
    "pad": Kind(code="H"),
    "acc16": Kind(code="H", absent=0),
    "int32": Kind(code="i", absent=-0x8000_0000),
    "uint32": _UINT32,
    "enum32": _UINT32,
    "bitfield32": _UINT32,
    "acc32": Kind(code="I", absent=0),
    "int64": Kind(code="q", absent=-0x8000_0000_0000_0000),
    "uint64": Kind(code="Q", absent=0xFFFF_FFFF_FFFF_FFFF),
    "acc64": Kind(code="Q", absent=0),
    "float32": Kind(code="f"),
    "float64": Kind(code="d"),
}


def packed(registers: Registers) -> bytes:
    """Return registers as they stand on the wire."""
    return struct.pack(f">{len(registers)}H", *registers)


def unpacked(data: bytes) -> tuple[int, ...]:
    """Return the registers in ``data``, two bytes each."""
    return struct.unpack(f">{len(data) // _BYTES}H", data)


def number(kind: str, registers: Registers) -> float:
    """Return the unscaled number in ``registers``, NaN where the device does not implement it or shows no number.

    Raises:
        KeyError: ``kind`` is no numeric type.
    """
    known = KINDS[kind]
    value: float = _struct(_BIG_ENDIAN + known.code).unpack(packed(registers[: known.size]))[0]
    return math.nan if value == known.absent or math.isinf(value) else value


def encoded(kind: str, value: float) -> tuple[int, ...]:
    """Return the registers of an unscaled number, NaN as "not implemented".

    Raises:
        OverflowError: The type cannot hold it, or holds it only as "not implemented".
    """
    known = KINDS[kind]
    if known.code in "fd":
        return unpacked(struct.pack(_BIG_ENDIAN + known.code, value))
    least, greatest = known.bounds
    whole = (known.absent or 0) if math.isnan(value) else value
    if not least <= whole <= greatest or (value == known.absent and known.absent):
        raise OverflowError(f"{value} does not fit {kind}: from {least} to {greatest}, without {known.absent}")
    return unpacked(struct.pack(_BIG_ENDIAN + known.code, round(whole)))


def text(registers: Registers) -> str:
    """Return the string in ``registers``: UTF-8, ended by NUL or padded with it."""
    return packed(registers).split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def scaled(raw: float, exponent: float) -> float:
    """Return ``raw * 10**exponent``; NaN where either is unknown or the exponent is outside -10..10.

    Division keeps decimal values exact where multiplying by a negative power would not.
    """
    if math.isnan(raw) or math.isnan(exponent) or abs(exponent) > SCALE_LIMIT:
        return math.nan
    power = math.pow(10.0, abs(exponent))
    return raw / power if exponent < 0 else raw * power


def unscaled(value: float, exponent: float) -> float:
    """Return the whole number nearest to ``value`` at this scale factor; raises OverflowError for infinity."""
    raw = scaled(value, -exponent)
    return raw if math.isnan(raw) else float(round(raw))


@lru_cache(maxsize=len(KINDS))
def _struct(code: str) -> struct.Struct:
    return struct.Struct(code)
