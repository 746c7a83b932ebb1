"""A standing commitment in whose hours a request calls most of its power: it was there, and is used up afterwards."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity
from vpp.domain.request import Direction
from vpp.domain.standing import StandingHours, StandingTerms
from vpp.domain.timegrid import instant


async def test_availability_goes_on_through_a_call_and_ends_with_its_release(city: VirtualCity) -> None:
    parts = city.service.requests
    terms = StandingTerms(
        area="city",
        direction=Direction.UP,
        power_kw=1e6,
        hours=(StandingHours(from_hour=0.0, until_hour=24.0),),
        longest_call_minutes=60.0,
        availability_cny_per_mw_h=Decimal(100),
        shortfall_cny_per_mw_h=Decimal(100),
        from_at=instant(city.clock.now_s()),
    )
    commitment, _ = await parts.standing.service.enter(terms, key=None, actor="dispatcher")
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW))
    request = await city.commit(city.draft(float(round(0.6 * quoted_kw))))
    await city.play_until(request.draft.end_at.timestamp() + 3600.0)
    (day,) = parts.availability.days(commitment)
    assert day.starts_at[-1] == request.draft.end_at, "while it is released"
    assert [later - at for at, later in zip(day.starts_at, day.starts_at[1:], strict=False)] == [
        timedelta(minutes=15)
    ] * (len(day.starts_at) - 1)
    before_kw = day.available_kw[0]
    assert day.available_kw == pytest.approx([before_kw] * len(day.available_kw), rel=0.12)
