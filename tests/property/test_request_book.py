"""Whatever is done to requests in whatever order: only allowed steps, what ended stays ended, keys stand fast."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.dispatch.requests.book import ALLOWED, RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.request import (
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    Quote,
    RequestDraft,
    RequestState,
)
from vpp.lab.bench.journal.city_rows import quote_of
from vpp.record.entry import JournalEntry

BEGIN = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)
ENDED = {RequestState.CANCELLED, RequestState.ABORTED, RequestState.SUPERSEDED, RequestState.FAILED}
KEYS = (None, None, "one", "two")
ACTS = ("submit", "quote", "accept", "offer", "cancel", "decline", "supersede", "fail", "verify", "settle", "pass")
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTS), st.integers(0, 2), st.sampled_from(KEYS), st.integers(1, 90)), max_size=40
)


class _Play:
    """A book, its journal, and the acts of a test on it."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.now = BEGIN
        self.book = RequestBook(self._record, RequestRules())
        self.ids: list[str] = []

    def _record(self, kind: str, at_s: float, body: object) -> None:
        number = len(self.entries) + 1
        self.entries.append(JournalEntry(sequence=number, at_s=at_s, kind=kind, body=body, sha256=""))  # type: ignore[arg-type] # JSON

    def act(self, name: str, number: int, key: str | None, minutes: int) -> None:
        """Do one thing; what the book refuses is refused by a named error."""
        self.now += timedelta(minutes=minutes) if name == "pass" else timedelta(seconds=1)
        self.book.advance(self.now.timestamp())
        try:
            self._done(name, number, key)
        except (ConflictError, InputError, UnknownIdError):
            return

    def _done(self, name: str, number: int, key: str | None) -> None:
        if name == "submit":
            self._submitted(number, key)
        elif name != "pass" and number < len(self.ids):
            self._acts()[name](self.ids[number], key)

    def _submitted(self, number: int, key: str | None) -> None:
        start_at = BEGIN + timedelta(hours=2 + 3 * number)
        draft = RequestDraft(
            product=Product.PEAK_SHAVING,
            direction=Direction.UP,
            target_kw=10.0,
            area="north",
            start_at=start_at,
            end_at=start_at + timedelta(hours=1),
            notice_class=NoticeClass.FAST,
        )
        request, created = self.book.submit(draft, key=key, actor="x", now=self.now, known_areas=("north",))
        self.ids += [request.id] if created else []

    def _quote(self, request_id: str) -> Quote:
        start_at = self.book.get(request_id).draft.start_at
        return quote_of(1.0, start_at=start_at, expires_at=self.now + timedelta(minutes=20))

    def _acts(self) -> dict[str, Callable[[str, str | None], DispatchRequest]]:
        book, now = self.book, self.now
        stop = {"actor": "x", "reason": "because", "now": now}
        return {
            "quote": lambda i, _: book.quoted(i, self._quote(i), now),
            "accept": lambda i, key: book.accept(i, offer=None, actor="x", now=now, key=key),
            "offer": lambda i, key: book.accept(i, offer=0, actor="x", now=now, key=key),
            "cancel": lambda i, key: book.cancel(i, key=key, **stop),  # type: ignore[arg-type] # by name
            "decline": lambda i, key: book.decline(i, key=key, **stop),  # type: ignore[arg-type] # by name
            "supersede": lambda i, key: book.supersede(i, key=key, **stop),  # type: ignore[arg-type] # by name
            "fail": lambda i, _: book.fail(i, reason="because", now=now),
            "verify": lambda i, _: book.verified(i, now=now),
            "settle": lambda i, _: book.settled(i, now=now),
        }


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_only_allowed_steps_are_made_and_what_ended_stays_ended(steps: list[tuple[str, int, str | None, int]]) -> None:
    play = _Play()
    for step in steps:
        play.act(*step)

    for request in play.book.all():
        states = [t.to_state for t in request.history]
        for before, after in zip([None, *states[:-1]], states, strict=True):
            assert after in ALLOWED.get(before, frozenset())
        ended = next((n for n, state in enumerate(states) if state in ENDED), len(states))
        assert RequestState.ACCEPTED not in states[ended:], "what was taken back is not accepted again"
        assert states.count(RequestState.ACCEPTED) <= 1
        assert [t.version for t in request.history] == list(range(1, len(states) + 1))


@given(STEPS, st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_repeating_an_act_changes_nothing_and_is_answered_as_at_first(
    steps: list[tuple[str, int, str | None, int]], number: int
) -> None:
    play = _Play()
    for step in steps:
        play.act(*step)
    play.now += timedelta(seconds=1)
    for name in ("accept", "cancel", "decline", "supersede"):
        if number >= len(play.ids):
            return
        act = play._acts()[name]
        try:
            first = act(play.ids[number], None)
        except ConflictError:
            continue
        again, written = act(play.ids[number], None), len(play.entries)
        assert again == first
        assert len(play.entries) == written


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_the_journal_alone_rebuilds_book_and_keys(steps: list[tuple[str, int, str | None, int]]) -> None:
    play = _Play()
    for step in steps:
        play.act(*step)
    rebuilt = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    rebuilt.restore(play.entries)

    assert repr(rebuilt.all()) == repr(play.book.all()), "by their text: NaN is not equal to itself"
    assert rebuilt._register._acts == play.book._register._acts
    assert rebuilt._register._asked == play.book._register._asked
