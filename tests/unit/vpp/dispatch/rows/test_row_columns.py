"""Tables of columns that grow with the fleet and are shown read-only."""

import numpy as np
import pytest

from vpp.dispatch.rows.command_columns import blank_commands
from vpp.dispatch.rows.row_columns import grown, repeated, views


def test_a_table_keeps_its_rows_when_it_grows() -> None:
    table = repeated(blank_commands(), 2)
    table.in_force.dispatch_kw[1], table.back_off.strikes[0] = 3.0, 2
    larger = grown(table, blank_commands(), 4)
    np.testing.assert_array_equal(larger.in_force.dispatch_kw, [np.nan, 3.0, np.nan, np.nan])
    np.testing.assert_array_equal(larger.back_off.strikes, [2, 0, 0, 0])
    assert larger.in_force.source.tolist() == [-1] * 4
    assert [column.dtype for column in larger.back_off] == [column.dtype for column in table.back_off]


def test_columns_of_new_rows_do_not_share_memory() -> None:
    table = repeated(blank_commands(), 1)
    table.in_force.lease_s[0] = 5.0
    assert table.in_force.limited_s[0] == -np.inf


def test_a_view_follows_its_table_and_cannot_be_written_to() -> None:
    table = repeated(blank_commands(), 1)
    seen = views(table)
    table.in_force.default_kw[0] = 7.0
    assert seen.in_force.default_kw[0] == 7.0
    with pytest.raises(ValueError, match="read-only"):
        seen.in_force.default_kw[0] = 0.0
