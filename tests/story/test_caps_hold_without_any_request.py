"""An old compound on a summer evening: a car at every charger, no safe shares, and nobody asks for anything."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.story.city import BEGIN_S, SEED, VirtualCity, prerolled, small_fleet
from vpp.domain.telemetry import BoolArray
from vpp.fleet.calendar import day_start_s
from vpp.fleet.index import FleetIndex
from vpp.lab.twin.local_time import local_day
from vpp.lab.twin.population.sessions import Arrivals, BuiltinSessions, joined
from vpp.lab.twin.worlds import ACTUAL, PREPARED

_BEGIN_H, _LAST_H = 19.5, 20.25
_TOLERANCE = 1.0


def _old_compound(index: FleetIndex) -> BoolArray:
    return np.array([resource.site_id.startswith("home-old") for resource in index.resources], dtype=np.bool_)


def _careless(index: FleetIndex) -> FleetIndex:
    """Return the fleet with nameplates as defaults, as if nobody had thought of the transformer."""
    resources = zip(index.resources, _old_compound(index), strict=True)
    return replace(index, resources=tuple(replace(r, default_kw=r.p_max_kw) if old else r for r, old in resources))


class EveningRush:
    """The usual visits, but on one day a car at every station of the old compounds, one after the other."""

    def __init__(self, day: int) -> None:
        self._usual, self._day = BuiltinSessions(SEED), day

    def day(self, index: FleetIndex, day: int) -> Arrivals:
        """Return the visits that begin on ``day``."""
        usual, old = self._usual.day(index, day), _old_compound(index)
        if day != self._day:
            return usual
        others = usual.take(~old[usual.rows])
        rows = np.flatnonzero(old).astype(np.int32)
        arrive_h = np.random.default_rng(SEED).permutation(np.linspace(_BEGIN_H + 0.1, _LAST_H, len(rows)))
        rush = Arrivals(
            rows=rows,
            arrive_s=day_start_s(day) + 3600.0 * arrive_h,
            depart_s=np.full(len(rows), day_start_s(day) + 3600.0 * 31.0),
            need_kwh=np.full(len(rows), 25.0),
            power_kw=np.full(len(rows), 7.04),
            opted_out=np.zeros(len(rows), dtype=np.bool_),
            boost=np.zeros(len(rows), dtype=np.bool_),
        )
        return joined([others, rush]).in_order()


async def test_the_load_of_an_old_compound_never_passes_its_limit(tmp_path: Path) -> None:
    index = _careless(small_fleet())
    today = local_day(BEGIN_S)
    twin = prerolled(index, EveningRush(today), begin_s=day_start_s(today) + 3600.0 * _BEGIN_H)
    city = VirtualCity(twin, tmp_path)
    await city.found()
    await city.play_until(day_start_s(today) + 3600.0 * (_LAST_H + 0.25))

    truth = city.recorder.truth()
    ours = [i for i, name in enumerate(truth.transformer_ids) if name.startswith("tr-home-old")]
    ratio = truth.transformer_kw[:, :, ours] / truth.limit_kw[ours]
    assert ratio[PREPARED].max() > 1.1, "left alone there would be an overload"
    assert ratio[ACTUAL].max() <= _TOLERANCE
    assert ratio[ACTUAL, -1].min() > 0.85, "no more was taken than had to be"
    assert city.plant.commands()["unaccounted"] == 0
    await city.close()
