"""Frames of the bus: tables as bytes, columns of numbers and text, never an object a device.

A frame is a header and the columns of its kind, one after the other, all little-endian::

    2 bytes  magic "VB"
    1 byte   version
    1 byte   kind
    4 bytes  number of rows
    8 bytes  number, of a meaning given by the kind (an epoch, a sequence, a total)
    ...      columns in the order of `SCHEMAS`: numbers at their width; text as the byte length of every value (uint32)
             and then all values in UTF-8

A message longer than one frame is a bundle: frames, each behind its length. The size of a frame is checked before its
content is read, so hostile bytes cost their own length and end in FrameError.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import FrameError

VERSION = 1
_MAGIC = b"VB"
_HEADER = struct.Struct("<2sBBIQ")
_LENGTH = struct.Struct("<I")
TEXT = "text"

Column = npt.NDArray[np.generic] | tuple[str, ...]


class Kind(IntEnum):
    """Content of a frame, and the meaning of its number."""

    TELEMETRY = 1
    """Samples."""
    SETPOINTS = 2
    """Commands; number: their place in the sender's sequence."""
    OUTCOMES = 3
    """Outcomes of commands."""
    CLAIMS = 4
    """Device sessions at a gateway that began or ended."""
    CARS = 5
    """Events of charging sessions."""
    REJECTED = 6
    """Counts of frames and rows that were dropped."""
    HEALED = 9
    """Counts of messages that were taken after a repair."""
    BEACON = 7
    """The leader's sign of life, one row; number: its epoch."""
    BEAT = 8
    """A gateway's sign of life, one row; number: the highest epoch it knows of."""
    DEFAULTS = 10
    """Default values in force."""
    CARDS = 11
    """Capability cards: what devices state of themselves."""
    UPLINK = 12
    """Head of a bundle from a gateway, one row; number: its place in the gateway's sequence."""
    RECEIPT = 13
    """Answer to SETPOINTS and UPLINK, one row; number: that of what was received."""
    ASK = 14
    """Request for a page, one row; number: position of its first row."""
    SUPERSEDED = 15
    """Device sessions elsewhere that are newer than those of the receiving gateway."""
    REFUSED_CONNECTIONS = 16
    """Ids whose connection a gateway refused."""
    AGES = 17
    """Wall seconds since the pollers of a gateway's links last turned."""
    FOUND = 18
    """Register values found in devices before our first write, as JSON; none where they are the owner's again."""
    FLEET = 19
    """A service's announcement of the fleet it leads, one row; number: its epoch."""
    AREAS = 20
    """A page of master data, as the four that follow; number: how many there are of the kind in all."""
    OPERATORS = 21
    TRANSFORMERS = 22
    SITES = 23
    RESOURCES = 24
    INSPECT = 25
    """Question for the schedule that a device holds, one row; number: the question's own."""
    INSPECTED = 26
    """Answer to INSPECT, one row: status, and the schedule as JSON or why there is none; number: the question's."""


