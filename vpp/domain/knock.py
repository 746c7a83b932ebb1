"""Devices that knocked and were not let in: what an operator looks at when one is missing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

LONGEST = 120
"""Characters of an id or an address that are kept."""
MOST = 1000
"""Ids that are kept; a real device knocks again and again, so the ones that have not for longest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """One id that was not let in, and how often.

    Attributes:
        adapter: Protocol it knocked by.
        identity: What it called itself, ``printable``.
        peer: Address it came from last, empty where that is not known.
        reason: Why it was not let in last, from a bounded list.
        first_s: Epoch seconds of the first time.
        last_s: Epoch seconds of the last time.
        count: How often.
    """

    adapter: str
    identity: str
    peer: str
    reason: str
    first_s: float
    last_s: float
    count: int = 1

    def then(self, later: "Knock") -> "Knock":
        """Return both as one."""
        return replace(later, first_s=min(self.first_s, later.first_s), count=self.count + later.count)


def printable(text: str) -> str:
    """Return a text that a peer chose as it may stand in logs and tables: control characters escaped, its end cut off.

    Whatever moves a cursor, breaks a line or turns the direction of reading is written as its code.
    """
    short = "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode()
        for char in text[: LONGEST + 1]
    )
    return short if len(short) <= LONGEST else short[: LONGEST - 1] + "…"


class KnockBook:
    """The last ids that knocked, at most ``most`` of them."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[tuple[str, str], Knock] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Knock]:
        """Iterate them, the one that knocked last first."""
        return iter(list(reversed(self._kept.values())))

    def take(self, knock: Knock) -> None:
        """Note a knock."""
        key = knock.adapter, knock.identity
        before = self._kept.pop(key, None)
        self._kept[key] = knock if before is None else before.then(knock)
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def drain(self) -> list[Knock]:
        """Return all, the oldest first, and forget them."""
        kept, self._kept = self._kept, {}
        return list(kept.values())
