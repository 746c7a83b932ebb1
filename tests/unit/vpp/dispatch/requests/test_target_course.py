"""A target that was changed under way: its course, the book's rules for it, and what settlement makes of it."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from tests.unit.vpp.dispatch.requests.test_book import AREAS, DRAFT, END, NOW, START, quote
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.journal import JournalEntry
from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod, DispatchRequest, Product, RequestState, Revision
from vpp.domain.timegrid import TimeGrid
from vpp.settlement.performance import target_profile
from vpp.settlement.revised_course import course_means_kw, held_course_kw, lengthened
from vpp.settlement.settlement_terms import SettlementTerms, settle

SETTINGS = DispatchSettings(ramp_minutes=10.0, release_minutes=10.0)


class Play:
    """A book with one request of 400 kW, and its journal."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.book = RequestBook(self._record, SETTINGS)
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
        draft = self.book.revised(self.id, target_kw=target_kw, end_at=end_at, now=at)
        revision = Revision(
            number=len(self.book.get(self.id).revisions) + 1,
            asked_at=at,
            actor="d",
            target_kw=draft.target_kw,
            end_at=draft.end_at,
            quote=replace(quote(), expires_at=at + timedelta(minutes=5)),
        )
        self.book.add_revision(self.id, revision)
        return revision

    def change(
        self, at: datetime, *, target_kw: float | None = None, end_at: datetime | None = None
    ) -> DispatchRequest:
        """Put a change in force at once."""
        number = self.ask(at, target_kw=target_kw, end_at=end_at).number
        return self.book.accept_revision(self.id, number, actor="d", now=at)

    def due_kw(self, at: datetime) -> float:
        """Return what is due."""
        return self.book.timetable(self.id).target_at(at.timestamp())


@pytest.fixture
def play() -> Play:
    return Play()


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


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
    rebuilt = RequestBook(lambda _kind, _at, _body: None, SETTINGS)
    rebuilt.restore(play.entries)
    assert repr(rebuilt.all()) == repr(play.book.all())
    assert rebuilt.timetable(play.id) == play.book.timetable(play.id)
    rebuilt.accept_revision(play.id, 2, actor="d", now=START + minutes(21))


def test_a_step_to_the_same_state_tells_of_the_change(play: Play) -> None:
    last = play.change(START + minutes(10), target_kw=300.0).history[-1]
    assert (last.from_state, last.to_state, last.reason) == (RequestState.HOLDING,) * 2 + ("revision 1 accepted",)


def test_accepting_again_changes_nothing_and_an_older_one_comes_too_late(play: Play) -> None:
    at = START + minutes(10)
    first, second = play.ask(at, target_kw=300.0), play.ask(at, target_kw=200.0)
    done = play.book.accept_revision(play.id, second.number, actor="d", now=at)
    assert play.book.accept_revision(play.id, second.number, actor="d", now=at) == done
    with pytest.raises(ConflictError, match="later revision"):
        play.book.accept_revision(play.id, first.number, actor="d", now=at)


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
        play.book.accept_revision(play.id, 1, actor="d", now=at)


def test_a_quote_that_expired_or_cannot_be_met_is_not_accepted(play: Play) -> None:
    at = START + minutes(10)
    number = play.ask(at, target_kw=500.0).number
    with pytest.raises(ConflictError, match="expired"):
        play.book.accept_revision(play.id, number, actor="d", now=at + minutes(5))


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


def test_a_request_for_regulation_keeps_its_capacity() -> None:
    play = Play()
    request = play.book.get(play.id)
    play.book._put(replace(request, draft=replace(request.draft, product=Product.REGULATION)))
    with pytest.raises(ConflictError, match="regulation"):
        play.ask(START + minutes(10), target_kw=300.0)


def test_means_by_interval_agree_with_the_due_power_and_with_the_plain_profile(play: Play) -> None:
    grid = TimeGrid(start_at=START - minutes(15), count=8)
    plain = play.book.timetable(play.id)
    times = {"start_s": plain.start_s, "end_s": plain.end_s, "release_end_s": plain.released_s}
    whole = target_profile(grid, 400.0, ramp_s=plain.ramp_s, **times)
    np.testing.assert_allclose(course_means_kw(grid, plain.corners()), whole, atol=0.01)
    play.change(START + minutes(10), target_kw=800.0)
    play.change(START + minutes(34), target_kw=200.0, end_at=END - minutes(5))
    table = play.book.timetable(play.id)
    seconds = grid.start_s + np.arange(grid.count * 900) + 0.5
    due = np.array([table.target_at(at_s) for at_s in seconds.tolist()]).reshape(grid.count, 900)
    np.testing.assert_allclose(course_means_kw(grid, table.corners()), due.mean(axis=1), atol=0.5)
    held = held_course_kw(grid, table.corners(), table.start_s, table.end_s)
    assert np.isnan(held[0])
    assert held[4] == pytest.approx(due[4, :600].mean(), abs=0.5)
    assert np.isnan(held[5])


def test_each_interval_is_paid_by_its_own_commitment() -> None:
    terms = SettlementTerms()
    changed = settle(np.array([400.0, 800.0]), np.array([400.0, 800.0]), 0.25, terms)
    apart = [settle(np.array([kw]), kw, 0.25, terms)["gross"] for kw in (400.0, 800.0)]
    assert changed["gross"] == pytest.approx(sum(apart))
    short = settle(np.array([400.0, 400.0]), np.array([400.0, 800.0]), 0.25, terms)
    assert short["gross"] == pytest.approx(apart[0]), "half of what was promised earns nothing by the 80 per cent rule"


def test_a_jump_takes_no_time() -> None:
    play = Play()
    request = play.book.get(play.id)
    play.book._put(replace(request, draft=replace(request.draft, ramp_minutes=0.0)))
    play.change(START + minutes(15), target_kw=800.0)
    table: PhaseTimes = play.book.timetable(play.id)
    assert (table.target_at(table.start_s + 899.0), table.target_at(table.start_s + 900.0)) == (400.0, 800.0)
    grid = TimeGrid(start_at=START, count=4)
    np.testing.assert_allclose(course_means_kw(grid, table.corners()), [400.0, 800.0, 800.0, 800.0], atol=0.01)


def _baseline(count: int, value: float, excluded: tuple[str, ...] = ()) -> Baseline:
    power = np.full((2, count), value)
    if excluded:
        power[1] = 0.0
    return Baseline(
        grid=TimeGrid(start_at=START, count=count),
        power_kw=power,
        methods={"hvac": BaselineMethod.METER_BEFORE},
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256=str(value),
        excluded_ids=excluded,
    )


def test_a_longer_baseline_leaves_what_was_frozen_as_it_is() -> None:
    longer = lengthened(_baseline(2, 5.0), _baseline(4, 7.0))
    assert longer.power_kw.tolist() == [[5.0, 5.0, 7.0, 7.0]] * 2
    assert longer.grid.count == 4
    assert longer.input_sha256 not in {"5.0", "7.0"}
    assert lengthened(_baseline(4, 5.0), _baseline(2, 7.0)).power_kw.tolist() == [[5.0] * 4] * 2


def test_a_row_nobody_can_tell_of_further_keeps_its_last_step() -> None:
    longer = lengthened(_baseline(2, 5.0), _baseline(4, 7.0, excluded=("b",)))
    assert longer.power_kw.tolist() == [[5.0, 5.0, 7.0, 7.0], [5.0] * 4]
    assert longer.excluded_ids == ()
    assert [name for name, _ in longer.notes] == ["b"]
