"""Late meters against what goes on meanwhile: another import, and the retention of requests."""

from dataclasses import replace

import numpy as np
import pytest

from tests.story.test_delivery_is_released import called, passed
from tests.story.test_requests_are_forgotten import Began, begin
from tests.story.test_service_of_a_quiet_town import Still
from tests.story.town import INDEX
from vpp.domain.errors import ForgottenError
from vpp.domain.performance import Performance
from vpp.domain.request import DispatchRequest
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.domain.timegrid import TimeGrid
from vpp.domain.units import SECONDS_PER_DAY

__all__ = ["begin"]


def late(made: Still, request_id: str, less_kw: float) -> tuple[TimeGrid, IdArray, FloatArray]:
    """Return meters of the hold's first interval, below the baseline by some kW a device: grid, rows and power."""
    measurement, request = made.service.requests.measurement, made.service.plant.request(request_id)
    measurement.recall(request_id)
    rows = np.flatnonzero(measurement.portfolios[request_id])
    held_kw = measurement.baselines[request_id].power_kw[rows, -1][:, None]
    return TimeGrid(start_at=request.draft.start_at, count=1), rows, np.maximum(held_kw - less_kw, 0.0)


async def test_meters_that_arrive_while_a_correction_is_measured_are_in_the_next(
    begin: Began, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await begin()
    plant, parts = made.service.plant, made.service.requests
    request_id = await called(made)
    grid, rows, first_kw = late(made, request_id, 1.0)
    measure = parts.measurement.measure

    def measure_while_more_arrives(request: DispatchRequest) -> Performance:
        monkeypatch.setattr(parts.measurement, "measure", measure)
        found = measure(request)
        made.store.meters.import_rows(grid, rows.astype(np.int32), first_kw - 1.0)
        parts.settlement.meters_arrived(grid)
        return found

    await plant.import_meters(grid, [INDEX.resources[row].id for row in rows.tolist()], first_kw)
    monkeypatch.setattr(parts.measurement, "measure", measure_while_more_arrives)
    await parts.settlement.settle_finished()
    assert plant.settlements()[0].version == 2
    await parts.settlement.settle_finished()
    assert plant.settlements()[0].version == 3
    await parts.settlement.settle_finished()
    assert plant.settlements()[0].version == 3, "all that came in is in it"


async def test_a_measurement_that_a_correction_overtakes_is_not_kept(
    begin: Began, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await begin()
    parts = made.service.requests
    request_id = await called(made)
    known, issued, measure = parts.settlement._performances, parts.settlement._issued, parts.measurement.measure
    known.clear()

    def measure_while_it_is_corrected(request: DispatchRequest) -> Performance:
        issued[request_id] = replace(issued[request_id], version=2)
        return measure(request)

    monkeypatch.setattr(parts.measurement, "measure", measure_while_it_is_corrected)
    assert parts.settlement.performance(request_id) is not None
    assert request_id not in known
    monkeypatch.setattr(parts.measurement, "measure", measure)
    assert parts.settlement.performance(request_id) is known[request_id]


async def test_a_request_is_not_forgotten_before_its_late_meters_are_measured(begin: Began) -> None:
    made = await begin(request_days=0.01)
    plant, parts = made.service.plant, made.service.requests
    request_id = await called(made)
    grid, rows, power_kw = late(made, request_id, 1.0)
    await made.clock.advance(made.clock.now_s() + 0.02 * SECONDS_PER_DAY)
    await plant.import_meters(grid, [INDEX.resources[row].id for row in rows.tolist()], power_kw)
    await made.service.keeping.turn()
    assert plant.request(request_id)
    await parts.settlement.settle_finished()
    assert plant.settlements()[0].version == 2
    await made.service.keeping.turn()
    with pytest.raises(ForgottenError):
        plant.request(request_id)


async def test_meters_older_than_the_retention_of_intervals_correct_nothing(begin: Began) -> None:
    made = await begin(interval_days=1.0)
    request_id = await called(made)
    grid, rows, first_kw = late(made, request_id, 1.0)
    await passed(made, 72.0)
    await made.service.plant.import_meters(grid, [INDEX.resources[row].id for row in rows.tolist()], first_kw)
    assert not made.service.requests.settlement.awaits_correction(request_id)
    await made.service.requests.settlement.settle_finished()
    assert made.service.plant.settlements()[0].version == 1
