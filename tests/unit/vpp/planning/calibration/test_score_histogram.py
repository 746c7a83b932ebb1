"""Histograms of scores give back the quantiles of what was put in."""

import numpy as np
import pytest

from vpp.planning.calibration.score_histogram import BINS, bins_of, normal_mass, quantiles
from vpp.planning.flexibility.error_law import Z10


def histogram(values: np.ndarray) -> np.ndarray:
    return np.bincount(bins_of(values), minlength=BINS).astype(np.float64)


def test_the_normal_law_has_its_quantiles() -> None:
    found = quantiles(normal_mass()[None], np.array([[0.1, 0.5, 0.9]]))
    assert found[0] == pytest.approx([-Z10, 0.0, Z10], abs=0.005)
    assert normal_mass().sum() == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_quantiles_are_those_of_the_scores(scale: float) -> None:
    values = scale * np.random.default_rng(1).standard_t(3, 20_000)
    levels = np.array([0.02, 0.1, 0.5, 0.9])
    found = quantiles(histogram(values)[None], levels[None])[0]
    assert found == pytest.approx(np.quantile(values, levels), rel=0.06, abs=0.03)


def test_scores_beyond_the_last_bin_are_kept_in_it() -> None:
    assert bins_of(np.array([-1e9, 1e9])).tolist() == [0, BINS - 1]


def test_the_level_0_is_the_lowest_score_that_was_seen() -> None:
    lowest = quantiles(histogram(np.array([-7.0, 3.0]))[None], np.array([[0.0]]))[0, 0]
    assert -7.2 < lowest <= -7.0
