"""Baselines that an acceptance could not freeze, because the service ended between the two."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.vpp.dispatch.requests.parts import NOW, quote, submit
from vpp.application.delivery.settlement import Settlement
from vpp.application.delivery.settlement_runs import SettlementRuns
from vpp.bus.event_stream import EventStream
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.runtime.clock import VirtualClock


@pytest.mark.parametrize("in_turn", [True, False])
async def test_the_request_committed_first_has_its_baseline_frozen_first(in_turn: bool) -> None:  # noqa: FBT001 - both ways
    book = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    asked = submit(book), submit(book)
    first, second = asked if in_turn else asked[::-1]
    book.quoted(first, quote(), NOW)
    book.accept(first, offer=None, actor="d", now=NOW)
    book.quoted(second, quote(), NOW + timedelta(seconds=1))
    book.accept(second, offer=None, actor="d", now=NOW + timedelta(seconds=1))
    frozen: list[str] = []

    async def freeze(request: Any, *, late: bool) -> None:  # noqa: ANN401 - a double
        assert late
        frozen.append(request.id)

    nothing = SimpleNamespace()
    settlement = Settlement(
        clock=VirtualClock(NOW.timestamp()),
        book=book,
        journal=nothing,  # type: ignore[arg-type] # nothing is journalled
        measurement=SimpleNamespace(has_baseline=frozen.__contains__, release=tuple),  # type: ignore[arg-type] # a double
        freezing=SimpleNamespace(under_way=lambda _id: False, freeze=freeze),  # type: ignore[arg-type] # a double
        announce=freeze,  # type: ignore[arg-type] # nothing is settled
        runs=SettlementRuns(nothing, EventStream()),  # type: ignore[arg-type] # as above
        metered_until_s=lambda: 0.0,
        verified_s=0.0,
    )
    for _ in range(2):
        await settlement.settle_finished()
    assert frozen == [first, second]
