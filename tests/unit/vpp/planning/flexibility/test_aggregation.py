"""Sums over aggregates are sums over rows."""

import numpy as np
import pytest

from tests.unit.vpp.planning.city_parts import basis, made
from vpp.domain.request import Direction
from vpp.planning.flexibility.aggregation import Aggregation
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_envelope import flexibility_envelope


@pytest.mark.parametrize("direction", list(Direction))
def test_sums_over_cells_are_sums_over_rows(direction: Direction) -> None:
    one = FlexibilityBasis.of(basis().inputs, basis().delivery_ratio, Aggregation.single(made().index))
    first, length = np.array([2, 7, 40]), np.array([1, 8, 4])
    together = flexibility_envelope(basis(), direction, first, length).sums
    apart = flexibility_envelope(one, direction, first, length).sums
    for name in ("potential_kw", "mean_kw", "variance"):
        np.testing.assert_allclose(
            getattr(together, name).sum(axis=0), getattr(apart, name).sum(axis=0), rtol=1e-6, atol=1e-6
        )
