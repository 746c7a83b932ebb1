"""Subjects: names of people and companies, and the tokens that stand for them and commit to them.

A token is a keyed hash of a name; name and key (a salt of its own) stand in a table beside the journal. Whoever has the
row can tell that the token is of this name and of no other. Without it the token is a pseudonym that nothing links to a
name any more.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum

_TOKEN = re.compile(r"~[a-z2-7]{32}")
_DIGEST_BYTES = 20
SALT_BYTES = 16


class SubjectKind(StrEnum):
    """What a name belongs to."""

    SESSION = "session"
    """A driver's charging session, ``station:transaction``."""
    ACTOR = "actor"
    """Whoever acted, as the caller stated it."""
    NAME = "name"
    """Name of an operator, a site or another member of the fleet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One name and the token that stands for it.

    Attributes:
        salt: Key of the token, random and the subject's own, 16 bytes.
    """

    token: str
    kind: SubjectKind
    salt: bytes
    text: str

    @classmethod
    def of(cls, kind: SubjectKind, text: str, salt: bytes) -> "Subject":
        """Return a name with its token."""
        return cls(token=_token(kind, text, salt), kind=kind, salt=salt, text=text)

    @property
    def holds(self) -> bool:
        """True while name and key are those that the token was made of."""
        return hmac.compare_digest(self.token, _token(self.kind, self.text, self.salt))


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def _token(kind: SubjectKind, text: str, salt: bytes) -> str:
    name = f"{kind.value}\0{text}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(name, key=salt, digest_size=_DIGEST_BYTES).digest()
    return "~" + base64.b32encode(digest).decode().lower()
