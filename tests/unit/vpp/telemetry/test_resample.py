"""Samples at odd times become 15-minute means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.telemetry.resample import IntervalMeans


def test_the_mean_is_weighted_by_time() -> None:
    means = IntervalMeans(1, 0.0)
    means.update(0.0, np.array([10.0]))
    means.update(300.0, np.array([40.0]))
    [(start_s, mean_kw, share)] = means.update(900.0, np.array([0.0]))
    assert (start_s, mean_kw[0], share[0]) == (0.0, pytest.approx(30.0), pytest.approx(1.0))


def test_unknown_time_counts_as_unknown_not_as_zero() -> None:
    means = IntervalMeans(2, 0.0)
    means.update(0.0, np.array([np.nan, np.nan]))
    means.update(450.0, np.array([8.0, np.nan]))
    [(_, mean_kw, share)] = means.update(900.0, np.array([8.0, np.nan]))
    assert mean_kw[0] == pytest.approx(8.0)
    assert share.tolist() == pytest.approx([0.5, 0.0])
    assert np.isnan(mean_kw[1])


def test_a_long_silence_closes_every_interval_it_spans() -> None:
    means = IntervalMeans(1, 100.0)
    means.update(100.0, np.array([5.0]))
    ended = means.update(2800.0, np.array([5.0]))
    assert [start_s for start_s, _, _ in ended] == [0.0, 900.0, 1800.0]
    assert all(mean[0] == pytest.approx(5.0) for _, mean, _ in ended)


def test_rows_that_join_begin_unknown() -> None:
    means = IntervalMeans(1, 0.0)
    means.update(0.0, np.array([1.0]))
    means.resize(2)
    means.update(450.0, np.array([1.0, 3.0]))
    [(_, mean_kw, share)] = means.update(900.0, np.array([1.0, 3.0]))
    assert mean_kw.tolist() == pytest.approx([1.0, 3.0])
    assert share.tolist() == pytest.approx([1.0, 0.5])


@given(st.lists(st.tuples(st.floats(1.0, 400.0), st.floats(-50.0, 50.0)), min_size=1, max_size=30))
def test_energy_is_conserved_whatever_the_sample_times(steps: list[tuple[float, float]]) -> None:
    means = IntervalMeans(1, 0.0)
    at_s, power_kw, energy_kws, ended = 0.0, 0.0, 0.0, []
    for gap_s, next_kw in steps:
        ended += means.update(at_s, np.array([power_kw]))
        energy_kws += power_kw * gap_s
        at_s, power_kw = at_s + gap_s, next_kw
    last_s = (at_s // 900 + 1) * 900
    ended += means.update(at_s, np.array([power_kw]))
    ended += means.update(last_s, np.array([0.0]))
    energy_kws += power_kw * (last_s - at_s)
    assert sum(mean[0] for _, mean, _ in ended) * 900.0 == pytest.approx(energy_kws, abs=1e-6)
