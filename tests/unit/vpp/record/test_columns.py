"""Columns as text."""

import numpy as np
import pytest

from vpp.domain.errors import FrameError
from vpp.record.columns import column_body, column_of, packed, unpacked


@pytest.mark.parametrize("count", [0, 3, 40, 5000])
def test_a_packed_column_comes_back_bit_by_bit(count: int) -> None:
    random = np.random.default_rng(count)
    values = random.normal(size=count)
    values[::3] = np.nan
    values[1::5] = np.inf
    assert unpacked(packed(values), np.float64).tobytes() == values.tobytes()
    rows = random.integers(0, 2**31, count).astype(np.int32)
    np.testing.assert_array_equal(unpacked(packed(rows), np.int32), rows)


def test_short_columns_stay_readable_and_long_ones_are_packed() -> None:
    assert column_body(np.array([1.5, np.nan, np.inf])) == [1.5, None, None]
    assert column_body(np.arange(3, dtype=np.int32)) == [0, 1, 2]
    long = np.arange(300, dtype=np.int64)
    assert isinstance(column_body(long), str)
    np.testing.assert_array_equal(column_of(column_body(long), np.int64), long)
    np.testing.assert_array_equal(column_of([1, 2], np.uint8), np.array([1, 2], dtype=np.uint8))


@pytest.mark.parametrize("text", ["z????", "zAAAA", "r*"])
def test_what_is_no_packed_column_is_refused(text: str) -> None:
    with pytest.raises(FrameError):
        unpacked(text, np.float64)
