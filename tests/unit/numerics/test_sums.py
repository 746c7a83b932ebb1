"""Sums of rows by code."""

import numpy as np

from numerics.sums import grouped


def test_rows_of_equal_code_are_added_and_rows_without_one_left_out() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], dtype=np.float32)
    found = grouped(values, np.array([1, 0, 1, -1], dtype=np.int32), 3)
    assert found.tolist() == [[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]]


def test_an_unknown_row_makes_its_sum_unknown() -> None:
    found = grouped(np.array([[np.nan, 1.0], [2.0, 2.0]]), np.array([0, 0]), 1)
    assert np.isnan(found[0, 0])
    assert found[0, 1] == 3.0
