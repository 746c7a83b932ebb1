"""The tally counts windows and promises kept by area, direction, notice and block."""

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import NOW_S
from vpp.domain.units import SECONDS_PER_DAY
from vpp.planning.calibration.cells import Cell
from vpp.planning.calibration.kept_tally import KeptTally
from vpp.record.state_codec import decode_state, encode_state

CELL = Cell(0, 0, 1, 2)
KEPT, MISSED = [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]


def counted() -> KeptTally:
    tally = KeptTally()
    for kept in (KEPT, KEPT, KEPT, MISSED):
        tally.add(["city"], CELL, NOW_S, np.array([kept]))
    tally.add(["east", "west"], CELL._replace(level=1), NOW_S, np.array([KEPT, MISSED]))
    return tally


def test_ratios_are_shares_of_the_windows_of_an_area() -> None:
    city, west = counted().of("city", CELL), counted().of("west", CELL)
    assert (city.windows, city.ratio, city.since_s) == (4, pytest.approx((0.75, 0.75, 0.0)), NOW_S)
    assert (west.windows, west.ratio) == (1, (0.0, 0.0, 0.0))


def test_of_what_was_never_quoted_nothing_is_known() -> None:
    for found in (counted().of("north", CELL), counted().of("city", CELL._replace(block=0))):
        assert found.windows == 0
        assert np.isnan([*found.ratio, found.since_s]).all()


def test_a_promise_of_which_nobody_knows_counts_for_no_ratio() -> None:
    tally = counted()
    tally.add(["city"], CELL, NOW_S, np.array([[0.0, np.nan, np.nan]]))
    assert tally.of("city", CELL).ratio == pytest.approx((0.6, 0.75, 0.0))
    assert tally.of("city", CELL).windows == 5


def test_rows_begin_with_the_city_and_name_what_was_judged() -> None:
    assert [(area, cell.level, kept.windows) for area, cell, kept in counted().rows()] == [
        ("city", 0, 4),
        ("east", 1, 1),
        ("west", 1, 1),
    ]


def test_pooled_counts_all_areas_of_a_notice_and_block() -> None:
    pooled = counted().pooled(1, 2)
    assert (pooled.windows, pooled.ratio[0], pooled.since_s) == (6, pytest.approx(4 / 6), NOW_S)
    assert counted().pooled(0, 2).windows == 0


def test_what_was_twenty_days_ago_counts_half() -> None:
    tally = counted()
    tally.add(["city"], CELL, NOW_S + 20 * SECONDS_PER_DAY, np.array([MISSED]))
    assert tally.of("city", CELL).ratio[0] == pytest.approx(1.5 / 3.0)


def test_everything_is_kept() -> None:
    tally, again = counted(), KeptTally()
    again.load(decode_state(encode_state(tally.state())))
    for one in (tally, again):
        one.add(["city", "north"], CELL, NOW_S + 900.0, np.array([KEPT, KEPT]))
    assert encode_state(again.state()) == encode_state(tally.state())
