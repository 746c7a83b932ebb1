"""Features have no scale and are of present series alone."""

from dataclasses import replace

import numpy as np

from forecasts.quantiles.features import rows_of
from tests.unit.forecasts.quantiles.parts import daily_panel


def test_rows_are_targets_by_series_that_are_present() -> None:
    panel = daily_panel()
    listed = panel.listed.copy()
    listed[40 * 24 :, 1] = False
    rows = rows_of(replace(panel, listed=listed).at(60 * 24, 56), np.array([0, 23]))
    assert rows.series.tolist() == [0, 2, 0, 2]
    assert rows.target.tolist() == [60 * 24, 60 * 24, 60 * 24 + 23, 60 * 24 + 23]
    assert rows.features.shape[0] == 4


def test_only_the_size_itself_changes_where_everything_is_larger() -> None:
    panel = daily_panel()
    larger = replace(panel, value=panel.value * 8.0, capacity=panel.capacity * 8.0)
    small, large = (rows_of(made.at(60 * 24, 56), np.arange(24)) for made in (panel, larger))
    differs = ~np.isclose(small.features, large.features, rtol=1e-3, atol=1e-4, equal_nan=True).all(axis=0)
    assert differs.sum() == 1
    np.testing.assert_allclose(large.scale, 8.0 * small.scale, rtol=1e-6)
    np.testing.assert_allclose(large.quantiles, 8.0 * small.quantiles, rtol=1e-6)


def test_a_capacity_of_zero_is_no_size_to_compare_with() -> None:
    panel = daily_panel()
    rows = rows_of(replace(panel, capacity=np.zeros_like(panel.capacity)).at(60 * 24, 56), np.arange(24))
    assert not np.isinf(rows.features).any()


def test_simple_forecasts_are_never_nan() -> None:
    panel = daily_panel()
    empty = replace(panel, value=np.full_like(panel.value, np.nan))
    for made in (panel, empty):
        anchors = rows_of(made.at(60 * 24, 56), np.arange(24)).anchor
        assert not any(np.isnan(anchor).any() for anchor in anchors.values())
