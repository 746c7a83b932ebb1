"""Baselines that an acceptance could not freeze, because the service ended between the two."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW, quote, submit
from vpp.application.delivery.settlement import Settlement
from vpp.application.delivery.settlement_runs import SettlementRuns
from vpp.bus.event_stream import EventStream
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.request import DispatchRequest
from vpp.runtime.clock import VirtualClock


class _Freezing:
    """Freezes what is ripe."""

    def __init__(self, unripe: Collection[str] = ()) -> None:
        self.frozen: list[str] = []
        self.unripe = unripe

    def under_way(self, _id: str) -> bool:
        return False

    def is_ripe(self, request: DispatchRequest) -> bool:
        return request.id not in self.unripe

    async def freeze(self, request: DispatchRequest, *, late: bool) -> None:
        assert late
        self.frozen.append(request.id)


def settlement_of(book: RequestBook, freezing: _Freezing) -> Settlement:
    nothing: Any = SimpleNamespace()
    return Settlement(
        clock=VirtualClock(NOW.timestamp()),
        book=book,
        journal=nothing,  # nothing is journalled
        measurement=SimpleNamespace(has_baseline=lambda one: one in freezing.frozen, release=tuple),  # type: ignore[arg-type] # a double
        freezing=freezing,  # type: ignore[arg-type] # a double
        announce=nothing,  # nothing is settled
        runs=SettlementRuns(nothing, EventStream()),
        metered_until_s=lambda: 0.0,
        verified_s=0.0,
    )


def committed(book: RequestBook, request_ids: Iterable[str]) -> None:
    """Accept some requests, one a second."""
    for number, request_id in enumerate(request_ids):
        at = NOW + timedelta(seconds=number)
        book.quoted(request_id, quote(), at)
        book.accept(request_id, offer=None, actor="d", now=at)


@pytest.fixture
def book() -> RequestBook:
    return RequestBook(lambda _kind, _at, _body: None, RequestRules())


@pytest.mark.parametrize("in_turn", [True, False])
async def test_the_request_committed_first_has_its_baseline_frozen_first(book: RequestBook, in_turn: bool) -> None:  # noqa: FBT001 - both ways
    asked = submit(book), submit(book)
    order = asked if in_turn else asked[::-1]
    committed(book, order)
    freezing = _Freezing()
    settlement = settlement_of(book, freezing)
    for _ in range(2):
        await settlement.settle_finished()
    assert freezing.frozen == list(order)


async def test_while_devices_are_not_back_neither_a_request_is_frozen_nor_later_ones_beside_it(
    book: RequestBook,
) -> None:
    areas = (DRAFT.area, "city", "south")
    first, second, elsewhere = (submit(book, replace(DRAFT, area=area)) for area in areas)
    committed(book, (first, second, elsewhere))
    freezing = _Freezing(unripe=(second,))
    settlement = settlement_of(book, freezing)
    await settlement.settle_finished()
    assert freezing.frozen == [first], "the third would take what the second is to have"
    freezing.unripe = ()
    await settlement.settle_finished()
    assert freezing.frozen == [first, second, elsewhere]
