"""Stored samples as a scope sees them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.story.town import BEGIN_S, INDEX
from vpp.application.scoping.sample_queries import SampleQueries
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store, archive_of
from vpp.config import Settings
from vpp.domain.errors import UnknownIdError
from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.fleet.scope import EVERYTHING, Scope
from vpp.runtime.clock import VirtualClock

FROM_S, TO_S = BEGIN_S - 60.0, BEGIN_S + 60.0


async def test_samples_and_sums_are_those_in_sight(tmp_path: Path) -> None:
    clock, store = VirtualClock(BEGIN_S), Store.open("sqlite://")
    settings = Settings.load(data_dir=tmp_path, telemetry_url=str(tmp_path / "telemetry"))
    service = Service(settings, store, clock, ())
    await service.open()
    await service.plant.connect(
        areas=INDEX.areas,
        operators=INDEX.operators,
        transformers=INDEX.transformers,
        sites=INDEX.sites,
        resources=INDEX.resources,
    )
    archive = archive_of(settings, store.database, clock)
    assert archive is not None
    samples = [(row, int(Quantity.POWER_KW), float(row), BEGIN_S) for row in range(len(INDEX))]
    archive.store.assign(INDEX.area_code)
    archive.store.write([TelemetryBatch.of(samples)], at_s=BEGIN_S)
    queries = SampleQueries(archive.store, service.plant)
    operator = INDEX.site_of[INDEX.resources[-1].site_id].operator_id
    other = next(r.id for r in INDEX.resources if INDEX.site_of[r.site_id].operator_id != operator)
    area, mine = INDEX.areas[0].id, Scope(operators=frozenset({operator}))

    own = queries.samples(INDEX.resources[-1].id, from_s=FROM_S, to_s=TO_S, scope=mine)
    assert own.values.tolist() == [float(len(INDEX) - 1)], "the row is that of the whole fleet"
    for hidden in (other, "nobody"):
        with pytest.raises(UnknownIdError, match=hidden):
            queries.samples(hidden, from_s=FROM_S, to_s=TO_S, scope=mine)

    site = INDEX.site_of[INDEX.resources[-1].site_id]
    buyer = next(known.id for known in INDEX.operators if known.id != operator)
    await clock.advance(BEGIN_S + 10.0)
    await service.plant.put_member(replace(site, operator_id=buyer), actor="x")
    bought = Scope(operators=frozenset({buyer}))
    assert len(queries.samples(INDEX.resources[-1].id, from_s=FROM_S, to_s=TO_S, scope=EVERYTHING).values) == 1
    assert not len(queries.samples(INDEX.resources[-1].id, from_s=FROM_S, to_s=TO_S, scope=bought).values)

    _, power_kw, _ = queries.power(area, from_s=FROM_S, to_s=TO_S, step_s=60, scope=Scope(areas=frozenset({area})))
    assert power_kw.sum() == np.flatnonzero(INDEX.in_area(area)).sum()
    assert queries.power("city", from_s=FROM_S, to_s=TO_S, step_s=60, scope=EVERYTHING)[1].sum() > 0.0
    for hidden, scope in (("city", Scope(areas=frozenset({area}))), (area, mine), ("nowhere", EVERYTHING)):
        with pytest.raises(UnknownIdError):
            queries.power(hidden, from_s=FROM_S, to_s=TO_S, step_s=60, scope=scope)
    await service.close()
    archive.close()
    store.close()
