"""What quotes take from the engine, while the fleet grows under them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.unit.vpp.dispatch.regulation.parts import CARS, device, seen, small_fleet
from tests.unit.vpp.planning.city_parts import city_draft
from vpp.application.requests.quoting import Quoter
from vpp.domain.request import Direction, Product
from vpp.domain.resource import ResourceClass
from vpp.domain.timegrid import TimeGrid
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy
from vpp.state.answer_times import AnswerTimes
from vpp.state.meter_cadence import MeterCadence

INDEX = small_fleet()
GROWN = INDEX.extended(resources=(device(ResourceClass.EV, CARS, 0.0, 7.0),))

CUT = city_draft()


def quoter_of(engine: object, clock: object = None) -> Quoter:
    measurement: Any = SimpleNamespace(participation=None, portfolios={})
    anything: Any = SimpleNamespace(clock=clock)
    return Quoter(
        engine=cast("Any", engine),
        picture=anything,
        measurement=measurement,
        forecaster=anything,
        valid_s=60.0,
        policy=FlexibilityPolicy(),
    )


@pytest.mark.parametrize(
    ("product", "direction", "committed_kw", "called_kw"),
    [
        (Product.PEAK_SHAVING, Direction.UP, 5.0, 5.0),
        (Product.PEAK_SHAVING, Direction.DOWN, 0.0, 0.0),
        (Product.REGULATION, Direction.DOWN, 5.0, 0.0),
    ],
)
def test_a_call_takes_energy_from_calls_of_its_direction_and_regulation_takes_power_alone(
    product: Product, direction: Direction, committed_kw: float, called_kw: float
) -> None:
    other = SimpleNamespace(id="other", draft=replace(CUT, product=product, direction=direction))
    timetable = SimpleNamespace(target_at=lambda _: 5.0)
    book = SimpleNamespace(running=lambda _: [other], timetable=lambda _: timetable)
    quoter = quoter_of(SimpleNamespace(book=book), SimpleNamespace(now_s=lambda: 0.0))
    forecast: Any = SimpleNamespace(grid=TimeGrid(start_at=CUT.start_at, count=2))
    promised = quoter._promised_kw(CUT, forecast, set())
    assert [kw.tolist() for kw in promised] == [[committed_kw] * 2, [called_kw] * 2]
    assert not np.any(quoter._promised_kw(CUT, forecast, {"other"}))


def test_scores_are_those_of_the_rows_of_the_snapshot_though_the_fleet_has_grown_since() -> None:
    observed = SimpleNamespace(cadence=MeterCadence(GROWN), answers=AnswerTimes(GROWN))
    engine: Any = SimpleNamespace(
        regulation=observed, outbox=SimpleNamespace(ledger=lambda: SimpleNamespace(by_reason={}))
    )
    quoter = quoter_of(engine)
    power_kw = np.zeros(len(GROWN))
    now, before = seen(GROWN, power_kw), seen(INDEX, power_kw[:-1])
    observed.cadence.observe(now)
    assert quoter.regulation_score(before).tolist() == quoter.regulation_score(now)[:-1].tolist()
