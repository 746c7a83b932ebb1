"""When a drill begins, and of what."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.dispatch.requests.parts import DRAFT, NOW
from vpp.application.drills import automatic_drills
from vpp.application.drills.drill_plan import DrillRules, asked_kw, begins, drill_draft, in_turn
from vpp.bootstrap.drill import run
from vpp.domain.request import Direction, DispatchRequest, NoticeClass, Product, Purpose, RequestState

UP, DOWN = Direction.UP, Direction.DOWN
RULES = DrillRules(per_week=3.0)
NOON_S = NOW.replace(hour=4).timestamp()
"""Noon in Shanghai."""


def drill(days_ago: float, **changes: object) -> DispatchRequest:
    start_at = NOW.replace(hour=4) - timedelta(days=days_ago)
    draft = replace(DRAFT, purpose=Purpose.DRILL, start_at=start_at, end_at=start_at + timedelta(minutes=15))
    made = DispatchRequest(id="d", draft=draft, state=RequestState.SETTLED, created_at=start_at, accepted_kw=5.0)
    return replace(made, **changes)


def lots(*values: float) -> Iterator[float]:
    return iter(values)


def test_none_begins_unless_the_operator_wants_some() -> None:
    assert not begins(DrillRules(), (), NOON_S, lambda: 0.0)
    assert begins(RULES, (), NOON_S, lambda: 0.0)


@pytest.mark.parametrize(("hour", "permitted"), [(7.75, False), (8.0, True), (19.75, True), (20.0, False)])
def test_one_begins_within_its_hours_only(hour: float, *, permitted: bool) -> None:
    assert begins(RULES, (), NOON_S + 3600.0 * (hour - 12.0), lambda: 0.0) is permitted


def test_the_week_s_budget_is_kept_whatever_chance_says() -> None:
    held = [drill(0.5), drill(3.0), drill(6.9)]
    assert not begins(RULES, held, NOON_S, lambda: 0.0)
    assert begins(RULES, [*held[:2], drill(7.1)], NOON_S, lambda: 0.0)
    assert begins(RULES, [*held[:2], drill(1.0, accepted_kw=None)], NOON_S, lambda: 0.0), "declined: it cost nothing"
    assert begins(DrillRules(per_week=0.5), (), NOON_S, lambda: 0.0), "one in two weeks"


def test_chance_gives_as_many_as_wanted_spread_over_all_quarters() -> None:
    random = np.random.default_rng(1)
    quarters = [NOON_S + 900.0 * step for step in range(96 * 7 * 100)]
    begun = [at_s for at_s in quarters if begins(RULES, (), at_s, random.random)]
    assert len(begun) / 100.0 == pytest.approx(3.0, rel=0.15)
    assert len({at_s % 86_400.0 for at_s in begun}) == 48, "every quarter of the twelve hours"


def test_what_was_tested_longest_ago_is_first_and_lots_decide_among_the_untested() -> None:
    tested_s = {("north", UP): 20.0, ("south", UP): 10.0}
    draw = lots(0.9, 0.1, 0.5)
    assert in_turn(("north", "south", "east"), (UP,), tested_s, lambda: next(draw)) == [
        ("east", UP),
        ("south", UP),
        ("north", UP),
    ]
    draw = lots(0.9, 0.8, 0.1, 0.2)
    assert in_turn(("north", "south"), (UP, DOWN), {}, lambda: next(draw))[0] == ("south", UP)


def test_a_drawn_part_is_asked_for_more_than_is_expected_of_it_by_the_service_as_by_the_command() -> None:
    assert asked_kw(1000.0, 0.2) == pytest.approx(300.0)
    draft = drill_draft(("north", DOWN), target_kw=300.0, start_s=NOON_S, minutes=15.0, drawn_ratio=0.2)
    assert (draft.product, draft.purpose, draft.notice_class) == (
        Product.VALLEY_FILLING,
        Purpose.DRILL,
        NoticeClass.FAST,
    )
    assert (draft.start_at.timestamp(), draft.end_at.timestamp()) == (NOON_S, NOON_S + 900.0)
    for room in (automatic_drills, run):
        assert room.asked_kw is asked_kw  # type: ignore[attr-defined]  # both by the one rule
        assert room.drill_draft is drill_draft  # type: ignore[attr-defined]  # as above
