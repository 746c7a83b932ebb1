"""For how long what was drawn is on its way back: as long as it takes at the request's rebound cap."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, END, accepted
from vpp.application.requests.commitments import Commitments
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.request import CITY
from vpp.runtime.clock import VirtualClock

CITY_DRAFT = replace(DRAFT, area=CITY, rebound_cap_kw=125.0)


def _of(book: RequestBook, at_s: float = 0.0) -> Commitments:
    return Commitments(book=book, portfolios={}, clock=VirtualClock(at_s))


@pytest.fixture
def book() -> RequestBook:
    return RequestBook(lambda _kind, _at, _body: None, RequestRules())


@pytest.mark.parametrize(("cap_kw", "hours"), [(125.0, 4.0 / 0.75), (500.0, 1.0 / 0.75), (1.0, 12.0), (0.0, 12.0)])
def test_a_request_recovers_until_its_energy_is_back_at_its_cap_and_never_longer_than_half_a_day(
    book: RequestBook, cap_kw: float, hours: float
) -> None:
    request_id = accepted(book, replace(CITY_DRAFT, rebound_cap_kw=cap_kw))
    times = book.timetable(request_id)
    commitments = _of(book)
    (found,) = commitments.recoveries(times.end_s + 1.0)
    assert found.from_s == times.watched_s
    assert found.until_s == pytest.approx(times.watched_s + 3600.0 * hours)
    assert commitments.recoveries(found.until_s) == ()


def test_nothing_recovers_before_a_release_nor_without_a_cap_nor_from_a_part_of_the_city(book: RequestBook) -> None:
    accepted(book, CITY_DRAFT)
    assert _of(book).recoveries((END - timedelta(minutes=1)).timestamp()) == ()
    for draft in (replace(CITY_DRAFT, rebound_cap_kw=None), replace(CITY_DRAFT, area="north")):
        other = RequestBook(lambda _kind, _at, _body: None, RequestRules())
        accepted(other, draft)
        assert _of(other).recoveries((END + timedelta(minutes=1)).timestamp()) == ()


def test_storage_stays_on_its_plan_until_the_watch_of_the_last_running_request_is_over(book: RequestBook) -> None:
    times = book.timetable(accepted(book, CITY_DRAFT))
    kept = [_of(book, at_s).kept_until_s() for at_s in (times.ramp_s, times.watched_s + 1.0)]
    assert kept == [times.watched_s, None]
