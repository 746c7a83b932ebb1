"""A town that drills itself: at random, area by area, and what it finds is shown."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.story.test_service_of_a_quiet_town import Still, asked, put_in_force, still
from vpp.application.drills.drill_plan import DrillRules
from vpp.domain.request import Direction, DispatchRequest, RequestState
from vpp.domain.site import Area

__all__ = ["still"]

_RULES = DrillRules(per_week=3.0, hours=(0.0, 24.0), share=1.0)


async def begun(made: Still) -> DispatchRequest | None:
    """Let a drill begin, if one may, and return it."""
    put_in_force(made)
    made.service.drills._rules, made.service.drills._draw = _RULES, lambda: 0.0
    return await made.service.drills.turn()


async def over(made: Still, drill: DispatchRequest, *, power_kw: float) -> None:
    """Let a drill pass with every device at a power, and settle it."""
    last_s = made.service.core.engine.book.timetable(drill.id).watched_s + 1_000.0
    while made.clock.now_s() < last_s:
        await made.clock.advance(made.clock.now_s() + 50.0)
        made.report(power_kw=power_kw, rows=12)
        await made.cycle()
    await made.service.requests.settlement.settle_finished()
    assert made.service.plant.request(drill.id).state is RequestState.SETTLED


async def test_nothing_is_drilled_by_itself_unless_it_is_wanted(still: Still) -> None:
    put_in_force(still)
    still.service.drills._draw = lambda: 0.0
    assert await still.service.drills.turn() is None
    assert still.value("vpp_drills_per_week") == 0.0
    ages = [still.value("vpp_verified_age_seconds", area=area.id, direction="up") for area in areas(still)]
    assert ages
    assert all(age == math.inf for age in ages)


async def test_a_drill_takes_an_area_and_a_call_in_it_makes_it_wait(still: Still) -> None:
    drill = await begun(still)
    assert drill is not None
    assert drill.draft.is_drill
    assert drill.state is RequestState.SCHEDULED
    assert drill.draft.area in {area.id for area in areas(still)}
    assert drill.history[0].actor == "drills"
    assert drill.accepted_kw is not None
    assert drill.accepted_kw > 0.0


async def test_no_drill_is_begun_while_a_call_is_committed_for_the_city(still: Still) -> None:
    put_in_force(still)
    call, _ = await still.service.plant.submit(asked(still, 0.5), key=None, actor="x")
    await still.service.plant.accept(call.id, offer=None, actor="x")
    assert await begun(still) is None
    assert [request.id for request in still.service.plant.requests()] == [call.id], "nothing was even asked"


async def test_a_drill_of_devices_that_do_not_follow_raises_the_alarm_and_verifies_nothing(still: Still) -> None:
    drill = await begun(still)
    assert drill is not None
    await over(still, drill, power_kw=3.0)
    put_in_force(still)
    still.service.drills._rules = replace(_RULES, per_week=0.0)
    await still.service.drills.turn()
    labels = {"area": drill.draft.area, "direction": "up"}
    ratio = still.value("vpp_drill_delivered_ratio", **labels)
    assert ratio is not None
    assert ratio < 0.5
    assert still.value("vpp_verified_age_seconds", **labels) == pytest.approx(
        still.clock.now_s() - drill.draft.end_at.timestamp()
    )
    assert ("drill_short", "set") in still.alarms()
    assert still.service.requests.settlement.verified(drill.draft.area, Direction.UP).kw < 0.5 * (
        drill.accepted_kw or 0.0
    )
    (settled,) = still.service.plant.settlements()
    assert settled.shares.settlement_fen == {}, "a drill is paid nothing"


def areas(made: Still) -> Sequence[Area]:
    """Return the areas of the town."""
    return made.service.plant.fleet().index.areas
