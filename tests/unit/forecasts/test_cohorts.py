"""Cohorts: means per kW of nameplate, session lengths, newcomers."""

import numpy as np
import pytest

from forecasts.cohorts import ChargingCounts, newcomers, occupied_share, series_means, widening

OF_ROW = np.array([0, 1, 1, -1], dtype=np.int32)
WEIGHT = np.array([1.0, 7.0, 11.0, 5.0], dtype=np.float32)


def test_a_cohort_is_the_mean_per_kw_of_what_was_metered() -> None:
    values = np.array([[2.0, 2.0], [7.0, np.nan], [0.0, 5.5], [99.0, 99.0]])
    found = series_means(values, OF_ROW, WEIGHT, ChargingCounts.empty(2))
    np.testing.assert_allclose(found, [[2.0, 2.0], [7.0 / 18.0, 5.5 / 11.0]])


def test_what_nobody_metered_is_unknown() -> None:
    found = series_means(np.full((4, 1), np.nan), OF_ROW, WEIGHT, ChargingCounts.empty(2))
    assert np.isnan(found).all()


def test_a_start_is_counted_only_where_the_step_before_was_metered() -> None:
    counts = ChargingCounts.empty(2)
    values = np.array([[0.0] * 5, [7.0, 7.0, 0.0, 7.0, 0.0], [np.nan, 7.0, 7.0, np.nan, 7.0], [7.0] * 5])
    series_means(values, OF_ROW, WEIGHT, counts)
    np.testing.assert_array_equal(counts.active, [0.0, 6.0])
    np.testing.assert_array_equal(counts.starts, [0.0, 1.0])


def test_session_length_is_littles_law_where_many_starts_were_seen() -> None:
    counts = ChargingCounts(active=np.array([8e6, 0.0]), starts=np.array([2e6, 0.0]))
    np.testing.assert_allclose(counts.session_steps(), [4.0, 4.0], rtol=1e-4)
    np.testing.assert_allclose(ChargingCounts.empty(1).session_steps(), [6.0])


def test_equal_rows_widen_a_series_by_the_square_root_of_their_number() -> None:
    of_row = np.array([0, 1, 1, 1, 1, -1], dtype=np.int32)
    np.testing.assert_allclose(widening(of_row, np.ones(6), 2), [1.0, 2.0])


def test_a_promised_car_occupies_its_charger_until_it_leaves() -> None:
    promised, leaves_s = np.array([False, True, False, True]), np.array([np.nan, 1_000.0, np.nan, 9e9])
    found = occupied_share(OF_ROW, promised, leaves_s, clock=(0.0, 900.0), shape=(2, 3))
    np.testing.assert_allclose(found, [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0]])


def test_newcomers_are_the_usual_load_less_what_runs_now_on_what_is_free() -> None:
    mean, free = np.full((1, 3), 0.4, dtype=np.float32), np.array([[0.0, 0.5, 1.0]])
    found = newcomers(mean, np.array([1.0]), free)
    later = 0.4 * (1.0 - np.exp(-np.arange(3)))
    np.testing.assert_allclose(found[0], later / [1.0, 0.5, 0.2], rtol=1e-6)
    assert found[0, 0] == pytest.approx(0.0)
