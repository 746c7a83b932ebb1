"""The learnt law: when it takes the place of the normal one, what it learns from, and that it is kept bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import NOW_S
from vpp.domain.request import CITY, Direction
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.planning.calibration.calibration import LEAST_DAYS, LEAST_WINDOWS, Calibration, Judged
from vpp.planning.calibration.cells import BLOCKS, NOTICES, Cell
from vpp.planning.flexibility.error_law import NORMAL
from vpp.record.state_codec import decode_state, encode_state

CELL = Cell(0, 0, 2, 2)


def judged(at_s: float, *found: float, cell: Cell = CELL, learnt: bool = False, kept: float = 1.0) -> Judged:
    return Judged(cell=cell, at_s=at_s, scores=np.array(found), kept=np.full((len(found), 3), kept), learnt=learnt)


def taught(*, days: int, a_day: int, draw: Callable[[np.random.Generator], float], cell: Cell = CELL) -> Calibration:
    random, calibration = np.random.default_rng(3), Calibration()
    for day in range(days):
        at_s = NOW_S + day * SECONDS_PER_DAY
        calibration.take([judged(at_s, draw(random), cell=cell) for _ in range(a_day)])
    return calibration


@pytest.mark.parametrize(
    ("days", "a_day"), [(LEAST_DAYS - 1, LEAST_WINDOWS), (LEAST_DAYS, LEAST_WINDOWS // LEAST_DAYS - 1)]
)
def test_the_normal_law_stands_while_days_or_windows_are_too_few(days: int, a_day: int) -> None:
    calibration = taught(days=days, a_day=a_day, draw=lambda random: random.normal(-5.0, 1.0))
    assert calibration.law(CITY, Direction.UP, start_s=NOW_S + 4 * 3600.0, now_s=NOW_S) is NORMAL


def test_the_learnt_law_has_the_quantiles_of_what_was_seen() -> None:
    calibration = taught(days=60, a_day=48, draw=lambda random: random.normal(-5.0, 2.0))
    law = calibration.law(CITY, Direction.UP, start_s=NOW_S + 4 * 3600.0, now_s=NOW_S)
    assert (law.z10, law.z50, law.z90) == pytest.approx((-5.0 - 2.56, -5.0, -5.0 + 2.56), abs=0.35)
    assert calibration.law(CITY, Direction.DOWN, start_s=NOW_S + 4 * 3600.0, now_s=NOW_S) is NORMAL
    assert calibration.law("east", Direction.UP, start_s=NOW_S + 4 * 3600.0, now_s=NOW_S) is NORMAL


def test_a_cell_nobody_has_seen_is_drawn_from_its_notice_and_this_from_all() -> None:
    calibration = Calibration()
    for day in range(30):
        at_s = NOW_S + day * SECONDS_PER_DAY
        calibration.take([judged(at_s, -8.0, cell=Cell(0, 0, 1, 0)) for _ in range(40)])
        calibration.take([judged(at_s, -2.0, cell=Cell(0, 0, 0, 0)) for _ in range(40)])
    seen, same_notice, other_notice = (calibration.law_in(Cell(0, 0, n, b)) for n, b in ((1, 0), (1, 3), (3, 3)))
    assert seen.z50 == pytest.approx(-8.0, abs=0.2)
    assert same_notice.z50 == pytest.approx(-8.0, abs=0.2)
    assert -8.2 < other_notice.z50 < -1.8


def test_what_was_long_ago_fades() -> None:
    calibration = taught(days=40, a_day=48, draw=lambda random: random.normal(-9.0, 0.5))
    for day in range(60, 140):
        calibration.take([judged(NOW_S + day * SECONDS_PER_DAY, 0.0) for _ in range(48)])
    assert calibration.law_in(CELL).z10 == pytest.approx(0.0, abs=0.2)


def test_areas_of_one_time_weigh_as_much_as_one_window_of_the_city() -> None:
    cell = Cell(0, 1, 2, 2)
    many, few = Calibration(), Calibration()
    for day in range(10):
        at_s = NOW_S + day * SECONDS_PER_DAY
        many.take([judged(at_s, *[-3.0] * 100, cell=cell) for _ in range(30)])
        few.take([judged(at_s, -3.0, cell=cell) for _ in range(30)])
    found, alone = many.law_in(cell), few.law_in(cell)
    assert (found.z10, found.z50, found.z90) == pytest.approx((alone.z10, alone.z50, alone.z90))


def test_what_is_missed_widens_and_what_is_kept_narrows() -> None:
    def after(kept: float) -> float:
        calibration = taught(days=20, a_day=48, draw=lambda random: random.normal(0.0, 1.0))
        calibration.take([judged(NOW_S + 20 * SECONDS_PER_DAY, 0.0, learnt=True, kept=kept) for _ in range(20)])
        return calibration.law_in(CELL).z10

    assert after(0.0) < after(0.9) - 0.1 < after(1.0) - 0.1


def test_a_request_of_which_only_a_part_is_known_moves_only_that_level() -> None:
    calibration = taught(days=20, a_day=48, draw=lambda random: random.normal(0.0, 1.0))
    before = calibration.law_in(CELL)
    flags = np.array([[0.0, np.nan, np.nan]])
    request = Judged(cell=CELL, at_s=NOW_S + 20 * SECONDS_PER_DAY, scores=np.zeros(0), kept=flags, learnt=True)
    calibration.take([request] * 10)
    assert calibration.law_in(CELL).z10 < before.z10 - 0.05
    assert calibration.law_in(CELL).z90 == pytest.approx(before.z90, abs=0.02)


def test_quantiles_are_in_order_wherever_the_levels_went() -> None:
    calibration = taught(days=20, a_day=48, draw=lambda random: random.normal(0.0, 1.0))
    calibration.take([judged(NOW_S + 20 * SECONDS_PER_DAY, 0.0, learnt=True, kept=1.0) for _ in range(2000)])
    calibration.take([judged(NOW_S + 21 * SECONDS_PER_DAY, 0.0, learnt=True, kept=0.0) for _ in range(500)])
    law = calibration.law_in(CELL)
    assert law.z10 <= law.z50 <= law.z90


def test_everything_is_kept_bit_for_bit() -> None:
    calibration = taught(days=20, a_day=48, draw=lambda random: random.normal(-1.0, 2.0))
    again = Calibration()
    again.load(decode_state(encode_state(calibration.state())))
    more = [judged(NOW_S + 21 * SECONDS_PER_DAY + hour * SECONDS_PER_HOUR, -2.0, learnt=True) for hour in range(9)]
    for one in (calibration, again):
        one.take(more)
    assert encode_state(again.state()) == encode_state(calibration.state())
    cells = [Cell(0, 0, notice, block) for notice in range(len(NOTICES)) for block in range(len(BLOCKS))]
    assert [again.law_in(cell) for cell in cells] == [calibration.law_in(cell) for cell in cells]
