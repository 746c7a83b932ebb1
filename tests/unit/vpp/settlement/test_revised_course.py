"""Settlement of a target that was changed under way."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.dispatch.requests.course_parts import Play, minutes
from tests.unit.vpp.dispatch.requests.parts import END, START
from vpp.dispatch.requests.phases import PhaseTimes
from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod
from vpp.domain.timegrid import TimeGrid
from vpp.settlement.performance import target_profile
from vpp.settlement.revised_course import course_means_kw, held_course_kw, lengthened


@pytest.fixture
def play() -> Play:
    return Play()


def test_means_by_interval_agree_with_the_due_power_and_with_the_plain_profile(play: Play) -> None:
    grid = TimeGrid(start_at=START - minutes(15), count=8)
    plain = play.book.timetable(play.id)
    times = {"start_s": plain.start_s, "end_s": plain.end_s, "release_end_s": plain.released_s}
    whole = target_profile(grid, 400.0, ramp_s=plain.ramp_s, **times)
    np.testing.assert_allclose(course_means_kw(grid, plain.corners()), whole, atol=0.01)
    play.change(START + minutes(10), target_kw=800.0)
    play.change(START + minutes(34), target_kw=200.0, end_at=END - minutes(5))
    table = play.book.timetable(play.id)
    seconds = grid.start_s + np.arange(grid.count * 900) + 0.5
    due = np.array([table.target_at(at_s) for at_s in seconds.tolist()]).reshape(grid.count, 900)
    np.testing.assert_allclose(course_means_kw(grid, table.corners()), due.mean(axis=1), atol=0.5)
    held = held_course_kw(grid, table.corners(), table.start_s, table.end_s)
    assert np.isnan(held[0])
    assert held[4] == pytest.approx(due[4, :600].mean(), abs=0.5)
    assert np.isnan(held[5])


def test_a_jump_takes_no_time() -> None:
    play = Play()
    request = play.book.get(play.id)
    play.book._register._put(replace(request, draft=replace(request.draft, ramp_minutes=0.0)))
    play.change(START + minutes(15), target_kw=800.0)
    table: PhaseTimes = play.book.timetable(play.id)
    assert (table.target_at(table.start_s + 899.0), table.target_at(table.start_s + 900.0)) == (400.0, 800.0)
    grid = TimeGrid(start_at=START, count=4)
    np.testing.assert_allclose(course_means_kw(grid, table.corners()), [400.0, 800.0, 800.0, 800.0], atol=0.01)


def _baseline(count: int, value: float, excluded: tuple[str, ...] = ()) -> Baseline:
    power = np.full((2, count), value)
    if excluded:
        power[1] = 0.0
    return Baseline(
        grid=TimeGrid(start_at=START, count=count),
        power_kw=power,
        methods={"hvac": BaselineMethod.METER_BEFORE},
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256=str(value),
        excluded_ids=excluded,
    )


def test_a_longer_baseline_leaves_what_was_frozen_as_it_is() -> None:
    longer = lengthened(_baseline(2, 5.0), _baseline(4, 7.0))
    assert longer.power_kw.tolist() == [[5.0, 5.0, 7.0, 7.0]] * 2
    assert longer.grid.count == 4
    assert longer.input_sha256 not in {"5.0", "7.0"}
    assert lengthened(_baseline(4, 5.0), _baseline(2, 7.0)).power_kw.tolist() == [[5.0] * 4] * 2


def test_a_row_nobody_can_tell_of_further_keeps_its_last_step() -> None:
    longer = lengthened(_baseline(2, 5.0), _baseline(4, 7.0, excluded=("b",)))
    assert longer.power_kw.tolist() == [[5.0, 5.0, 7.0, 7.0], [5.0] * 4]
    assert longer.excluded_ids == ()
    assert [name for name, _ in longer.notes] == ["b"]
