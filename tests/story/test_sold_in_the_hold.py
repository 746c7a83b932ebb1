"""A site changes hands while a request runs, with a power cut after: each owner is paid for its own intervals."""

from dataclasses import replace

import numpy as np

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.bootstrap.replay import Replay
from vpp.domain.performance import FEN_PER_CNY
from vpp.domain.request import DispatchRequest, RequestState
from vpp.domain.telemetry import RowArray
from vpp.domain.units import STEP_S
from vpp.storage.journal import verify

_NOTARY = "notary"


async def _holding(city: VirtualCity, share: float) -> DispatchRequest:
    """Return a request ten minutes into its hold."""
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW))
    request = await city.commit(city.draft(float(round(share * quoted_kw))))
    await city.play_until(request.draft.start_at.timestamp() + 600.0)
    assert city.plant.request(request.id).state is RequestState.HOLDING
    return request


def _working(city: VirtualCity) -> RowArray:
    """Return the rows that hold a value of the request."""
    engine = city.service.core.engine
    held = engine.in_force.leased(city.clock.now_s()) & ~np.isnan(engine.setpoints_kw())
    return np.flatnonzero(held).astype(np.int32)


async def _recorded(city: VirtualCity) -> None:
    """Check that the record verifies and decides the same again."""
    await city.service.core.store.journal.flush()
    assert Replay(city.settings, city.store).run().differences == []
    assert verify(city.store.database).count > 0


async def test_old_and_new_owner_of_a_site_are_each_paid_for_their_intervals(city: VirtualCity) -> None:
    request = await _holding(city, share=0.8)
    start_s = request.draft.start_at.timestamp()
    await city.play_until(start_s + 1.5 * STEP_S)
    index = city.service.core.engine.index
    place = int(np.bincount(index.site_code[_working(city)]).argmax())
    site = index.sites[place]
    buyer = replace(next(one for one in index.operators if one.id == site.operator_id), id="buyer", name="Buyer")
    await city.plant.put_member(buyer, actor=_NOTARY)
    await city.plant.put_member(replace(site, operator_id=buyer.id), actor=_NOTARY)
    sold_s = city.clock.now_s()
    await city.cycle()
    await city.kill()
    await city.dark(40.0)
    await city.boot()
    over = await city.play_out(request.id)
    assert over.state is RequestState.SETTLED

    found = city.plant.performance(request.id)
    assert found is not None
    shares = found.shares
    of_site = {shares.operator_ids[part]: part for part in range(len(shares)) if shares.site_ids[part] == site.id}
    assert set(of_site) == {site.operator_id, buyer.id}
    before = np.array([interval.start_at.timestamp() <= sold_s for interval in found.intervals])
    old_kw, new_kw = (shares.delivered_kw[of_site[owner]] for owner in (site.operator_id, buyer.id))
    assert not old_kw[~before].any(), "nothing of the time after"
    assert not new_kw[before].any(), "nothing of the time before"
    for owner in of_site:
        assert shares.energy_kwh[of_site[owner]] > 0.0
        assert shares.settlement_fen["gross"][of_site[owner]] > 0
    assert float(shares.energy_kwh.sum()) == found.energy_kwh
    for line, fen in shares.settlement_fen.items():
        assert int(fen.sum()) == round(found.settlement_cny[line] * FEN_PER_CNY), f"nothing of {line} is paid twice"
    assert city.verdict(over)["limits_not_restored"] == 0
    await _recorded(city)
