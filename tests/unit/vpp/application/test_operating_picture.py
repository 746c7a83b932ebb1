"""Plans in force: required only where there is one."""

import pytest

from tests.unit.vpp.planning.parts import forecast, state
from vpp.application.operating_picture import PlansInForce
from vpp.domain.errors import ConflictError
from vpp.planning.schedule.planner import safe_default


def test_the_plan_is_required_only_once_there_is_one() -> None:
    plans = PlansInForce()
    with pytest.raises(ConflictError, match="no plan yet"):
        plans.required()
    made = forecast(state())
    plans.schedule = safe_default(state(), made, made.grid, "by rule")
    assert plans.required() is plans.schedule
