"""Read-only views."""

import numpy as np
import pytest

from numerics.views import read_only


def test_a_view_cannot_be_written_to_and_its_column_can() -> None:
    column = np.arange(3.0)
    view = read_only(column)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 7.0
    column[0] = 7.0
    assert view[0] == 7.0


def test_a_strided_column_becomes_contiguous() -> None:
    view = read_only(np.arange(6.0).reshape(3, 2)[:, 1])
    assert view.flags.c_contiguous
    assert view.tolist() == [1.0, 3.0, 5.0]
