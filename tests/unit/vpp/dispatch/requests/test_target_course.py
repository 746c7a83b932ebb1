"""A target changed under way: its course, and what the request book refuses."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.vpp.dispatch.requests.course_parts import RULES, Play, minutes
from tests.unit.vpp.dispatch.requests.parts import AREAS, DRAFT, END, NOW, START, quote
from vpp.dispatch.requests.book import RequestBook
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.request import Product, RequestState


@pytest.fixture
def play() -> Play:
    return Play()


def test_a_change_before_the_ramp_is_as_if_it_had_been_asked_at_first(play: Play) -> None:
    play.change(NOW + minutes(1), target_kw=600.0)
    assert [play.due_kw(START + minutes(k)) for k in (-10, -5, 0, 30)] == [0.0, 300.0, 600.0, 600.0]


def test_a_change_in_the_ramp_is_due_at_the_start(play: Play) -> None:
    play.change(START - minutes(5), target_kw=300.0)
    assert [play.due_kw(START + minutes(k)) for k in (-7.5, -5, -2.5, 0, 9)] == [100.0, 200.0, 250.0, 300.0, 300.0]


def test_changes_in_the_hold_are_reached_by_ramps_of_the_requests_own_steepness(play: Play) -> None:
    play.change(START + minutes(10), target_kw=800.0)
    assert [play.due_kw(START + minutes(k)) for k in (9, 10, 12.5, 15, 20)] == [400.0, 400.0, 600.0, 800.0, 800.0]
    play.change(START + minutes(30), target_kw=200.0)
    assert [play.due_kw(START + minutes(k)) for k in (29, 30, 33.75, 37.5, 59)] == [800.0, 800.0, 500.0, 200.0, 200.0]
    assert play.book.get(play.id).accepted_kw == 200.0
    assert [r.before_kw for r in play.book.get(play.id).revisions] == [400.0, 800.0]


def test_a_change_while_another_is_being_reached_begins_where_the_target_is(play: Play) -> None:
    play.change(START + minutes(10), target_kw=800.0)
    play.change(START + minutes(12.5), target_kw=400.0)
    assert play.due_kw(START + minutes(12.5)) == 600.0
    assert play.due_kw(START + minutes(15)) == 400.0


def test_the_end_moves_either_way_and_the_release_follows(play: Play) -> None:
    play.change(START + minutes(10), end_at=END + minutes(30))
    assert (play.due_kw(END + minutes(29)), play.due_kw(END + minutes(35))) == (400.0, 200.0)
    play.change(START + minutes(20), end_at=START + minutes(30))
    assert (play.due_kw(START + minutes(29)), play.due_kw(START + minutes(35))) == (400.0, 200.0)
    states = [t.to_state for t in play.book.advance((START + minutes(31)).timestamp())]
    assert states[-1] is RequestState.RELEASING


def test_the_journal_rebuilds_revisions_and_their_course(play: Play) -> None:
    play.change(START + minutes(10), target_kw=300.0)
    play.ask(START + minutes(20), end_at=END + minutes(15))
    rebuilt = RequestBook(lambda _kind, _at, _body: None, RULES)
    rebuilt.restore(play.entries)
    assert repr(rebuilt.all()) == repr(play.book.all())
    assert rebuilt.timetable(play.id) == play.book.timetable(play.id)
    rebuilt.revisions.accept(play.id, 2, actor="d", now=START + minutes(21))


def test_a_step_to_the_same_state_tells_of_the_change(play: Play) -> None:
    last = play.change(START + minutes(10), target_kw=300.0).history[-1]
    assert (last.from_state, last.to_state, last.reason) == (RequestState.HOLDING,) * 2 + ("revision 1 accepted",)


def test_accepting_again_changes_nothing_and_an_older_one_comes_too_late(play: Play) -> None:
    at = START + minutes(10)
    first, second = play.ask(at, target_kw=300.0), play.ask(at, target_kw=200.0)
    done = play.book.revisions.accept(play.id, second.number, actor="d", now=at)
    assert play.book.revisions.accept(play.id, second.number, actor="d", now=at) == done
    with pytest.raises(ConflictError, match="later revision"):
        play.book.revisions.accept(play.id, first.number, actor="d", now=at)


def test_what_cannot_be_is_refused_by_name(play: Play) -> None:
    at = START + minutes(10)
    for changes, match in (
        ({"target_kw": -1.0}, "target_kw"),
        ({"end_at": at}, "or cancel"),
        ({"end_at": END + timedelta(days=3)}, "end_at"),
        ({"target_kw": 400.0}, "another power"),
    ):
        with pytest.raises(InputError, match=match):
            play.ask(at, **changes)  # type: ignore[arg-type] # by name
    with pytest.raises(UnknownIdError, match="revision"):
        play.book.revisions.accept(play.id, 1, actor="d", now=at)


def test_a_quote_that_expired_or_cannot_be_met_is_not_accepted(play: Play) -> None:
    at = START + minutes(10)
    number = play.ask(at, target_kw=500.0).number
    with pytest.raises(ConflictError, match="expired"):
        play.book.revisions.accept(play.id, number, actor="d", now=at + minutes(5))


@pytest.mark.parametrize("end", ["quoted", "cancelled", "over"])
def test_only_what_is_committed_and_not_over_is_changed(play: Play, end: str) -> None:
    at = START + minutes(10)
    if end == "quoted":
        other = replace(DRAFT, area="south")
        play.id = play.book.submit(other, key=None, actor="d", now=NOW, known_areas=AREAS)[0].id
        play.book.quoted(play.id, quote(), NOW)
        at = NOW + minutes(1)
    elif end == "cancelled":
        play.book.cancel(play.id, actor="d", reason="x", now=NOW)
    else:
        at = END + minutes(1)
    with pytest.raises(ConflictError, match="changed while committed"):
        play.ask(at, target_kw=300.0)


def test_a_prolongation_over_another_requests_time_is_refused(play: Play) -> None:
    later = replace(DRAFT, start_at=END + minutes(30), end_at=END + minutes(60))
    other = play.book.submit(later, key=None, actor="d", now=NOW, known_areas=AREAS)[0].id
    play.book.quoted(other, quote(), NOW)
    play.book.accept(other, offer=None, actor="d", now=NOW)
    with pytest.raises(ConflictError, match="would overlap"):
        play.ask(START + minutes(10), end_at=END + minutes(30))


def test_a_request_that_shares_its_time_is_changed_on_its_own_rows(play: Play) -> None:
    beside = play.book.submit(DRAFT, key=None, actor="d", now=NOW, known_areas=AREAS)[0].id
    play.book.quoted(beside, quote(), NOW)
    play.book.accept(beside, offer=None, actor="d", now=NOW)
    play.ask(START + minutes(10), target_kw=300.0)


def test_a_request_for_regulation_keeps_its_capacity() -> None:
    play = Play()
    request = play.book.get(play.id)
    play.book._register._put(replace(request, draft=replace(request.draft, product=Product.REGULATION)))
    with pytest.raises(ConflictError, match="regulation"):
        play.ask(START + minutes(10), target_kw=300.0)
