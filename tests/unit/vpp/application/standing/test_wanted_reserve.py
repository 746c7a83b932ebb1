"""Reserve that is worth its price: standing commitments first, expected calls elsewhere."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, accepted
from tests.unit.vpp.planning.reserve.test_standing_hours import WEDNESDAY, commitment, grid
from vpp.application.standing.wanted_reserve import WantedReserve
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.request import CITY, Direction, Product, Purpose
from vpp.domain.standing import StandingCommitment, StandingHours
from vpp.domain.telemetry import FloatArray
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


ALL_DAY = (StandingHours(from_hour=0.0, until_hour=24.0),)
DAY = WEDNESDAY
RAISE = {"direction": Direction.DOWN, "product": Product.VALLEY_FILLING}


def mine(**changes: Any) -> StandingCommitment:  # noqa: ANN401 - a test table
    return commitment(**({"hours": ALL_DAY, "area": DRAFT.area} | changes))


def hours_wanted(book: RequestBook, one: StandingCommitment) -> FloatArray:
    """Return the power that is wanted for a commitment, by quarters of an hour of the day of the draft."""
    return wanted(book, commitments=lambda: (one,)).demand(grid(DAY)).power_kw


@pytest.mark.parametrize(
    ("call", "changes"),
    [
        ({"area": "south"}, {"area": CITY}),
        ({"area": CITY}, {}),
        (RAISE, {}),
        ({"purpose": Purpose.DRILL}, {}),
        ({}, {"calls_a_day": 2}),
        ({}, {"hours": (StandingHours(from_hour=18.25, until_hour=24.0),)}),
    ],
)
def test_a_call_uses_up_none_of_a_commitment_of_another_area_direction_or_hour(
    book: RequestBook, call: dict[str, Any], changes: dict[str, Any]
) -> None:
    one = mine(**changes)
    times = book.timetable(accepted(book, replace(DRAFT, **call)))
    assert hours_wanted(book, one)[-1] == 1000.0
    assert wanted(book, commitments=lambda: (one,)).due(times.released_s + 900.0)


def test_a_call_of_its_own_uses_up_a_commitment_once_it_is_released(book: RequestBook) -> None:
    times = book.timetable(accepted(book))
    starts_s = grid(DAY).starts_s()
    power_kw = hours_wanted(book, mine())
    assert (power_kw[starts_s <= times.ramp_s] == 1000.0).all(), "what a call is to find is kept until it begins"
    assert (power_kw[starts_s >= times.released_s] == 0.0).all()
    due = wanted(book, commitments=lambda: (mine(),))
    assert [bool(due.due(at_s)) for at_s in starts_s] == (starts_s < times.released_s).tolist()
    tomorrow = wanted(book, commitments=lambda: (mine(),)).demand(grid(DAY + timedelta(days=1)))
    assert (tomorrow.power_kw == 1000.0).all()


@pytest.mark.parametrize(
    ("call", "changes", "held_kw"),
    [
        ({}, {}, 500.0),
        ({"area": "south"}, {"area": CITY}, 500.0),
        ({"area": "south"}, {}, 0.0),
        ({"area": CITY}, {}, 0.0),
        (RAISE, {}, 0.0),
    ],
)
def test_a_plan_keeps_beside_a_call_what_the_call_does_not_hold(
    book: RequestBook, call: dict[str, Any], changes: dict[str, Any], held_kw: float
) -> None:
    times = book.timetable(accepted(book, replace(DRAFT, **call)))
    starts_s = grid(DAY).starts_s()
    inside = (starts_s >= times.start_s) & (starts_s < times.end_s)
    assert (hours_wanted(book, mine(**changes))[inside] == 1000.0 - held_kw).all()
    assert hours_wanted(book, mine(**changes | {"power_kw": 500.0}))[inside].any() == (held_kw == 0.0)
