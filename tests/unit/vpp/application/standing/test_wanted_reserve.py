"""Reserve that is worth its price: standing commitments first, expected calls elsewhere."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, accepted
from tests.unit.vpp.planning.reserve.test_standing_hours import WEDNESDAY, commitment, grid
from vpp.application.standing.wanted_reserve import WantedReserve
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.request import CITY, Purpose
from vpp.domain.standing import StandingHours
from vpp.fleet.holidays import CHINA
from vpp.planning.reserve.call_expectation import stated
from vpp.runtime.clock import VirtualClock


@pytest.fixture
def book() -> RequestBook:
    return RequestBook(lambda _kind, _at, _body: None, RequestRules())


def wanted(book: RequestBook, **changes: Any) -> WantedReserve:  # noqa: ANN401 - a test table
    given = {
        "clock": VirtualClock(WEDNESDAY.timestamp()),
        "commitments": lambda: (),
        "book": book,
        "calendar": CHINA,
        "expected": None,
        "call_cny_per_kwh": 3.0,
    }
    return WantedReserve(**(given | changes))


def test_a_service_without_commitments_and_calls_wants_nothing(book: RequestBook) -> None:
    assert not wanted(book).demand(grid()).power_kw.any()


def test_commitments_go_before_expected_calls(book: RequestBook) -> None:
    expected = stated([(0.0, 24.0, 50.0, 0.3)])
    both = wanted(book, commitments=lambda: (commitment(),), expected=expected).demand(grid())
    assert both.power_kw[[0, 52]].tolist() == [50.0, 1000.0]
    assert both.missing_cny_per_kw_h[[0, 52]] == pytest.approx([0.9, 0.3])


def test_a_call_of_the_day_uses_up_the_commitment_where_its_hours_and_area_are_those(book: RequestBook) -> None:
    request_id = accepted(book, DRAFT)
    start = book.get(request_id).draft.start_at
    day = start - timedelta(hours=(start.hour + 8) % 24, minutes=start.minute)
    hour = (start.hour + 8) % 24
    mine = commitment(
        hours=(StandingHours(from_hour=float(hour), until_hour=float(hour) + 2.0),), from_at=day, area=DRAFT.area
    )
    assert not wanted(book, commitments=lambda: (mine,)).demand(grid(day)).power_kw.any()
    twice = commitment(hours=mine.terms.hours, from_at=day, area=CITY, calls_a_day=2)
    assert wanted(book, commitments=lambda: (twice,)).demand(grid(day)).power_kw.any()
    elsewhere = commitment(hours=mine.terms.hours, from_at=day, area="nowhere")
    assert np.flatnonzero(wanted(book, commitments=lambda: (elsewhere,)).demand(grid(day)).power_kw).size == 8


@pytest.mark.parametrize(
    ("changes", "until_s"),
    [({}, "released_s"), ({"purpose": Purpose.DRILL}, "ramp_s"), ({"area": "south"}, "ramp_s")],
)
def test_power_is_not_due_while_a_call_of_the_area_holds_it(
    book: RequestBook, changes: dict[str, Any], until_s: str
) -> None:
    times = book.timetable(accepted(book, replace(DRAFT, **changes)))
    mine = commitment(hours=(StandingHours(from_hour=0.0, until_hour=24.0),), area=DRAFT.area, calls_a_day=9)
    held = wanted(book, commitments=lambda: (mine,))
    instants_s = [times.ramp_s - 1.0, times.start_s, times.end_s, times.released_s - 1.0, times.released_s]
    due = [bool(held.due(at_s)) for at_s in instants_s]
    assert due == [not times.ramp_s <= at_s < getattr(times, until_s) for at_s in instants_s]
