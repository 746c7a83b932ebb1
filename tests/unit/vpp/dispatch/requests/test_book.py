"""The book of requests: what is refused, how a request lives, and that nothing is promised twice."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.vpp.dispatch.requests.parts import AREAS, DRAFT, END, NOW, START, accepted, quote, submit
from vpp.dispatch.requests.book import ALLOWED, RequestBook
from vpp.dispatch.requests.phases import Phase
from vpp.dispatch.settings import RequestRules
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.request import (
    Direction,
    NoticeClass,
    Product,
    RequestState,
    Revision,
    Shortfall,
    Verdict,
)
from vpp.record.entry import JournalEntry


@pytest.fixture
def book() -> RequestBook:
    return RequestBook(lambda _kind, _at, _body: None, RequestRules())


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("target_kw", {"target_kw": 0.0}),
        ("target_kw", {"target_kw": -5.0}),
        ("target_kw", {"target_kw": float("nan")}),
        ("target_kw", {"target_kw": float("inf")}),
        ("end_at", {"end_at": START}),
        ("end_at", {"end_at": START + timedelta(minutes=5)}),
        ("end_at", {"end_at": START + timedelta(days=3)}),
        ("start_at", {"start_at": NOW - timedelta(minutes=1)}),
        ("start_at", {"start_at": NOW + timedelta(minutes=5)}),
        ("start_at", {"notice_class": NoticeClass.DAY_AHEAD}),
        ("start_at", {"start_at": START.replace(tzinfo=None)}),
        ("direction", {"direction": Direction.DOWN}),
        ("direction", {"product": Product.VALLEY_FILLING}),
        ("tolerance_ratio", {"tolerance_ratio": 0.0}),
        ("min_delivered_ratio", {"min_delivered_ratio": 1.1}),
        ("ramp_minutes", {"ramp_minutes": -1.0}),
        ("rebound_cap_kw", {"rebound_cap_kw": -1.0}),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused_by_field(
    book: RequestBook, field: str, changes: Mapping[str, object]
) -> None:
    with pytest.raises(InputError) as caught:
        submit(book, replace(DRAFT, **changes))  # type: ignore[arg-type] # each row names its own field
    assert caught.value.field == field


def test_an_unknown_area_is_refused_by_name(book: RequestBook) -> None:
    with pytest.raises(UnknownIdError, match="area 'atlantis'"):
        submit(book, replace(DRAFT, area="atlantis"))


@pytest.mark.parametrize(("area", "clash"), [("north", True), ("city", True), ("south", False)])
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"product": Product.VALLEY_FILLING, "direction": Direction.DOWN}, "asks for up"),
        ({"product": Product.REGULATION}, "regulation"),
    ],
)
def test_what_would_take_back_what_is_given_is_refused_in_the_same_area(
    book: RequestBook,
    area: str,
    clash: bool,  # noqa: FBT001 - table
    changes: Mapping[str, object],
    why: str,
) -> None:
    first = accepted(book)
    rival = replace(DRAFT, area=area, **changes)  # type: ignore[arg-type] # each row names its own fields
    if not clash:
        assert submit(book, rival) != first
        return
    with pytest.raises(InputError, match=f"(?s){first}.*{why}") as caught:
        submit(book, rival)
    assert caught.value.field == "start_at"


@pytest.mark.parametrize("area", ["north", "city"])
def test_requests_of_one_direction_share_an_area(book: RequestBook, area: str) -> None:
    first = accepted(book)
    second = submit(book, replace(DRAFT, area=area))
    assert [other.id for other in book.overlapping(second)] == [first]
    book.quoted(second, quote(), NOW)
    assert book.accept(second, offer=None, actor="dispatcher", now=NOW).state is RequestState.SCHEDULED


def test_two_quotes_for_the_same_power_cannot_both_be_accepted(book: RequestBook) -> None:
    first, second = submit(book), submit(book)
    for request_id in (first, second):
        book.quoted(request_id, quote(), NOW)
    book.accept(first, offer=None, actor="dispatcher", now=NOW)
    with pytest.raises(ConflictError, match=f"{first}.*its quote does not count"):
        book.accept(second, offer=None, actor="dispatcher", now=NOW)


def test_a_quote_begun_before_another_was_committed_does_not_count_it(book: RequestBook) -> None:
    second = submit(book)
    first = accepted(book)
    book.quoted(second, quote(), NOW, counted=())
    with pytest.raises(ConflictError, match=first):
        book.accept(second, offer=None, actor="dispatcher", now=NOW)


def revised(book: RequestBook, request_id: str, target_kw: float, *, asked_s: float = 0.0) -> None:
    """Ask a change ``asked_s`` seconds from now, and put it in force a second later."""
    asked_at = NOW + timedelta(seconds=asked_s)
    book.revisions.add(
        request_id,
        Revision(
            number=1, asked_at=asked_at, actor="d", target_kw=target_kw, end_at=END, quote=quote(p50_kw=target_kw)
        ),
    )
    book.revisions.accept(request_id, 1, actor="d", now=asked_at + timedelta(seconds=1))


@pytest.mark.parametrize(("target_kw", "refused"), [(600.0, True), (400.0, False)])
def test_a_quote_does_not_count_what_another_was_revised_to_since(target_kw: float, refused: bool) -> None:  # noqa: FBT001 - table
    book = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    first = accepted(book)
    second, later = submit(book), NOW + timedelta(seconds=2)
    book.quoted(second, quote(), NOW)
    revised(book, first, target_kw)
    if refused:
        with pytest.raises(ConflictError, match=f"{first}.*its quote does not count"):
            book.accept(second, offer=None, actor="dispatcher", now=later)
    else:
        assert book.accept(second, offer=None, actor="dispatcher", now=later).accepted_kw


@pytest.mark.parametrize(("target_kw", "refused"), [(600.0, True), (400.0, False)])
def test_a_revision_does_not_count_rows_that_another_was_handed_since(target_kw: float, refused: bool) -> None:  # noqa: FBT001 - table
    book = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    first, second = accepted(book), accepted(book)
    assert [other.id for other in book.overlapping(first)] == [second]
    if refused:
        with pytest.raises(ConflictError, match=f"does not count request {second}"):
            revised(book, first, target_kw, asked_s=-1.0)
    else:
        revised(book, first, target_kw, asked_s=-1.0)
        assert book.get(first).accepted_kw == target_kw


@pytest.mark.parametrize("late", [False, True])
def test_after_a_restart_a_quote_counts_those_committed_before_it(late: bool) -> None:  # noqa: FBT001 - both ways
    entries: list[JournalEntry] = []

    def record(kind: str, at_s: float, body: object) -> None:
        entries.append(JournalEntry(sequence=len(entries) + 1, at_s=at_s, kind=kind, body=body, sha256=""))  # type: ignore[arg-type] # JSON

    before, soon = RequestBook(record, RequestRules()), NOW + timedelta(seconds=2)
    first, second = submit(before), submit(before)
    for request_id, at in ((first, NOW), (second, NOW if late else soon)):
        before.quoted(request_id, quote(), at)
        if request_id == first or late:
            before.accept(first, offer=None, actor="d", now=NOW + timedelta(seconds=1))
    after = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    after.restore(entries)
    if late:
        with pytest.raises(ConflictError, match=first):
            after.accept(second, offer=None, actor="d", now=soon)
    else:
        assert after.accept(second, offer=None, actor="d", now=soon).accepted_kw


def test_the_window_of_a_cancelled_request_is_free_again(book: RequestBook) -> None:
    book.cancel(accepted(book), actor="dispatcher", reason="changed", now=NOW)
    assert submit(book)


def test_the_same_key_gives_the_same_request_and_another_draft_a_conflict(book: RequestBook) -> None:
    first, created = book.submit(DRAFT, key="k", actor="d", now=NOW, known_areas=AREAS)
    again, created_again = book.submit(DRAFT, key="k", actor="d", now=END, known_areas=AREAS)
    assert (created, created_again) == (True, False)
    assert first == again
    with pytest.raises(ConflictError, match="'k'"):
        book.submit(replace(DRAFT, target_kw=1.0), key="k", actor="d", now=NOW, known_areas=AREAS)


@pytest.mark.parametrize(("verdict", "expected_kw"), [(Verdict.FEASIBLE, 500.0), (Verdict.PARTIAL, 400.0)])
def test_acceptance_promises_what_the_quote_said(book: RequestBook, verdict: Verdict, expected_kw: float) -> None:
    request_id = submit(book)
    book.quoted(request_id, quote(verdict), NOW)
    request = book.accept(request_id, offer=None, actor="dispatcher", now=NOW)
    assert request.accepted_kw == expected_kw
    assert [t.to_state for t in request.history][-2:] == [RequestState.ACCEPTED, RequestState.SCHEDULED]
    assert book.accept(request_id, offer=None, actor="dispatcher", now=NOW) == request


def test_a_partial_quote_below_what_the_dispatcher_needs_cannot_be_accepted(book: RequestBook) -> None:
    request_id = submit(book, replace(DRAFT, min_delivered_ratio=0.9))
    book.quoted(request_id, quote(Verdict.PARTIAL), NOW)
    with pytest.raises(ConflictError, match="450"):
        book.accept(request_id, offer=None, actor="dispatcher", now=NOW)


def test_an_infeasible_quote_needs_a_counter_offer_which_replaces_the_draft(book: RequestBook) -> None:
    request_id = submit(book)
    book.quoted(request_id, quote(Verdict.INFEASIBLE), NOW)
    with pytest.raises(ConflictError):
        book.accept(request_id, offer=None, actor="dispatcher", now=NOW)
    with pytest.raises(InputError) as caught:
        book.accept(request_id, offer=7, actor="dispatcher", now=NOW)
    assert caught.value.field == "offer"
    request = book.accept(request_id, offer=0, actor="dispatcher", now=NOW)
    assert request.accepted_kw == request.draft.target_kw == 300.0
    assert request.draft.start_at == START + timedelta(minutes=30)


def test_an_expired_quote_is_a_conflict_and_ends_the_request(book: RequestBook) -> None:
    request_id = submit(book)
    book.quoted(request_id, quote(), NOW)
    with pytest.raises(ConflictError, match="expired"):
        book.accept(request_id, offer=None, actor="dispatcher", now=NOW + timedelta(minutes=6))
    assert book.get(request_id).state is RequestState.EXPIRED


def test_a_refused_reservation_changes_nothing(book: RequestBook) -> None:
    def refuse(_: object) -> None:
        raise ConflictError("taken")

    request_id = submit(book)
    before = book.quoted(request_id, quote(), NOW)
    with pytest.raises(ConflictError, match="taken"):
        book.accept(request_id, offer=None, actor="dispatcher", now=NOW, reserve=refuse)
    assert book.get(request_id) == before


def test_a_request_walks_through_its_timetable(book: RequestBook) -> None:
    request_id = accepted(book)
    steps = (
        (-16, RequestState.SCHEDULED, 0.0),
        (-14, RequestState.PRECONDITIONING, 0.0),
        (-5, RequestState.RAMPING, 250.0),
        (0, RequestState.HOLDING, 500.0),
        (59.9, RequestState.HOLDING, 500.0),
        (67.5, RequestState.RELEASING, 250.0),
        (75, RequestState.REBOUND_WATCH, 0.0),
        (135, RequestState.COMPLETED, 0.0),
    )
    for minutes, state, target_kw in steps:
        now_s = (START + timedelta(minutes=minutes)).timestamp()
        book.advance(now_s)
        assert book.advance(now_s) == []
        request = book.get(request_id)
        assert request.state is state
        assert book.timetable(request.id).target_at(now_s) == pytest.approx(target_kw)
    book.verified(request_id, now=END)
    assert book.settled(request_id, now=END).state is RequestState.SETTLED
    assert book.settled(request_id, now=END).version == 12


def test_a_late_look_still_visits_every_state(book: RequestBook) -> None:
    request_id = accepted(book)
    visited = [t.to_state for t in book.advance((END + timedelta(days=1)).timestamp())]
    assert visited == [
        RequestState.PRECONDITIONING,
        RequestState.RAMPING,
        RequestState.HOLDING,
        RequestState.RELEASING,
        RequestState.REBOUND_WATCH,
        RequestState.COMPLETED,
    ]
    assert [t.version for t in book.get(request_id).history] == list(range(1, 11))


def test_the_ramp_of_a_late_acceptance_begins_when_it_was_accepted(book: RequestBook) -> None:
    request_id = submit(book, replace(DRAFT, start_at=NOW + timedelta(minutes=5), notice_class=NoticeClass.FAST))
    book.quoted(request_id, quote(), NOW)
    book.accept(request_id, offer=None, actor="dispatcher", now=NOW + timedelta(minutes=2))
    table = book.timetable(request_id)
    assert table.ramp_s == (NOW + timedelta(minutes=2)).timestamp()


def test_cancelling_before_the_ramp_cancels_and_after_it_aborts(book: RequestBook) -> None:
    early, late = accepted(book), accepted(book, replace(DRAFT, area="south"))
    assert book.cancel(early, actor="d", reason="r", now=NOW).state is RequestState.CANCELLED
    assert book.cancel(early, actor="d", reason="r", now=NOW).version == book.get(early).version
    stop = START + timedelta(minutes=10)
    request = book.cancel(late, actor="d", reason="r", now=stop)
    assert request.state is RequestState.ABORTED
    assert book.cancel(late, actor="d", reason="r", now=stop + timedelta(minutes=1)) == request
    table = book.timetable(late)
    assert table.phase_at(stop.timestamp()) is Phase.RELEASING
    assert table.target_at(stop.timestamp() + 450.0) == pytest.approx(250.0)
    assert request in book.running(table.released_s)
    assert request not in book.running(table.watched_s)


def test_an_abort_in_the_ramp_goes_down_from_where_it_was(book: RequestBook) -> None:
    request_id = accepted(book)
    stop = START - timedelta(minutes=5)
    request = book.cancel(request_id, actor="d", reason="r", now=stop)
    assert book.timetable(request.id).target_at(stop.timestamp()) == pytest.approx(250.0)
    assert book.timetable(request.id).target_at(stop.timestamp() + 450.0) == pytest.approx(125.0)


def test_a_shortfall_is_flagged_only_while_power_is_due_and_goes_with_it(book: RequestBook) -> None:
    request_id = accepted(book)
    flag = Shortfall(missing_kw=50.0, cause="3 ev refused", expected_end_at=None)
    assert book.flag(request_id, flag, NOW.timestamp()).shortfall is None
    book.advance(START.timestamp())
    assert book.flag(request_id, flag, START.timestamp()).shortfall == flag
    book.advance(END.timestamp())
    assert book.get(request_id).shortfall is None


def test_every_final_state_allows_nothing_more(book: RequestBook) -> None:
    request_id = submit(book)
    book.quoted(request_id, quote(), NOW)
    book.decline(request_id, actor="d", reason="too dear", now=NOW)
    assert RequestState.DECLINED not in ALLOWED
    with pytest.raises(ConflictError):
        book.quoted(request_id, quote(), NOW)
    with pytest.raises(UnknownIdError):
        book.get("nobody")


@pytest.mark.parametrize("end", ["cancel", "supersede", "fail"])
def test_what_was_taken_back_is_not_accepted_again(book: RequestBook, end: str) -> None:
    request_id = accepted(book)
    act = {"cancel": book.cancel, "supersede": book.supersede}.get(end)
    if act is None:
        book.fail(request_id, reason="because", now=NOW)
    else:
        act(request_id, actor="dispatcher", reason="because", now=NOW)

    with pytest.raises(ConflictError, match="only a quoted one"):
        book.accept(request_id, offer=None, actor="dispatcher", now=NOW)


def test_an_acceptance_is_repeated_harmlessly_while_it_stands_and_after_it_was_delivered(book: RequestBook) -> None:
    request_id = accepted(book)
    book.advance((END + timedelta(hours=3)).timestamp())

    again = book.accept(request_id, offer=None, actor="dispatcher", now=END + timedelta(hours=3))
    assert again.state is RequestState.COMPLETED


def test_cancelling_is_repeated_harmlessly_even_after_the_abort_was_settled(book: RequestBook) -> None:
    request_id = accepted(book)
    later = START + timedelta(minutes=10)
    book.cancel(request_id, actor="dispatcher", reason="because", now=later)
    book.verified(request_id, now=later)
    book.settled(request_id, now=later)

    again = book.cancel(request_id, actor="dispatcher", reason="because", now=later)
    assert again.state is RequestState.SETTLED


def test_a_key_stands_for_one_act(book: RequestBook) -> None:
    request_id = submit(book)
    book.quoted(request_id, quote(), NOW)
    book.accept(request_id, offer=None, actor="dispatcher", now=NOW, key="k")
    assert book.accept(request_id, offer=None, actor="dispatcher", now=NOW, key="k").state is RequestState.SCHEDULED

    with pytest.raises(ConflictError, match="another act: quote accepted"):
        book.cancel(request_id, actor="dispatcher", reason="because", now=NOW, key="k")
    with pytest.raises(ConflictError, match="another act"):
        book.accept(request_id, offer=0, actor="dispatcher", now=NOW, key="k")


def test_a_request_that_was_never_quoted_expires_when_it_should_have_begun(book: RequestBook) -> None:
    request_id = submit(book)
    book.advance(START.timestamp())
    assert book.get(request_id).state is RequestState.EXPIRED
