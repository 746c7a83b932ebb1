"""Columns as bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vpp.domain.errors import FrameError
from vpp.record.column_codec import Column, Form, decoded, encoded

DTYPES = st.sampled_from(["|b1", "|u1", "|i1", "<i2", "<i4", "<i8", "<u4", "<u8", "<f2", "<f4", "<f8", ">f8", ">i4"])


def back(column: Column) -> Column:
    form, content = encoded(column)
    return decoded(form, content, column.dtype.str, column.size)


@given(column=DTYPES.flatmap(lambda dtype: arrays.arrays(np.dtype(dtype), st.integers(0, 40))))
def test_any_column_comes_back_bit_by_bit(column: Column) -> None:
    assert back(column).tobytes() == column.tobytes()


@given(
    whole=arrays.arrays(np.int64, st.integers(1, 600), elements=st.integers(-(2**40), 2**40)),
    scale=st.sampled_from([1.0, 10.0, 100.0, 1000.0, 3.0]),
    data=st.data(),
)
def test_metered_figures_with_holes_come_back_bit_by_bit(whole: Column, scale: float, data: st.DataObject) -> None:
    column = whole / scale
    holes = data.draw(arrays.arrays(np.bool_, len(column)))
    column[holes] = data.draw(st.sampled_from([np.nan, -0.0, np.inf, -np.nan, 5e-324]))
    assert back(column).tobytes() == column.tobytes()


@pytest.mark.parametrize(
    ("column", "form", "size"),
    [
        (np.full(1000, 7.25), Form.CONSTANT, 8),
        (np.arange(5_000_000_000, 5_000_001_000), Form.DIFFERENCES, 8 + 999),
        (np.cumsum(np.arange(1000) % 90).astype(np.int32), Form.DIFFERENCES, 8 + 999),
        (np.arange(1000, dtype=np.int64) % 3, Form.NARROW, 1000),
        ((np.arange(1000) * 7919 % 1000) / 10.0, Form.DECIMAL, 1 + 2000),
        (np.where(np.arange(1000) % 2, np.nan, 0.125), Form.DECIMAL, 1 + 4000),
        (np.sqrt(np.arange(1000, dtype=np.float32)).astype(np.float64), Form.SINGLE, 4000),
        (np.sqrt(np.arange(1000.0)), Form.PLAIN, 8000),
    ],
)
def test_a_column_takes_the_form_that_fits_it(column: Column, form: Form, size: int) -> None:
    found, content = encoded(column)
    assert (found, len(content)) == (form, size)
    assert back(column).tobytes() == column.tobytes()


def test_a_column_that_holds_objects_is_refused() -> None:
    with pytest.raises(FrameError, match="integers or floats"):
        encoded(np.array(["a", "b"]))


@pytest.mark.parametrize("form", list(Form))
def test_bytes_of_another_length_are_refused(form: Form) -> None:
    with pytest.raises(FrameError):
        decoded(form, b"\x00" * 13, "<f8", 4)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(FrameError, match="17"):
        decoded(17, b"", "<f8", 0)
