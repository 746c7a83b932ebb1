"""Connections that were refused: the first place to look when a device is missing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

LONGEST = 120
"""Characters of an id or an address that are kept."""
MOST = 1000
"""Ids that are kept; a real device tries again and again, so those that have not for longest are dropped first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedConnection:
    """An id whose connection was refused, once or more often.

    Attributes:
        adapter: Protocol of the connection.
        identity: Id it stated, ``printable``.
        peer: Address of the last attempt, empty where that is not known.
        reason: Reason of the last refusal, from a bounded list.
        first_s: Epoch seconds of the first attempt.
        last_s: Epoch seconds of the last attempt.
        count: Number of attempts.
    """

    adapter: str
    identity: str
    peer: str
    reason: str
    first_s: float
    last_s: float
    count: int = 1

    def then(self, later: "RefusedConnection") -> "RefusedConnection":
        """Return the attempts of both as one."""
        return replace(later, first_s=min(self.first_s, later.first_s), count=self.count + later.count)


def printable(text: str) -> str:
    """Return a text chosen by a peer in a form fit for logs and tables: control characters escaped, and cut short.

    Whatever moves a cursor, breaks a line or turns the direction of reading is written as its code.
    """
    short = "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode()
        for char in text[: LONGEST + 1]
    )
    return short if len(short) <= LONGEST else short[: LONGEST - 1] + "…"


class RefusedConnections:
    """The ids refused last, at most ``most`` of them."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[tuple[str, str], RefusedConnection] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[RefusedConnection]:
        """Iterate them, the latest attempt first."""
        return iter(list(reversed(self._kept.values())))

    def take(self, refused: RefusedConnection) -> None:
        """Note an attempt."""
        key = refused.adapter, refused.identity
        before = self._kept.pop(key, None)
        self._kept[key] = refused if before is None else before.then(refused)
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def drain(self) -> list[RefusedConnection]:
        """Return all, the oldest first, and keep none."""
        kept, self._kept = self._kept, {}
        return list(kept.values())
