"""Book of availability: quarters of an hour by day and owner, the same after a checkpoint."""

from decimal import Decimal

import numpy as np
import pytest

from tests.unit.vpp.planning.reserve.test_standing_hours import WEDNESDAY, commitment
from vpp.application.standing.availability_book import (
    AVAILABILITY,
    KEPT_DAYS,
    Agreed,
    AvailabilityBook,
    availability_body,
    owners_of,
)
from vpp.fleet.calendar import day_number
from vpp.record.kinds import KINDS
from vpp.record.state_codec import decode_state, encode_state

NOON_S = WEDNESDAY.timestamp() + 13 * 3600.0
TODAY = int(day_number(NOON_S))


def body(quarter: int, *, kw: float = 100.0, sites: tuple[int, ...] = (0, 2)) -> dict[str, object]:
    owner = owners_of(np.array(sites), np.array(sites) + 1)
    return availability_body(commitment(), NOON_S + 900.0 * quarter, kw, owner, np.full(len(sites), kw / len(sites)))


def test_quarters_of_a_day_add_up_by_owner_and_one_counts_once() -> None:
    book = AvailabilityBook()
    for one in (body(0), body(1, sites=(2, 5)), body(1, sites=(2, 5))):
        book.follow(one)
    day = book.days("s")[TODAY]
    assert (day.start_s, day.available_kw) == ((NOON_S, NOON_S + 900.0), (100.0, 100.0))
    assert day.places() == [(0, 1), (2, 3), (5, 6)]
    assert day.kept_kwh.tolist() == pytest.approx([12.5, 25.0, 12.5])


def test_what_a_thread_has_begun_to_read_stays_as_it_was() -> None:
    book = AvailabilityBook()
    book.follow(body(0))
    days = book.days("s")
    day = days[TODAY]
    book.follow(body(1, sites=(2, 5)))
    book.follow(body(96))
    assert list(days) == [TODAY]
    assert (len(day.start_s), len(day.available_kw), len(day.agreed), len(day.owner)) == (1, 1, 1, 2)
    assert day.kept_kwh.tolist() == pytest.approx([12.5, 12.5])
    assert len(book.days("s")[TODAY].start_s) == 2


def test_a_checkpoint_holds_everything() -> None:
    book, loaded = AvailabilityBook(), AvailabilityBook()
    book.follow(body(0))
    book.follow(body(96))
    loaded.load(decode_state(encode_state(book.state())))
    assert encode_state(loaded.state()) == encode_state(book.state())
    loaded.follow(body(97))
    book.follow(body(97))
    assert encode_state(loaded.state()) == encode_state(book.state())


def test_old_days_leave_the_book_and_forgotten_commitments_do() -> None:
    book = AvailabilityBook()
    for day in range(KEPT_DAYS + 3):
        book.follow(body(96 * day))
    assert list(book.days("s")) == list(range(TODAY + 3, TODAY + 3 + KEPT_DAYS))
    book.forget(["s"])
    assert not book.days("s")
    assert KINDS[AVAILABILITY].owner == AvailabilityBook.__module__


def test_what_was_agreed_is_known_by_quarter_but_not_of_entries_and_checkpoints_of_before() -> None:
    terms = commitment().terms
    dearer = commitment(availability_cny_per_mw_h=Decimal("150.10"))
    book, loaded = AvailabilityBook(), AvailabilityBook()
    book.follow({name: value for name, value in body(0).items() if name != "agreed"})
    before = {name: [[*day[:5]] for day in days] for name, days in book.state().items()}
    loaded.load(decode_state(encode_state(before)))
    for one in (book, loaded):
        one.follow(body(1))
        one.follow(body(2) | availability_body(dearer, NOON_S + 1800.0, 1.0, np.zeros(1, np.int64), np.ones(1)))
        assert one.days("s")[TODAY].agreed == (None, Agreed.of(terms), Agreed.of(dearer.terms))
