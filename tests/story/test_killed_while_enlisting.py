"""A power cut between the acceptance of a second request in an area and the division of its rows."""

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.domain.request import RequestState


async def test_a_request_that_was_accepted_just_before_a_crash_has_its_rows_once_devices_are_back(
    city: VirtualCity,
) -> None:
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW))
    first = await city.commit(city.draft(float(round(0.4 * quoted_kw))))
    second = await city.ask(city.draft(float(round(0.2 * quoted_kw))))
    city.service.core.engine.book.accept(second.id, offer=None, actor="dispatcher", now=city.clock.now())
    await city.service.core.store.journal.flush()
    await city.kill()
    await city.dark(40.0)
    await city.boot()
    parts = city.service.requests
    await parts.settlement.settle_finished()  # the service does so at once
    assert not parts.measurement.has_baseline(second.id), "no device is back"
    for request in (first, second):
        over = await city.play_out(request.id)
        found = city.plant.performance(request.id)
        assert over.state is RequestState.SETTLED
        assert found is not None
        assert found.accuracy_ratio >= 0.9, request.id
    mine, its = (parts.measurement.portfolios[one.id] for one in (second, first))
    assert mine.any()
    assert not (mine & its).any()
