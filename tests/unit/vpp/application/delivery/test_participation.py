"""Who takes part in a request: roofs that show what the others would feed in do not."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.settlement.baselines.baseline_parts import EVENT_DAY, Ledger, at, draft, fleet
from vpp.application.delivery.participation import Participation
from vpp.dispatch.engine import DispatchEngine
from vpp.dispatch.settings import DispatchSettings
from vpp.domain.request import BaselineMethod, Direction, Product, RequestDraft
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import CodeArray
from vpp.domain.timegrid import instant
from vpp.settlement.baselines.method_choice import MethodChoice
from vpp.settlement.money.programme import Programme
from vpp.state.eligibility import Standing, reference_roofs
from vpp.state.image import ProcessImage

ROOFS = 100
RAISE = draft(direction=Direction.DOWN, product=Product.VALLEY_FILLING)
BY_OTHER_DAYS = MethodChoice(
    usual={**MethodChoice().usual, ResourceClass.PV: BaselineMethod.SAME_TYPE_DAYS}, quick=MethodChoice().quick
)


def standings(asked: RequestDraft, choice: MethodChoice) -> CodeArray:
    """Return the standing of roofs that are all connected and metered."""
    index = fleet(*[ResourceClass.PV] * ROOFS)
    meters = Ledger(ROOFS)
    for back in range(15):
        meters.fill(EVENT_DAY - timedelta(days=back), *[-50.0] * ROOFS)
    engine = DispatchEngine(index, DispatchSettings(), lambda *_: None)
    state = ProcessImage(index).swap(at(15), np.zeros(ROOFS, dtype=np.uint8))
    state = replace(
        state,
        connected=np.ones(ROOFS, dtype=np.bool_),
        quality=np.zeros(ROOFS, dtype=np.uint8),
        power_kw=np.full(ROOFS, -50.0),
    )
    times = engine.book.timetable_of(asked, instant(state.at_s))
    participation = Participation(engine=engine, meters=meters, programme=Programme(choice=choice))
    return participation.standing(asked, times, state, None)


def test_roofs_left_alone_are_counted_out_of_a_raise_by_name() -> None:
    found, left_alone = standings(RAISE, MethodChoice()), reference_roofs(RAISE, fleet(*[ResourceClass.PV] * ROOFS))
    assert left_alone.any()
    np.testing.assert_array_equal(found == Standing.REFERENCE, left_alone)
    np.testing.assert_array_equal(found == Standing.ELIGIBLE, ~left_alone)


@pytest.mark.parametrize(
    ("asked", "choice"),
    [
        pytest.param(RAISE, BY_OTHER_DAYS, id="measured by other days"),
        pytest.param(draft(), MethodChoice(), id="a cut"),
    ],
)
def test_none_is_left_alone_where_nobody_is_measured_by_it(asked: RequestDraft, choice: MethodChoice) -> None:
    assert set(standings(asked, choice)) == {Standing.ELIGIBLE}
