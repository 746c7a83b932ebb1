"""Two calls of one evening, the later one accepted first: what it needs of the stores is not quoted to the earlier."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.story.city import FAR_TOO_MUCH_KW, VirtualCity, prerolled
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[VirtualCity]:
    """Return a city with many batteries."""
    fleet = demo_fleet(stations=20, inverters=4, batteries=40, v2g=4, sites=4)
    made = VirtualCity(prerolled(fleet, BuiltinSessions(1)), tmp_path)
    await made.found()
    yield made
    await made.close()


async def test_the_earlier_call_is_quoted_what_the_later_one_leaves(stores: VirtualCity) -> None:
    draft, later = stores.draft(FAR_TOO_MUCH_KW, minutes=120.0), timedelta(hours=3.0)
    alone_kw, _ = await stores.quoted_kw(draft)
    second = await stores.commit(replace(draft, start_at=draft.start_at + later, end_at=draft.end_at + later), offer=0)
    beside_kw, _ = await stores.quoted_kw(draft)
    assert 0.5 * alone_kw < beside_kw < 0.95 * alone_kw
    await stores.plant.cancel(second.id, actor="dispatcher", reason="not needed")
    again_kw, _ = await stores.quoted_kw(draft)
    assert again_kw == pytest.approx(alone_kw)
