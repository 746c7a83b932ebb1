"""Rows and times whose samples are erased, and what is left of a batch."""

import numpy as np
import pytest

from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.record.bodies.fields import BodyError
from vpp.record.erasure.erased_samples import ErasedSamples
from vpp.record.stored_body import read_body, stored_body

ERASED = ErasedSamples.of([(3, 0.0, 100.0), (5, 0.0, 100.0), (5, 200.0, 300.0), (9, 50.0, 50.0)])


def test_rows_of_the_same_times_share_a_window() -> None:
    assert [one.rows.tolist() for one in ERASED.windows] == [[3, 5], [5]]
    assert (ERASED.rows, ERASED.from_s, ERASED.until_s) == ([3, 5], 0.0, 300.0)
    assert ERASED.rows_in(100.0, 201.0).tolist() == [5]
    assert ERASED.rows_in(99.0, 101.0).tolist() == [3, 5]
    assert ErasedSamples.of([]).rows_in(0.0, 1e9).tolist() == []


def test_what_is_left_of_a_batch_keeps_its_order() -> None:
    at_s = ((5, 250.0), (4, 250.0), (3, 99.9), (3, 100.0), (5, 150.0))
    batch = TelemetryBatch.of([(row, Quantity.POWER_KW, 1.0, when) for row, when in at_s])
    left = ERASED.left_of(batch)
    assert left is not None
    assert list(zip(left.rows.tolist(), left.at_s.tolist(), strict=True)) == [(4, 250.0), (3, 100.0), (5, 150.0)]
    assert ERASED.left_of(left) is None
    assert ERASED.left_of(TelemetryBatch.of([])) is None


def test_an_entry_says_it_and_is_read_again() -> None:
    again = ErasedSamples.from_body(read_body(*stored_body(ERASED.body())))
    assert again.body() == ERASED.body()
    np.testing.assert_array_equal(again.windows[0].rows, [3, 5])
    assert again.windows[0].rows.dtype == np.int32


def test_a_body_that_says_something_else_is_refused() -> None:
    with pytest.raises(BodyError, match=r"samples.erased.windows\[0\].rows is 'x'"):
        ErasedSamples.from_body({"windows": [{"from_s": 0.0, "until_s": 1.0, "rows": "x"}]})
