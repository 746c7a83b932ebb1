"""Sums over aggregates are sums over rows."""

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import ground, made
from vpp.domain.request import Direction
from vpp.planning.aggregation import Aggregation
from vpp.planning.quote.flexibility_envelope import room
from vpp.planning.quote.quote_basis import QuoteBasis


@pytest.mark.parametrize("direction", list(Direction))
def test_sums_over_cells_are_sums_over_rows(direction: Direction) -> None:
    one = QuoteBasis.of(ground().outlook, ground().delivery_ratio, Aggregation.single(made().index))
    first, length = np.array([2, 7, 40]), np.array([1, 8, 4])
    together = room(ground(), direction, first, length).sums
    apart = room(one, direction, first, length).sums
    for name in ("room_kw", "mean_kw", "variance"):
        np.testing.assert_allclose(
            getattr(together, name).sum(axis=0), getattr(apart, name).sum(axis=0), rtol=1e-6, atol=1e-6
        )
