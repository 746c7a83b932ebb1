"""The portfolio of all regulation requests, from their start to their end and through a restart."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import DISPATCH, T0, T0_S, Journal, device, seen, small_fleet, usual_kw
from vpp.dispatch.regulation.portfolio import RegulationPortfolio, Reservation
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.tracking_memory import TRACKING, TrackingMemory
from vpp.domain.errors import ConflictError, InputError, UnknownIdError
from vpp.domain.request import (
    BaselineMethod,
    Direction,
    DispatchRequest,
    NoticeClass,
    Product,
    RequestDraft,
)
from vpp.domain.resource import ResourceClass
from vpp.fleet.index import FleetIndex
from vpp.lab.bench.journal.city_rows import quote_of
from vpp.record.entry import JournalEntry

START = T0 + timedelta(minutes=10)


def _accepted(book: RequestBook, product: Product = Product.REGULATION) -> DispatchRequest:
    draft = RequestDraft(
        product=product,
        direction=Direction.UP,
        target_kw=300.0,
        area="city",
        start_at=START,
        end_at=START + timedelta(hours=1),
        notice_class=NoticeClass.SECOND,
        ramp_minutes=0.0,
        baseline_method=BaselineMethod.AUTOMATIC,
    )
    request, _ = book.submit(draft, key=None, actor="test", now=T0, known_areas=())
    quote = quote_of(300.0, start_at=START, expires_at=T0 + timedelta(minutes=5))
    book.quoted(request.id, quote, T0)
    return book.accept(request.id, offer=None, actor="test", now=T0)


def _reservation(index: FleetIndex) -> Reservation:
    nobody = np.zeros(len(index), dtype=np.bool_)
    return Reservation(
        holding=~nobody,
        base_kw=usual_kw(index),
        held_kw=np.full(len(index), np.nan),
        kept=nobody,
        pinned=nobody,
        shed=np.zeros(len(index)),
    )


def _portfolio(book: RequestBook) -> RegulationPortfolio:
    return RegulationPortfolio(book, small_fleet(), Journal().record, dispatch=DISPATCH)


def test_a_request_is_followed_from_its_start_to_its_end() -> None:
    book = RequestBook(Journal().record, DISPATCH.requests)
    request, index = _accepted(book), small_fleet()
    portfolio = _portfolio(book)
    start_s = START.timestamp()
    assert portfolio.take(request.id, np.array([start_s]), np.array([0.5]), unit="value", now_s=T0_S) == 1
    assert not portfolio.is_due(request, T0_S)
    assert portfolio.is_due(request, start_s)
    base = usual_kw(index)
    followed = portfolio.follow(request.id, seen(index, base, start_s), _reservation(index))
    assert followed.commanded_kw == pytest.approx(150.0)
    assert np.nansum((base - portfolio.follower(request.id).power_kw)[:-1]) == pytest.approx(150.0)
    standing = portfolio.standing(request.id, start_s)
    assert (standing.asked_kw, standing.capacity_kw) == (150.0, 300.0)
    assert list(portfolio.tick(start_s + 4.0)) == [request.id]
    portfolio.forget(())
    assert portfolio.tick(start_s + 8.0) == {}


def test_after_its_end_a_signal_fades() -> None:
    book = RequestBook(Journal().record, DISPATCH.requests)
    request = _accepted(book)
    portfolio = _portfolio(book)
    end_s = request.draft.end_at.timestamp()
    portfolio.take(request.id, np.array([end_s - 1.0]), np.array([1.0]), unit="value", now_s=T0_S)
    asked = [portfolio.asked_kw(request.id, end_s + after) for after in (-1.0, 0.0, 45.0, 200.0)]
    assert asked == pytest.approx([300.0, 300.0, 285.0, 0.0])


def test_what_was_asked_and_answered_is_rebuilt_from_the_cycles_in_the_journal() -> None:
    book, tracking = RequestBook(Journal().record, DISPATCH.requests), TrackingMemory()
    request = _accepted(book)
    start_s = START.timestamp()
    for at_s, figures in (
        (start_s - 10.0, (1.0, 2.0, 3.0)),
        (start_s, (5.0, 9.0, 6.0)),
        (start_s + 10.0, (7.0, None, 1.0)),
    ):
        names = ("target_kw", "baseline_kw", "measured_kw")
        body = {"id": request.id, "memory": {}, **dict(zip(names, figures, strict=True))}
        tracking.follow(JournalEntry(sequence=1, kind=TRACKING, at_s=at_s, body=body, sha256=""))
    portfolio = _portfolio(book)
    portfolio.load({}, tracking.cycles())
    standing = portfolio.standing(request.id, start_s)
    assert (standing.time_s.tolist(), standing.signal_kw.tolist(), standing.response_kw.tolist()) == (
        [start_s],
        [5.0],
        [3.0],
    )


def test_a_standing_is_whole_while_cycles_go_on_in_another_thread() -> None:
    book = RequestBook(Journal().record, DISPATCH.requests)
    request = _accepted(book)
    portfolio, start_s = _portfolio(book), START.timestamp()
    over, found = Event(), []

    def look() -> None:
        while not over.is_set():
            standing = portfolio.standing(request.id, start_s)
            found.append({len(standing.time_s), len(standing.signal_kw), len(standing.response_kw)})

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            for cycle in range(20_000):
                portfolio.note(request.id, start_s + cycle, 1.0, 1.0)
                portfolio.estimate(request.id, start_s + cycle, 1.0, 1.0, 1.0)
        finally:
            over.set()
        looking.result()
    assert found
    assert all(len(lengths) == 1 for lengths in found)


def test_only_accepted_requests_for_regulation_take_a_signal_and_only_until_they_end() -> None:
    book = RequestBook(Journal().record, DISPATCH.requests)
    request = _accepted(book)
    portfolio = _portfolio(book)
    late = np.array([START.timestamp() + 3601.0])
    with pytest.raises(InputError, match="end of the request"):
        portfolio.take(request.id, late, np.array([0.1]), unit="value", now_s=T0_S)
    with pytest.raises(UnknownIdError):
        portfolio.take("nobody", late, np.array([0.1]), unit="value", now_s=T0_S)
    book.cancel(request.id, actor="test", reason="test", now=T0)
    with pytest.raises(ConflictError, match="cancelled"):
        portfolio.take(request.id, np.array([START.timestamp()]), np.array([0.1]), unit="value", now_s=T0_S)
    other = RequestBook(Journal().record, DISPATCH.requests)
    shaving = _accepted(other, Product.PEAK_SHAVING)
    with pytest.raises(ConflictError, match="follows no signal"):
        _portfolio(other).take(shaving.id, np.array([START.timestamp()]), np.array([0.1]), unit="value", now_s=T0_S)
    with pytest.raises(ConflictError, match="no accepted request for regulation"):
        _portfolio(other).standing(shaving.id, T0_S)


def test_a_larger_fleet_is_followed_anew() -> None:
    book = RequestBook(Journal().record, DISPATCH.requests)
    request = _accepted(book)
    portfolio = _portfolio(book)
    index = small_fleet()
    larger = replace(index, resources=(*index.resources, device(ResourceClass.STORAGE, 99, -10.0, 10.0)))
    portfolio.resize(larger)
    base = np.append(usual_kw(index), 0.0)
    state = seen(larger, base)
    portfolio.follow(request.id, state, _reservation(larger)._replace(base_kw=base))
    assert len(portfolio.follower(request.id).power_kw) == len(larger)
