"""What quotes take from the engine, while the fleet grows under them."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.unit.vpp.dispatch.regulation.parts import CARS, device, seen, small_fleet
from vpp.application.requests.quoting import Quoter
from vpp.domain.resource import ResourceClass
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy
from vpp.state.answer_times import AnswerTimes
from vpp.state.meter_cadence import MeterCadence

INDEX = small_fleet()
GROWN = INDEX.extended(resources=(device(ResourceClass.EV, CARS, 0.0, 7.0),))


def test_scores_are_those_of_the_rows_of_the_snapshot_though_the_fleet_has_grown_since() -> None:
    observed = SimpleNamespace(cadence=MeterCadence(GROWN), answers=AnswerTimes(GROWN))
    engine: Any = SimpleNamespace(
        regulation=observed, outbox=SimpleNamespace(ledger=lambda: SimpleNamespace(by_reason={}))
    )
    measurement: Any = SimpleNamespace(participation=None, portfolios={})
    nothing: Any = SimpleNamespace()
    quoter = Quoter(
        engine=engine,
        picture=nothing,
        measurement=measurement,
        forecaster=nothing,
        valid_s=60.0,
        policy=FlexibilityPolicy(),
    )
    power_kw = np.zeros(len(GROWN))
    now, before = seen(GROWN, power_kw), seen(INDEX, power_kw[:-1])
    observed.cadence.observe(now)
    assert quoter.regulation_score(before).tolist() == quoter.regulation_score(now)[:-1].tolist()
