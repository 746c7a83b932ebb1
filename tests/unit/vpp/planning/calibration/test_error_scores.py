"""Error scores are standard deviations of the normal law."""

import numpy as np
import pytest

from vpp.planning.calibration.error_scores import scores
from vpp.planning.flexibility.error_law import Z10

LAW_KW = np.array([100.0 - Z10 * 4.0, 100.0, 100.0 + Z10 * 2.0])


@pytest.mark.parametrize(("deliverable_kw", "score"), [(100.0, 0.0), (96.0, -1.0), (104.0, 2.0), (LAW_KW[0], -Z10)])
def test_what_lacks_counts_by_the_spread_below_and_what_is_over_by_the_one_above(
    deliverable_kw: float, score: float
) -> None:
    assert scores(np.array([deliverable_kw]), LAW_KW[None]) == pytest.approx([score])


def test_a_law_without_spread_is_not_believed() -> None:
    assert scores(np.array([99.0, 100.0]), np.full((2, 3), 100.0)) == pytest.approx([-10.0, 0.0])
