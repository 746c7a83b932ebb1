"""Changes of committed requests: quoted once the rows of all that overlap are known."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW, accepted, quote
from vpp.application.requests.revision_service import RevisionService
from vpp.dispatch.requests.book import RequestBook
from vpp.dispatch.settings import RequestRules
from vpp.domain.request import Quote
from vpp.runtime.clock import VirtualClock


@pytest.mark.parametrize(("changes", "waits"), [({"target_kw": 600.0}, True), ({"target_kw": 300.0}, False)])
async def test_a_change_to_more_is_quoted_after_those_that_overlap_have_their_rows(
    changes: dict[str, float],
    waits: bool,  # noqa: FBT001 - a test table
) -> None:
    book = RequestBook(lambda _kind, _at, _body: None, RequestRules())
    request_id, clock = accepted(book, DRAFT), VirtualClock(NOW.timestamp())
    handed, waiting, quoted = asyncio.Event(), [], []

    async def others_enlisted(of: str) -> None:
        waiting.append(of)
        await handed.wait()

    def answer(*_: object) -> Quote:
        quoted.append(handed.is_set())
        return quote()

    engine: Any = SimpleNamespace(book=book, as_if_free=lambda state: state)
    service = RevisionService(
        clock=clock,
        engine=engine,
        state=lambda: None,  # type: ignore[arg-type,return-value]  # nobody looks at it
        quote=answer,
        ramp_minutes=10.0,
        freeze=None,  # type: ignore[arg-type]  # nothing is accepted
        others_enlisted=others_enlisted,
    )
    asks = asyncio.create_task(service.revise(request_id, end_at=None, actor="d", key=None, **changes))
    for _ in range(3):
        await asyncio.sleep(0)
    assert waiting == ([request_id] if waits else [])
    await clock.advance(NOW.timestamp() + 60.0)
    handed.set()
    revision, _ = await asks
    assert quoted[0] or not waits
    assert revision.asked_at == NOW + timedelta(seconds=60.0 if waits else 0.0)
