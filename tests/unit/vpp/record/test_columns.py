"""Columns of bodies."""

import base64
import zlib

import numpy as np
import pytest

from vpp.domain.errors import FrameError
from vpp.record.columns import column_body, column_of, unpacked


def test_a_column_of_an_old_journal_comes_back_bit_by_bit() -> None:
    values = np.array([0.1, np.nan, np.inf, -0.0] * 100)
    planes = values.view(np.uint8).reshape(-1, 8).T.tobytes()
    long = "z" + base64.b64encode(zlib.compress(planes, 1)).decode()
    short = "r" + base64.b64encode(values[:4].tobytes()).decode()
    assert column_of(long, np.float64).tobytes() == values.tobytes()
    assert column_of(short, np.float64).tobytes() == values[:4].tobytes()


def test_short_columns_stay_readable_and_long_ones_stay_arrays() -> None:
    assert column_body(np.array([1.5, np.nan, np.inf])) == [1.5, None, None]
    assert column_body(np.arange(3, dtype=np.int32)) == [0, 1, 2]
    long = np.arange(300, dtype=np.int64)
    assert column_body(long) is long
    assert column_of(long, np.int32).dtype == np.int32
    np.testing.assert_array_equal(column_of(long, np.int32), long)
    np.testing.assert_array_equal(column_of([1, 2], np.uint8), np.array([1, 2], dtype=np.uint8))


@pytest.mark.parametrize("text", ["z????", "zAAAA", "r*"])
def test_what_is_no_text_of_a_column_is_refused(text: str) -> None:
    with pytest.raises(FrameError):
        unpacked(text, np.float64)
