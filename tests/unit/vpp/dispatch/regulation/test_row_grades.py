"""Grades of rows by the cadence of their meters, and which of them are needed."""

import numpy as np

from vpp.dispatch.regulation.row_grades import chosen_grade, grades

GRADE = np.array([0, 0, 1, 2], dtype=np.uint8)


def test_rows_are_graded_by_how_often_they_are_read_and_unknown_ones_are_not_held_back() -> None:
    assert grades(np.array([4.0, 15.0, 30.0, 60.0, np.nan])).tolist() == [0, 0, 1, 2, 0]


def test_slower_rows_are_left_alone_while_prompt_ones_are_enough_both_ways() -> None:
    cut, rise = np.array([5.0, 5.0, 9.0, 9.0]), np.array([5.0, 5.0, 9.0, 9.0])
    assert chosen_grade(GRADE, cut, rise, need_kw=10.0) == 0
    assert chosen_grade(GRADE, cut, rise, need_kw=10.1) == 1
    assert chosen_grade(GRADE, cut, rise, need_kw=20.0) == 2


def test_a_grade_that_adds_nothing_in_the_direction_that_lacks_is_passed_over() -> None:
    cut, rise = np.array([50.0, 50.0, 9.0, 0.0]), np.array([5.0, 0.0, 0.0, 3.0])
    assert chosen_grade(GRADE, cut, rise, need_kw=7.0) == 2
    assert chosen_grade(GRADE, cut, np.array([5.0, 0.0, 0.0, 0.0]), need_kw=7.0) == 0


def test_a_grade_that_is_needed_for_other_reasons_stays() -> None:
    plenty = np.full(4, 100.0)
    assert chosen_grade(GRADE, plenty, plenty, need_kw=1.0, at_least=1) == 1
    assert chosen_grade(GRADE, plenty, plenty, need_kw=1.0, at_least=7) == 7
    nobody = np.zeros(0)
    assert chosen_grade(nobody.astype(np.uint8), nobody, nobody, need_kw=1.0) == 0
