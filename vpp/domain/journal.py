"""One line of the record that everything can be replayed from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One decision or event.

    Attributes:
        sequence: Position in the journal, from 1, without gaps.
        kind: What happened, e.g. ``"request.transition"``.
        at_s: Epoch seconds on the service's clock.
        body: JSON-like content.
        sha256: Hash of the previous entry's hash and this entry's canonical JSON, hexadecimal.
    """

    sequence: int
    kind: str
    at_s: float
    body: Mapping[str, object]
    sha256: str
