"""Archive segments: consecutive journal entries in one compressed file, hashed bytes verbatim.

Layout: ``VPPR``, version (uint8), size of the head (uint32, little-endian), the head as JSON (`SegmentHead`), then
blocks: compressed size and size (uint32 each) and a Zstandard frame. A block holds whole entries: time (float64), sizes
of kind, text and packed body (uint16, uint32, uint32), then these three. Hashes are not stored: they follow from the
entries and the hash before the first, and have to come to the one after the last. Only those of redacted entries, which
no longer follow, are in the head: ``links``, by sequence, in a segment of version 2.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import orjson
import pyarrow as pa

from vpp.domain.errors import FrameError
from vpp.record.chain import link
from vpp.record.stored_body import StoredBody
from vpp.record.stored_entry import StoredEntry

_MAGIC, _PLAIN, _REDACTED = b"VPPR", 1, 2
_LINKS = "links"
_START = struct.Struct("<4sBI")
_BLOCK = struct.Struct("<II")
_ENTRY = struct.Struct("<dHII")
_BLOCK_BYTES = 2**20
_ZSTD = pa.Codec("zstd", compression_level=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentHead:
    """What a segment holds.

    Attributes:
        first: Sequence of its first entry.
        last: Sequence of its last entry.
        before_sha256: Hash of the entry before the first.
        last_sha256: Hash of the last entry.
        from_s: Epoch seconds of the earliest entry.
        until_s: Epoch seconds of the latest entry.
    """

    first: int
    last: int
    before_sha256: str
    last_sha256: str
    from_s: float
    until_s: float

    @property
    def count(self) -> int:
        """Number of entries."""
        return self.last - self.first + 1


def segment_bytes(entries: Sequence[StoredEntry], before_sha256: str) -> tuple[SegmentHead, bytes]:
    """Return head and content of a segment of consecutive entries, at least one."""
    head = SegmentHead(
        first=entries[0].sequence,
        last=entries[-1].sequence,
        before_sha256=before_sha256,
        last_sha256=entries[-1].sha256,
        from_s=min(entry.at_s for entry in entries),
        until_s=max(entry.at_s for entry in entries),
    )
    links = _links(entries, before_sha256)
    version, more = (_REDACTED, {_LINKS: links}) if links else (_PLAIN, {})
    described = orjson.dumps({**asdict(head), **more}, option=orjson.OPT_SORT_KEYS)
    return head, _START.pack(_MAGIC, version, len(described)) + described + b"".join(_blocks(entries))


def head_of(content: bytes) -> SegmentHead:
    """Return the head of a segment; raises FrameError where these are not the bytes of one."""
    return _opened(content)[0]


def _links(entries: Sequence[StoredEntry], before_sha256: str) -> dict[str, str]:
    """Return the hashes that do not follow from their entries, by sequence: those of redacted entries."""
    links: dict[str, str] = {}
    for entry in entries:
        if entry.linked(before_sha256) != entry.sha256:
            links[str(entry.sequence)] = entry.sha256
        before_sha256 = entry.sha256
    return links


def segment_entries(content: bytes) -> Iterator[StoredEntry]:
    """Iterate the entries of a segment, hashes computed; a redacted one has the hash by which its neighbours link.

    Raises:
        FrameError: These are not the bytes of a segment, or its entries do not come to its last hash.
    """
    head, links, at = _opened(content)
    sequence, sha256 = head.first, head.before_sha256
    while at < len(content):
        block, at = _inflated(content, at)
        for at_s, kind, body in _records(block):
            sha256 = links.get(str(sequence)) or link(sha256, sequence, kind, at_s, *body)
            yield StoredEntry(sequence=sequence, kind=kind, at_s=at_s, body=body, sha256=sha256)
            sequence += 1
    if (sequence - 1, sha256) != (head.last, head.last_sha256):
        raise FrameError(f"entries {head.first} to {head.last} end at {sequence - 1} with hash {sha256}")


def _blocks(entries: Sequence[StoredEntry]) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    for entry in entries:
        kind, text = entry.kind.encode(), entry.body.text.encode()
        block += (_ENTRY.pack(entry.at_s, len(kind), len(text), len(entry.body.packed)), kind, text, entry.body.packed)
        size += entry.body.size
        if size >= _BLOCK_BYTES:
            yield _deflated(b"".join(block))
            block, size = [], 0
    if block:
        yield _deflated(b"".join(block))


def _deflated(block: bytes) -> bytes:
    content = bytes(_ZSTD.compress(block, asbytes=True))
    return _BLOCK.pack(len(content), len(block)) + content


def _inflated(content: bytes, at: int) -> tuple[bytes, int]:
    """Return the block at a place, and the place after it."""
    try:
        size, whole = _BLOCK.unpack_from(content, at)
        at += _BLOCK.size
        if at + size > len(content):
            raise FrameError(f"a block of {size} bytes is cut at {len(content) - at}")
        return bytes(_ZSTD.decompress(content[at : at + size], decompressed_size=whole, asbytes=True)), at + size
    except (struct.error, OSError, ValueError) as error:
        raise FrameError(f"a block cannot be read: {error}") from error


def _records(block: bytes) -> Iterator[tuple[float, str, StoredBody]]:
    at = 0
    try:
        while at < len(block):
            at_s, kind_size, text_size, packed_size = _ENTRY.unpack_from(block, at)
            kind_end = at + _ENTRY.size + kind_size
            text_end = kind_end + text_size
            kind, text = block[at + _ENTRY.size : kind_end].decode(), block[kind_end:text_end].decode()
            at = text_end + packed_size
            yield at_s, kind, StoredBody(text, block[text_end:at])
    except (struct.error, UnicodeDecodeError) as error:
        raise FrameError(f"an entry cannot be read: {error}") from error


def _opened(content: bytes) -> tuple[SegmentHead, Mapping[str, str], int]:
    """Return the head, the hashes of redacted entries by sequence, and the place of the first block."""
    try:
        magic, version, size = _START.unpack_from(content)
        if magic != _MAGIC:
            raise FrameError("this is no segment of a journal")
        if version not in {_PLAIN, _REDACTED}:
            raise FrameError(f"a segment of version {version} needs a newer service; this one reads {_REDACTED}")
        described = orjson.loads(content[_START.size : _START.size + size])
        links = described.pop(_LINKS, {})
        return SegmentHead(**described), links, _START.size + size
    except (struct.error, TypeError, ValueError) as error:
        raise FrameError(f"the head of a segment cannot be read: {error}") from error
