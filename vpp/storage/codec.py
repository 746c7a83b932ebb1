"""Lossless codec of telemetry frames: columns, bytes sorted by significance, compressed.

Layout: ``VT``, version (uint8), number of samples (uint32, little-endian), then the compressed columns ``rows`` (int32,
differences), ``quantities`` (uint8), ``values`` and ``at_s`` (float64), each little-endian with all first bytes
before all second bytes. Slowly changing columns become long runs that way (the shuffle filter of HDF5). Version 2 is
compressed by Zstandard in a sixth of the time of version 1, which was deflated and is still read.
"""

import struct
import zlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vpp.domain.errors import FrameError
from vpp.domain.telemetry import TelemetryBatch

VERSION = 2
_DEFLATED = 1
_HEADER = struct.Struct("<2sBI")
_MAGIC = b"VT"
_BYTES_PER_SAMPLE = 4 + 1 + 8 + 8
_ZSTD = pa.Codec("zstd", compression_level=1)


def encode(batch: TelemetryBatch) -> bytes:
    """Return a batch as bytes."""
    differences = np.diff(batch.rows.astype("<i4"), prepend=np.int32(0)).astype("<i4")
    columns = (differences, batch.quantities.astype("u1"), batch.values.astype("<f8"), batch.at_s.astype("<f8"))
    content = b"".join(_shuffled(column) for column in columns)
    return _HEADER.pack(_MAGIC, VERSION, len(batch)) + bytes(_ZSTD.compress(content, asbytes=True))


def decode(frame: bytes) -> TelemetryBatch:
    """Return the batch that ``encode`` was given.

    Raises:
        FrameError: These are not the bytes of a batch, or of a version that is not known.
    """
    version, count = _header(frame)
    try:
        content = _content(frame[_HEADER.size :], version, count * _BYTES_PER_SAMPLE)
    except (zlib.error, OSError, ValueError) as error:
        raise FrameError(f"telemetry frame of {len(frame)} bytes cannot be inflated: {error}") from error
    if len(content) != count * _BYTES_PER_SAMPLE:
        raise FrameError(f"expected {count * _BYTES_PER_SAMPLE} bytes for {count} samples, got {len(content)}")
    rows_end, quantities_end, values_end = 4 * count, 5 * count, 13 * count
    return TelemetryBatch(
        rows=np.cumsum(_unshuffled(content[:rows_end], "<i4"), dtype=np.int32),
        quantities=np.frombuffer(content[rows_end:quantities_end], dtype=np.uint8),
        values=_unshuffled(content[quantities_end:values_end], "<f8").astype(np.float64),
        at_s=_unshuffled(content[values_end:], "<f8").astype(np.float64),
    )


def _content(packed: bytes, version: int, size: int) -> bytes:
    if version == _DEFLATED:
        return zlib.decompress(packed)
    return bytes(_ZSTD.decompress(packed, decompressed_size=size, asbytes=True))


def _header(frame: bytes) -> tuple[int, int]:
    if len(frame) < _HEADER.size:
        raise FrameError(f"a telemetry frame has at least {_HEADER.size} bytes, got {len(frame)}")
    magic, version, count = _HEADER.unpack_from(frame)
    if magic != _MAGIC or version not in (_DEFLATED, VERSION):
        raise FrameError(f"expected a telemetry frame of version {VERSION}, got {magic!r} version {version}")
    return int(version), int(count)


def _shuffled(column: npt.NDArray[np.generic]) -> bytes:
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), column.itemsize).T.tobytes()


def _unshuffled(content: bytes, dtype: str) -> npt.NDArray[np.generic]:
    width = np.dtype(dtype).itemsize
    planes = np.frombuffer(content, dtype=np.uint8).reshape(width, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)
