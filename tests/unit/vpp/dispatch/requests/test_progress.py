"""Drills among other requests: they keep out of everybody's way, and yield to every call."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.vpp.dispatch.requests.parts import AREAS, DRAFT, START, accepted, quote, submit
from vpp.dispatch.requests.book import TRANSITION, RequestBook
from vpp.dispatch.requests.journal_codec import draft_from, plain
from vpp.dispatch.settings import RequestRules
from vpp.domain.errors import InputError
from vpp.domain.request import NoticeClass, Product, Purpose, RequestDraft, RequestState
from vpp.record.entry import JournalEntry

DRILL = replace(
    DRAFT, purpose=Purpose.DRILL, drawn_ratio=0.2, end_at=START + timedelta(minutes=15), notice_class=NoticeClass.FAST
)


class Kept:
    """A book and the bodies it has journalled."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []
        self.book = RequestBook(lambda _kind, _at, body: self.bodies.append(body), RequestRules())


@pytest.fixture
def kept() -> Kept:
    return Kept()


def later(minutes: float, draft: RequestDraft = DRAFT) -> RequestDraft:
    return replace(
        draft, start_at=draft.start_at + timedelta(minutes=minutes), end_at=draft.end_at + timedelta(minutes=minutes)
    )


@pytest.mark.parametrize("minutes", [0.0, 60.0, 144.0])
def test_a_drill_is_refused_while_a_call_runs_and_until_its_watch_is_over(kept: Kept, minutes: float) -> None:
    call = accepted(kept.book)
    with pytest.raises(InputError, match=call) as refused:
        submit(kept.book, later(minutes, DRILL))
    assert refused.value.field == "start_at"


def test_a_drill_is_refused_where_its_own_watch_would_reach_into_a_call(kept: Kept) -> None:
    accepted(kept.book, later(120.0))
    with pytest.raises(InputError):
        submit(kept.book, later(45.0, DRILL))
    assert submit(kept.book, DRILL)


def test_a_call_is_taken_during_a_drill_and_ends_it(kept: Kept) -> None:
    drill = accepted(kept.book, DRILL)
    during = START + timedelta(minutes=5)
    kept.book.advance(during.timestamp())
    assert kept.book.get(drill).state is RequestState.HOLDING
    draft = replace(DRAFT, start_at=during + timedelta(minutes=5), notice_class=NoticeClass.SECOND)
    request, _ = kept.book.submit(draft, key=None, actor="dispatcher", now=during, known_areas=AREAS)
    kept.book.quoted(request.id, replace(quote(), expires_at=during + timedelta(minutes=5)), during)
    kept.book.accept(request.id, offer=None, actor="dispatcher", now=during)
    (ended,) = kept.book.yield_to(request.id, now=during)
    assert ended.id == drill
    assert ended.state is RequestState.SUPERSEDED
    assert request.id in ended.history[-1].reason
    assert kept.book.yield_to(request.id, now=during) == [], "once"
    assert kept.book.timetable(drill).end_s == during.timestamp(), "it releases in stages from now on"


def test_a_drill_that_is_over_and_one_elsewhere_are_left_alone(kept: Kept) -> None:
    elsewhere, drill = accepted(kept.book, replace(DRILL, area="south")), accepted(kept.book, DRILL)
    call = accepted(kept.book, later(16.0))
    after = START + timedelta(minutes=15, seconds=1)
    assert kept.book.yield_to(call, now=after) == []
    assert kept.book.get(drill).state is RequestState.RELEASING
    assert kept.book.get(elsewhere).state is RequestState.RELEASING


def test_two_drills_of_an_area_do_not_overlap(kept: Kept) -> None:
    first = accepted(kept.book, DRILL)
    with pytest.raises(InputError, match=first):
        submit(kept.book, later(60.0, DRILL))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("drawn_ratio", {"drawn_ratio": 0.0}),
        ("drawn_ratio", {"drawn_ratio": 1.1}),
        ("drawn_ratio", {"drawn_ratio": float("nan")}),
        ("drawn_ratio", {"purpose": Purpose.CALL}),
        ("purpose", {"product": Product.REGULATION}),
    ],
)
def test_a_drill_that_makes_no_sense_is_refused_by_field(kept: Kept, field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        submit(kept.book, replace(DRILL, **changes))
    assert refused.value.field == field


def test_the_journal_says_of_a_drill_that_it_is_one_and_of_a_call_what_it_said_before(kept: Kept) -> None:
    submit(kept.book, DRAFT)
    submit(kept.book, replace(DRILL, area="south"))
    call, drill = kept.bodies
    assert "v" not in call
    assert not {"purpose", "drawn_ratio"} & call["draft"].keys()
    assert drill["v"] == 2, "a service that knows no drills refuses it: it would pay for one"
    assert (drill["draft"]["purpose"], drill["draft"]["drawn_ratio"]) == ("drill", 0.2)
    again = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    again.restore(
        JournalEntry(sequence=place, at_s=0.0, kind=TRANSITION, body=body, sha256="")
        for place, body in enumerate(kept.bodies)
    )
    assert list(again.all()) == list(kept.book.all())
    assert draft_from(plain(DRAFT)) == DRAFT  # type: ignore[arg-type] # a dataclass becomes a mapping
