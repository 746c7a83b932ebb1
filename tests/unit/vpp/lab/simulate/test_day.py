"""What is due beside a request: in the same area, at the same time, whether or not it is over by now."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.vpp.dispatch.requests.parts import AREAS, DRAFT, END, NOW, START, accepted, submit
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.request import Direction, Product
from vpp.lab.simulate.day import BesideIt


@pytest.fixture
def book() -> RequestBook:
    return RequestBook(lambda _kind, _at, _body: None, RequestRules())


def test_alone_nothing_is_beside_a_request(book: RequestBook) -> None:
    found = BesideIt.of(book.get(accepted(book)), book)
    assert (found.area, found.due_kw.tolist()) == ("north", [0.0] * 4)


@pytest.mark.parametrize("area", ["north", "city"])
def test_the_target_of_another_counts_while_it_is_due_also_once_it_is_over(book: RequestBook, area: str) -> None:
    first = accepted(book)
    half = replace(DRAFT, area=area, start_at=START + timedelta(minutes=30))
    second = accepted(book, half)
    submit(book, half)  # never accepted
    elsewhere = replace(DRAFT, area="south")
    if area == "north":
        accepted(book, elsewhere)
    assert AREAS == ("north", "south")
    book.advance((END + timedelta(hours=4)).timestamp())
    found = BesideIt.of(book.get(first), book)
    assert found.area == ("north" if area == "north" else "city")
    due_kw = book.get(second).accepted_kw or 0.0
    assert found.due_kw[2:] == pytest.approx([due_kw] * 2)
    assert found.due_kw[0] == 0.0
    assert 0.0 < found.due_kw[1] < due_kw, "its ramp"
    assert BesideIt.of(book.get(second), book).due_kw == pytest.approx([book.get(first).accepted_kw] * 2)
    assert NOW < START


def test_in_the_sum_of_the_city_those_of_other_areas_count_too(book: RequestBook) -> None:
    first = accepted(book)
    south = accepted(book, replace(DRAFT, area="south"))
    alone = BesideIt.of(book.get(first), book)
    assert (alone.area, alone.due_kw.any()) == ("north", False)
    city = accepted(book, replace(DRAFT, area="city"))
    found = BesideIt.of(book.get(first), book)
    due_kw = sum(book.get(other).accepted_kw or 0.0 for other in (south, city))
    assert (found.area, found.due_kw.tolist()) == ("city", pytest.approx([due_kw] * 4))


def test_what_another_direction_asks_of_another_area_is_taken_from_the_sum(book: RequestBook) -> None:
    first = accepted(book)
    accepted(book, replace(DRAFT, area="city", start_at=START + timedelta(minutes=45)))
    early = replace(DRAFT, area="south", end_at=START + timedelta(minutes=15))
    accepted(book, replace(early, direction=Direction.DOWN, product=Product.VALLEY_FILLING))
    found = BesideIt.of(book.get(first), book)
    assert found.area == "city"
    assert found.due_kw[0] < 0.0 < found.due_kw[3]
