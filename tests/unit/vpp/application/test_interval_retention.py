"""How long metered intervals are kept: by setting, never shorter than a baseline or a settlement needs them."""

from datetime import timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from tests.unit.vpp.dispatch.requests.parts import NOW, accepted, quote, submit
from vpp.application.interval_retention import IntervalRetention, reference_from_s
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.units import SECONDS_PER_DAY
from vpp.runtime.clock import VirtualClock
from vpp.storage.interval_store import IntervalStore
from vpp.storage.sql import metadata

LOOKBACK_DAYS = 45
LATER_S = (NOW + timedelta(days=1000)).timestamp()


@pytest.fixture
def book() -> RequestBook:
    return RequestBook(lambda _kind, _at, _body: None, RequestRules())


def retention(
    book: RequestBook, *, keep_days: float = 100.0, late: bool = False, with_requests: bool = False
) -> IntervalRetention:
    # One connection for all threads: each of its own would see an empty database.
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
    metadata.create_all(engine)
    return IntervalRetention(
        clock=VirtualClock(LATER_S),
        book=book,
        meters=IntervalStore(engine),
        awaits_correction=lambda _: late,
        lookback_days=LOOKBACK_DAYS,
        keep_days=keep_days,
        with_requests=with_requests,
    )


def test_intervals_are_kept_for_their_days(book: RequestBook) -> None:
    assert retention(book).kept_from_s() == LATER_S - 100.0 * SECONDS_PER_DAY


def test_reference_days_of_what_may_be_asked_now_are_always_kept(book: RequestBook) -> None:
    kept_s = retention(book, keep_days=1.0).kept_from_s()
    assert kept_s == reference_from_s((), LATER_S, LOOKBACK_DAYS)
    assert LATER_S - kept_s > LOOKBACK_DAYS * SECONDS_PER_DAY


def test_a_request_that_is_not_settled_keeps_its_reference_days(book: RequestBook) -> None:
    accepted(book)
    assert retention(book).kept_from_s() == reference_from_s((), NOW.timestamp(), LOOKBACK_DAYS)


@pytest.mark.parametrize("late", [True, False])
def test_a_request_that_is_over_keeps_them_only_while_it_waits_for_meters(book: RequestBook, *, late: bool) -> None:
    request_id = submit(book)
    book.quoted(request_id, quote(), NOW)
    book.decline(request_id, actor="x", reason="", now=NOW)
    kept_s = retention(book, late=late).kept_from_s()
    assert (kept_s < LATER_S - 900.0 * SECONDS_PER_DAY) is late


def test_where_requests_are_forgotten_only_what_kept_ones_look_at_is_kept(book: RequestBook) -> None:
    kept_s = retention(book, with_requests=True).kept_from_s()
    assert kept_s == reference_from_s((), LATER_S, LOOKBACK_DAYS)


async def test_what_is_older_is_deleted(book: RequestBook) -> None:
    kept = retention(book)
    first_s = kept.kept_from_s() // 900 * 900
    for step in range(-3, 3):
        kept._meters.write(first_s + 900 * step, np.ones(1), np.ones(1))
    await kept.forget()
    assert kept._meters.forget(first_s + 900) <= 1, "the one that the retention ends in"
    assert kept._meters.forget(LATER_S) == 2
