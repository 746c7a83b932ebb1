"""Standard windows say what a quote of the same window would say."""

from datetime import timedelta

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import basis, city_draft, now
from tests.unit.vpp.planning.parts import NOW_S
from vpp.domain.request import CITY, Direction
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_DAY
from vpp.fleet.index import CLASSES
from vpp.planning.calibration.calibration import Calibration, Judged
from vpp.planning.calibration.cells import DIRECTIONS, LENGTH_STEPS, NOTICE_STEPS, Cell
from vpp.planning.calibration.standard_windows import MOST_AREAS, StandardWindows, areas_in_turn, standard_windows
from vpp.planning.quote.quote import quote_on
from vpp.record.stored_body import read_body, stored_body


def made(calibration: Calibration | None = None) -> StandardWindows:
    return standard_windows(basis(), calibration or Calibration(), now().at_s)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("length", range(len(LENGTH_STEPS)))
def test_a_window_of_the_city_is_quoted_as_a_request_would_be(direction: Direction, length: int) -> None:
    windows = made()
    notice = 2
    start_at = instant(float(windows.start_s[notice]))
    asked = city_draft(
        direction=direction, start_at=start_at, end_at=start_at + timedelta(minutes=15 * LENGTH_STEPS[length])
    )
    answer = quote_on(basis(), asked, committed_kw=np.zeros(basis().inputs.grid.count), now=instant(now().at_s))
    found = windows.law_kw[notice, length, DIRECTIONS.index(direction), -1]
    said = [min(answer.deliverable_p10_kw), min(answer.deliverable_p50_kw), min(answer.deliverable_p90_kw)]
    assert found == pytest.approx(said)


def test_windows_begin_on_quarters_of_an_hour_and_name_every_area() -> None:
    windows = made()
    assert (windows.start_s % 900.0 == 0.0).all()
    assert (windows.start_s > now().at_s).all()
    assert len(windows.start_s) == len(NOTICE_STEPS)
    assert windows.areas == (*(area.id for area in now().index.areas), CITY)
    assert (windows.law_kw[..., 0] <= windows.law_kw[..., 2]).all()


def test_nothing_learnt_means_that_the_normal_law_is_quoted() -> None:
    windows = made()
    assert np.array_equal(windows.quoted_kw, windows.law_kw)
    assert not windows.learnt.any()


def test_what_was_learnt_of_a_cell_is_quoted_in_it() -> None:
    calibration = Calibration()
    for day in range(10):
        one = Judged(
            cell=Cell(0, 0, 2, 2),
            at_s=NOW_S + day * SECONDS_PER_DAY,
            scores=np.array([-4.0]),
            kept=np.ones((1, 3)),
            learnt=False,
        )
        calibration.take([one] * 48)
    windows = made(calibration)
    assert windows.learnt.tolist() == [[True, False], [False, False]]
    assert (windows.quoted_kw[:, :, 0, -1, 1] < windows.law_kw[:, :, 0, -1, 1]).all()
    assert np.array_equal(windows.quoted_kw[:, :, 0, :-1], windows.law_kw[:, :, 0, :-1])
    assert np.array_equal(windows.quoted_kw[:, :, 1], windows.law_kw[:, :, 1])


def test_windows_come_back_from_the_journal_to_the_watt() -> None:
    windows = made()
    again = StandardWindows.from_body(read_body(*stored_body(windows.body())))
    assert again.areas == windows.areas
    assert np.array_equal(again.start_s, windows.start_s)
    assert again.law_kw == pytest.approx(windows.law_kw, abs=1e-3)
    assert np.array_equal(again.learnt, windows.learnt)


def test_many_areas_come_round_in_turns() -> None:
    assert areas_in_turn(3, NOW_S) == [0, 1, 2]
    turns = [areas_in_turn(100, NOW_S + 900.0 * turn) for turn in range(25)]
    assert all(len(set(turn)) == MOST_AREAS for turn in turns)
    assert {area for turn in turns for area in turn} == set(range(100))


def test_classes_of_every_area_add_up_to_its_mean_and_entries_before_them_stay_readable() -> None:
    windows, index = made(), now().index
    assert windows.class_kw is not None
    assert windows.class_kw.shape == (len(NOTICE_STEPS), len(DIRECTIONS), len(index.areas), len(CLASSES))
    least_kw = windows.law_kw[:, 0, :, :-1, 1]
    assert (windows.class_kw.sum(axis=3) >= least_kw - 1e-6).all(), "a mean is no less than the least"
    body = windows.body()
    again = StandardWindows.from_body(read_body(*stored_body(body)))
    assert again.class_kw == pytest.approx(windows.class_kw, abs=1e-3)
    del body["class_kw"]
    assert StandardWindows.from_body(read_body(*stored_body(body))).class_kw is None