SCHEMAS: Mapping[Kind, tuple[tuple[str, str], ...]] = {
    Kind.TELEMETRY: (("rows", "<i4"), ("quantities", "u1"), ("values", "<f8"), ("at_s", "<f8")),
    Kind.SETPOINTS: (
        ("ids", "<i8"),
        ("rows", "<i4"),
        ("layers", "u1"),
        ("power_kw", "<f8"),
        ("until_s", "<f8"),
        ("epoch", "<i8"),
    ),
    Kind.OUTCOMES: (("ids", "<i8"), ("rows", "<i4"), ("status", "u1"), ("reasons", "u1"), ("at_s", "<f8")),
    Kind.CLAIMS: (("rows", "<i4"), ("sessions", "<i8"), ("up", "u1"), ("at_s", "<f8")),
    Kind.SUPERSEDED: (("rows", "<i4"), ("sessions", "<i8")),
    Kind.CARS: (
        ("what", "u1"),
        ("session", TEXT),
        ("rows", "<i4"),
        ("at_s", "<f8"),
        ("meter_kwh", "<f8"),
        ("energy_kwh", "<f8"),
        ("departure_s", "<f8"),
        ("floor_kwh", "<f8"),
        ("opted_out", "u1"),
        ("boost", "u1"),
    ),
    Kind.REJECTED: (("adapter", TEXT), ("reason", TEXT), ("count", "<u4")),
    Kind.HEALED: (("adapter", TEXT), ("reason", TEXT), ("count", "<u4")),
    Kind.REFUSED_CONNECTIONS: (
        *((name, TEXT) for name in ("adapter", "identity", "peer", "reason")),
        ("first_s", "<f8"),
        ("last_s", "<f8"),
        ("count", "<u4"),
    ),
    Kind.AGES: (("adapter", TEXT), ("age_wall_s", "<f8")),
    Kind.BEACON: (("resources", "<u4"), ("digest", TEXT)),
    Kind.BEAT: (
        ("gateway", TEXT),
        ("incarnation", "<i8"),
        ("members", "<u4"),
        ("resources", "<u4"),
        ("held", "<u4"),
        ("leaving", "u1"),
    ),
    Kind.DEFAULTS: (("rows", "<i4"), ("power_kw", "<f8")),
    Kind.CARDS: (("rows", "<i4"), ("card", TEXT)),
    Kind.UPLINK: (("gateway", TEXT), ("incarnation", "<i8"), ("at_s", "<f8")),
    Kind.RECEIPT: (("at_s", "<f8"),),
    Kind.ASK: (("what", TEXT),),
    Kind.FLEET: (("fleet", TEXT),),
    Kind.FOUND: (("rows", "<i4"), ("values", TEXT)),
    Kind.INSPECT: (("rows", "<i4"), ("duration_s", "<u4")),
    Kind.INSPECTED: (("status", "u1"), ("text", TEXT)),
    Kind.AREAS: (("id", TEXT), ("name", TEXT)),
    Kind.OPERATORS: (("id", TEXT), ("name", TEXT)),
    Kind.TRANSFORMERS: (
        ("id", TEXT),
        ("area_id", TEXT),
        ("limit_kw", "<f8"),
        ("export_limit_kw", "<f8"),
        ("base_load_kw", "<f8"),
        ("parent_id", TEXT),
    ),
    Kind.SITES: (("id", TEXT), ("name", TEXT), ("area_id", TEXT), ("operator_id", TEXT), ("transformer_id", TEXT)),
    Kind.RESOURCES: (
        *((name, TEXT) for name in ("id", "site_id", "resource_class", "adapter", "address")),
        *((name, "<f8") for name in ("p_min_kw", "p_max_kw", "floor_kw", "capacity_kwh", "efficiency")),
        ("phases", "u1"),
        *((name, "<f8") for name in ("default_kw", "ramp_kw_per_min", "declared_up_kw", "declared_down_kw")),
        *((name, "<f8") for name in ("sustain_minutes", "rebound_ratio", "valid_to_s")),
        ("version", "<u4"),
    ),
}
"""Name and type of every kind's columns, in the order in which they travel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A table that has travelled; arrays are read-only.

    Attributes:
        number: Of the meaning given by its kind.
        count: Number of rows.
    """

    kind: Kind
    number: int
    count: int
    columns: Mapping[str, Column]

    def array(self, name: str) -> npt.NDArray[np.generic]:
        """Return a column of numbers, shape ``(count,)``."""
        column = self.columns[name]
        if isinstance(column, tuple):
            raise FrameError(f"column {name} of {self.kind.name} holds text")
        return column

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a column of text."""
        column = self.columns[name]
        if not isinstance(column, tuple):
            raise FrameError(f"column {name} of {self.kind.name} holds numbers")
        return column


def encode(kind: Kind, columns: Mapping[str, npt.NDArray[np.generic] | Sequence[object]], *, number: int = 0) -> bytes:
    """Return a table as bytes.

    Raises:
        FrameError: Columns are missing, or differ in length.
    """
    schema = SCHEMAS[kind]
    if columns.keys() != {name for name, _ in schema}:
        raise FrameError(f"{kind.name} has the columns {[name for name, _ in schema]}, got {sorted(columns)}")
    lengths = {len(columns[name]) for name, _ in schema}
    if len(lengths) != 1:
        raise FrameError(f"columns of {kind.name} differ in length: {sorted(lengths)}")
    parts = [_HEADER.pack(_MAGIC, VERSION, kind, lengths.pop(), number)]
    for name, code in schema:
        parts.extend(
            _texts(columns[name]) if code == TEXT else [np.asarray(columns[name]).astype(code, copy=False).tobytes()]
        )
    return b"".join(parts)


def decode(content: bytes, *kinds: Kind) -> Frame:
    """Return the table that ``encode`` was given.

    Args:
        content: One frame.
        kinds: What it may be; any kind if none is named.

    Raises:
        FrameError: These are not the bytes of such a table, or of a version this program does not know.
    """
    if len(content) < _HEADER.size:
        raise FrameError(f"a frame has at least {_HEADER.size} bytes, got {len(content)}")
    magic, version, code, count, number = _HEADER.unpack_from(content)
    if (magic, version) != (_MAGIC, VERSION):
        raise FrameError(f"expected a frame of version {VERSION}, got {magic!r} version {version}")
    if code not in SCHEMAS:
        raise FrameError(f"kind {code} of frame is not known")
    kind = Kind(code)
    if kinds and kind not in kinds:
        raise FrameError(f"expected {' or '.join(k.name for k in kinds)}, got {kind.name}")
    reader = _Reader(content, _HEADER.size, count)
    columns = {name: reader.texts() if code == TEXT else reader.numbers(code) for name, code in SCHEMAS[kind]}
    if reader.at != len(content):
        raise FrameError(f"{kind.name} of {count} rows has {len(content) - reader.at} bytes too many")
    return Frame(kind=kind, number=number, count=count, columns=columns)


def bundled(frames: Sequence[bytes]) -> bytes:
    """Return several frames as one message."""
    return b"".join(part for frame in frames for part in (_LENGTH.pack(len(frame)), frame))


def unbundled(content: bytes) -> Iterator[bytes]:
    """Iterate the frames of a bundle, undecoded.

    Raises:
        FrameError: A length does not fit.
    """
    at = 0
    while at < len(content):
        if at + _LENGTH.size > len(content):
            raise FrameError(f"a bundle ends {len(content) - at} bytes into a length")
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        if at + length > len(content):
            raise FrameError(f"a frame of {length} bytes is announced where {len(content) - at} are left")
        yield content[at : at + length]
        at += length


class _Reader:
    """Cuts columns off the front of a frame."""

    def __init__(self, content: bytes, at: int, count: int) -> None:
        self.at = at
        self._content = content
        self._count = count

    def numbers(self, code: str) -> npt.NDArray[np.generic]:
        width = np.dtype(code).itemsize
        start = self._take(width * self._count)
        return np.frombuffer(self._content, dtype=code, count=self._count, offset=start)

    def texts(self) -> tuple[str, ...]:
        lengths = self.numbers("<u4").astype(np.int64)
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if self._count else 0
        start = self._take(total)
        blob = self._content[start : start + total]
        try:
            return tuple(blob[e - n : e].decode() for e, n in zip(ends.tolist(), lengths.tolist(), strict=True))
        except UnicodeDecodeError as error:
            raise FrameError(f"text is not UTF-8: {error}") from error

    def _take(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        if self.at > len(self._content):
            raise FrameError(f"{self._count} rows need {self.at} bytes, got {len(self._content)}")
        return start


def _texts(values: npt.NDArray[np.generic] | Sequence[object]) -> list[bytes]:
    encoded = [str(value).encode() for value in values]
    return [np.array([len(e) for e in encoded], dtype="<u4").tobytes(), *encoded]
