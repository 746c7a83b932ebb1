"""Entries of the journal, from which every decision can be replayed."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """Last entry of a journal; 0 and the hash before the first entry where there is none.

    Attributes:
        sequence: Its position.
        sha256: Its hash, hexadecimal.
    """

    sequence: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One decision or event.

    Attributes:
        sequence: Position in the journal, from 1, without gaps.
        kind: Kind of the entry, e.g. ``"request.transition"``.
        at_s: Epoch seconds on the service's clock.
        body: JSON-like content.
        sha256: Hash of the previous entry's hash and of this entry as stored (`vpp.record.chain`), hexadecimal.
    """

    sequence: int
    kind: str
    at_s: float
    body: Mapping[str, object]
    sha256: str
