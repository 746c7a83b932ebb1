"""Redaction of entries that hold names in clear: tokens in their place, and an entry that vouches for what is left.

An entry of an earlier version has its names within what its hash covers. Redacted, it keeps its hash as the link to its
neighbours and loses its names; the hash of what it says now stands in a later entry, which the chain covers like every
other. So whoever changes a redacted entry once more is found as with any entry.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from vpp.record.bodies.fields import Fields, refused
from vpp.record.names.sealing import sealed
from vpp.record.names.subject import SALT_BYTES, Subject, SubjectKind, is_token

REDACTED = "record.redacted"
"""Kind of the entry that vouches for redacted ones."""


@dataclass(slots=True)
class ErasedNames:
    """Names that are erased, and the tokens that stand for them from now on.

    Attributes:
        matches: Returns whether a name of a kind is to be erased.
    """

    matches: Callable[[SubjectKind, str], bool]
    _tokens: dict[tuple[SubjectKind, str], str] = field(default_factory=dict)

    def token(self, kind: SubjectKind, text: str) -> str:
        """Return what stands for a name: a token whose key is nowhere, or the name where it is not to be erased."""
        if is_token(text) or not self.matches(kind, text):
            return text
        if (kind, text) not in self._tokens:
            self._tokens[kind, text] = Subject.of(kind, text, secrets.token_bytes(SALT_BYTES)).token
        return self._tokens[kind, text]

    def left_of(self, kind: str, body: Mapping[str, object]) -> Mapping[str, object] | None:
        """Return what is left of an entry's body, ``None`` where nothing in it is erased."""
        changed = False

        def token_of(subject: SubjectKind, text: str) -> str:
            nonlocal changed
            token = self.token(subject, text)
            changed |= token != text
            return token

        left = sealed(kind, body, token_of)
        return left if changed else None

    def __len__(self) -> int:
        return len(self._tokens)


def redaction_body(entries: Iterable[tuple[int, str]]) -> dict[str, object]:
    """Return the body of the entry about some redacted ones: sequence, and hash of what is left after the link."""
    return {"entries": [[sequence, sha256] for sequence, sha256 in entries]}


def redactions_of(body: Mapping[str, object]) -> dict[int, str]:
    """Return the hash of what is left of every entry, by sequence; raises BodyError."""
    fields, found = Fields(body, REDACTED), dict[int, str]()
    for place, pair in enumerate(fields.sequence("entries")):
        match pair:
            case [int() as sequence, str() as sha256]:
                found[sequence] = sha256
            case _:
                raise refused(f"{REDACTED}.entries[{place}]", pair, "a pair of sequence and hash")
    return found
