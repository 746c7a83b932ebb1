"""One submission that comes many times at once, and again after a restart, is one request with one quote."""

import asyncio
from dataclasses import replace

import pytest

from tests.story.city import VirtualCity
from vpp.domain.errors import ConflictError
from vpp.domain.request import RequestState


async def test_each_of_twenty_callers_gets_the_one_quote_and_a_restart_changes_nothing(city: VirtualCity) -> None:
    draft = city.draft(50.0)
    answers = await asyncio.gather(*(city.plant.submit(draft, key="k", actor="dispatcher") for _ in range(20)))

    assert len({request.id for request, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1
    assert all(request.quote is not None and request.state is RequestState.QUOTED for request, _ in answers)
    with pytest.raises(ConflictError, match="another draft"):
        await city.plant.submit(replace(draft, target_kw=60.0), key="k", actor="dispatcher")

    first = answers[0][0]
    accepts = (city.plant.accept(first.id, offer=None, actor="dispatcher", key="a") for _ in range(5))
    accepted = await asyncio.gather(*accepts)
    assert {request.version for request in accepted} == {4}
    assert sum(entry.kind == "baseline.issued" for entry in city.store.journal.entries()) == 1

    await city.kill()
    await city.boot()
    again, created = await city.plant.submit(draft, key="k", actor="dispatcher")
    assert (again.id, created) == (first.id, False)
    assert again.quote == first.quote
    with pytest.raises(ConflictError, match="another act"):
        await city.plant.cancel(first.id, actor="dispatcher", reason="no", key="a")


async def test_what_a_killed_service_left_half_done_is_done_by_the_next(city: VirtualCity) -> None:
    draft, book = city.draft(50.0), city.service.core.engine.book
    areas = [area.id for area in city.index.areas]
    half, _ = book.submit(draft, key="k", actor="dispatcher", now=city.clock.now(), known_areas=areas)
    other = city.draft(50.0, start_at=draft.end_at.replace(hour=draft.end_at.hour + 3))
    other = replace(other, end_at=other.start_at.replace(hour=other.start_at.hour + 1))
    bare, _ = await city.plant.submit(other, key=None, actor="dispatcher")
    book.accept(bare.id, offer=None, actor="dispatcher", now=city.clock.now())
    await city.service.core.store.journal.flush()
    await city.kill()
    await city.boot()
    await city.play(minutes=1.0)
    await city.plan()

    quoted, created = await city.plant.submit(draft, key="k", actor="dispatcher")
    assert (quoted.id, created, quoted.state) == (half.id, False, RequestState.QUOTED)
    frozen = city.service.requests.measurement.baselines
    assert bare.id in frozen, "an accepted request without a baseline would never be settled"
