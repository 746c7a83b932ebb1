"""A request book with one request of 400 kW whose target is changed."""

from dataclasses import replace
from datetime import datetime, timedelta

from tests.unit.vpp.dispatch.requests.parts import AREAS, DRAFT, NOW, quote
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import PhaseLengths, RequestRules
from vpp.domain.request import DispatchRequest, Revision
from vpp.record.entry import JournalEntry

RULES = RequestRules(phases=PhaseLengths(ramp_minutes=10.0, release_minutes=10.0))


class Play:
    """A book with one request of 400 kW, and its journal."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.book = RequestBook(self._record, RULES)
        draft = replace(DRAFT, target_kw=400.0)
        self.id = self.book.submit(draft, key=None, actor="d", now=NOW, known_areas=AREAS)[0].id
        self.book.quoted(self.id, quote(), NOW)
        self.book.accept(self.id, offer=None, actor="d", now=NOW)

    def _record(self, kind: str, at_s: float, body: object) -> None:
        number = len(self.entries) + 1
        self.entries.append(JournalEntry(sequence=number, kind=kind, at_s=at_s, body=body, sha256=""))  # type: ignore[arg-type] # JSON

    def ask(
        self,
        at: datetime,
        *,
        target_kw: float | None = None,
        end_at: datetime | None = None,
    ) -> Revision:
        """Ask for a change and attach its quote."""
        draft = self.book.revisions.draft(self.id, target_kw=target_kw, end_at=end_at, now=at)
        revision = Revision(
            number=len(self.book.get(self.id).revisions) + 1,
            asked_at=at,
            actor="d",
            target_kw=draft.target_kw,
            end_at=draft.end_at,
            quote=replace(quote(), expires_at=at + timedelta(minutes=5)),
        )
        self.book.revisions.add(self.id, revision)
        return revision

    def change(
        self, at: datetime, *, target_kw: float | None = None, end_at: datetime | None = None
    ) -> DispatchRequest:
        """Put a change in force at once."""
        number = self.ask(at, target_kw=target_kw, end_at=end_at).number
        return self.book.revisions.accept(self.id, number, actor="d", now=at)

    def due_kw(self, at: datetime) -> float:
        """Return what is due."""
        return self.book.timetable(self.id).target_at(at.timestamp())


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
