"""The sold share: an honest p10 sells all that the oracle would, a careful one less, a bold one more."""

import math

import numpy as np
import pytest

from tests.unit.vpp.lab.honesty.windows import windows
from vpp.lab.honesty.sold_share import LEAST_WINDOWS, sold_ratio

DELIVERABLE_KW = 100.0 + 10.0 * np.random.default_rng(1).standard_normal(2000)


@pytest.mark.parametrize(("p10_kw", "sold"), [(87.2, 1.0), (43.6, 0.5), (95.9, 1.1)])
def test_what_is_sold_is_compared_with_the_tenth_part_from_below(p10_kw: float, sold: float) -> None:
    made = windows(DELIVERABLE_KW, start_s=np.zeros(2000), p10_kw=np.full(2000, p10_kw))
    assert sold_ratio(made, np.ones(2000)) == pytest.approx(sold, abs=0.02)


def test_every_cell_has_an_oracle_of_its_own() -> None:
    notice = np.arange(2000) % 2
    found = np.where(notice == 0, DELIVERABLE_KW, 2.0 * DELIVERABLE_KW)
    p10 = np.where(notice == 0, 87.2, 174.4)
    made = windows(found, start_s=np.zeros(2000), notice=notice, p10_kw=p10)
    assert sold_ratio(made, np.ones(2000)) == pytest.approx(1.0, abs=0.02)


def test_a_heavier_window_counts_for_more() -> None:
    made = windows(np.concatenate([np.full(60, 50.0), np.full(60, 100.0)]), start_s=np.zeros(120))
    light, heavy = np.repeat([0.01, 1.0], 60), np.repeat([1.0, 0.01], 60)
    assert sold_ratio(made, light) == pytest.approx(0.9)
    assert sold_ratio(made, heavy) == pytest.approx(1.8)


def test_nothing_is_said_of_too_few_windows() -> None:
    assert math.isnan(sold_ratio(windows(np.ones(LEAST_WINDOWS - 1)), np.ones(LEAST_WINDOWS - 1)))
