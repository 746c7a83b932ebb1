"""Buildings that were held back want their coolness back; a request may say how much of that the grid will bear."""

import copy
from dataclasses import replace
from pathlib import Path

from tests.story.city import FAR_TOO_MUCH_KW, SEED, VirtualCity, prerolled, small_fleet
from vpp.domain.performance import Performance
from vpp.domain.resource import ResourceClass
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.population.sessions import BuiltinSessions

_MINUTES = 30.0
_CAP_KW = 50.0


def _without_plants() -> Twin:
    """Return a twin whose cut has to come from buildings."""
    fleet = small_fleet()
    others = tuple(r for r in fleet.resources if r.resource_class is not ResourceClass.INDUSTRY)
    return prerolled(replace(fleet, resources=others), BuiltinSessions(SEED))


async def _played(twin: Twin, directory: Path, cap_kw: float | None) -> Performance:
    """Return how a request for what can be had under the cap went."""
    city = VirtualCity(twin, directory, watch_minutes=45.0)
    await city.found()
    quoted_kw, _ = await city.quoted_kw(city.draft(FAR_TOO_MUCH_KW, minutes=_MINUTES, rebound_cap_kw=_CAP_KW))
    request = await city.commit(city.draft(round(0.85 * quoted_kw), minutes=_MINUTES, rebound_cap_kw=cap_kw))
    await city.play_out(request.id)
    performance = city.plant.performance(request.id)
    await city.close()
    assert performance is not None
    assert performance.class_delivered_kw["hvac"] > 500.0
    return performance


async def test_the_metered_rebound_stays_under_its_cap(tmp_path: Path) -> None:
    twin = _without_plants()
    free = await _played(copy.deepcopy(twin), tmp_path / "free", None)
    capped = await _played(twin, tmp_path / "capped", _CAP_KW)

    assert free.rebound_peak_kw > 2.0 * _CAP_KW, "without a cap it would be more"
    assert capped.rebound_peak_kw <= _CAP_KW
    assert capped.accuracy_ratio >= 0.97
