"""Forgotten requests: ids whose retention is over, with the entry of the journal that says so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vpp.domain.errors import ForgottenError
from vpp.domain.timegrid import instant
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

FORGOTTEN = "requests.forgotten"
"""Kind of the entry that names requests forgotten together, under ``ids``."""
_MOST_IDS = 20_000
"""Ids that are known as forgotten, some 2 MB; the longest forgotten are unknown again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests forgotten together.

    Attributes:
        at_s: Epoch seconds.
        sequence: Entry of the journal that names them, 0 where none is kept.
        ids: Their ids.
    """

    at_s: float
    sequence: int
    ids: tuple[str, ...]


@dataclass(slots=True)
class ForgottenRequests:
    """Batches of forgotten requests, oldest first."""

    _batches: list[Batch] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        """Add requests forgotten now; whole batches are dropped, oldest first, where too many ids are known."""
        self._batches.append(batch)
        count = sum(len(one.ids) for one in self._batches)
        while count > _MOST_IDS and len(self._batches) > 1:
            count -= len(self._batches.pop(0).ids)

    def check(self, request_id: str) -> None:
        """Raise ForgottenError for a request that was forgotten."""
        batch = next((batch for batch in self._batches if request_id in batch.ids), None)
        if batch is not None:
            raise ForgottenError("request", request_id, _words(batch))

    def state(self) -> Sequence[StateTree]:
        """Return the batches as state trees."""
        return [{"at_s": one.at_s, "sequence": one.sequence, "ids": list(one.ids)} for one in self._batches]

    def load(self, state: Sequence[StateTree]) -> None:
        """Take what ``state`` returned."""
        self._batches = [
            Batch(at_s=float(one["at_s"]), sequence=int(one["sequence"]), ids=tuple(one["ids"])) for one in state
        ]


def batch_of(entry: JournalEntry) -> Batch:
    """Return the requests that an entry of kind ``FORGOTTEN`` names."""
    body: Any = entry.body
    return Batch(at_s=entry.at_s, sequence=entry.sequence, ids=tuple(body["ids"]))


def _words(batch: Batch) -> str:
    at = f"at {instant(batch.at_s).isoformat()}, when its retention (VPP_REQUEST_DAYS) was over"
    if not batch.sequence:
        return at
    return f"{at}; its record is in the journal, before entry {batch.sequence}: vpp audit request shows what is kept"
