"""Cells of calibration: the notice of a window and the hours it begins in."""

import pytest

from tests.unit.vpp.planning.parts import NOW_S
from vpp.domain.request import Direction
from vpp.planning.calibration.cells import BLOCKS, NOTICES, Cell, block_of, cell_of, notice_of


@pytest.mark.parametrize(
    ("notice_s", "name"),
    [
        (-5.0, "15min"),
        (0.0, "15min"),
        (1_700.0, "15min"),
        (1_900.0, "1h"),
        (7_300.0, "4h"),
        (39_600.0, "24h"),
        (2e5, "24h"),
    ],
)
def test_a_notice_belongs_to_the_nearest_standard_one(notice_s: float, name: str) -> None:
    assert NOTICES[notice_of(notice_s)] == name


def test_a_block_is_counted_in_local_time() -> None:
    noon_s = NOW_S  # noon in Shanghai
    assert [BLOCKS[block_of(noon_s + hours * 3600.0)] for hours in (-0.1, 0.0, 5.9, 6.0, 12.0, 18.0)] == [
        "06-12",
        "12-18",
        "12-18",
        "18-24",
        "00-06",
        "06-12",
    ]


def test_the_city_is_a_level_of_its_own() -> None:
    cells = [cell_of(area, Direction.DOWN, start_s=NOW_S, now_s=NOW_S - 3600.0) for area in ("city", "east")]
    assert cells == [Cell(1, 0, 1, 2), Cell(1, 1, 1, 2)]
