"""Mean power: energy over the time it is known."""

import numpy as np

from numerics.mean_power import credit, credit_together, hold, mean_kw


def test_a_mean_is_weighted_by_how_long_each_power_held() -> None:
    energy, known = np.zeros(1), np.zeros(1)
    hold(np.array([6.0]), energy, known, 600.0)
    hold(np.array([0.0]), energy, known, 300.0)
    assert mean_kw(energy, known).tolist() == [4.0]
    assert known.tolist() == [900.0]


def test_an_unknown_power_holds_for_no_time() -> None:
    energy, known = np.zeros(2), np.zeros(2)
    hold(np.array([np.nan, 5.0]), energy, known, 60.0)
    assert known.tolist() == [0.0, 60.0]
    assert np.isnan(mean_kw(energy, known)[0])
    assert mean_kw(energy, known, unknown=0.0).tolist() == [0.0, 5.0]


def test_one_place_is_credited_alone() -> None:
    energy, known = np.zeros(3), np.zeros(3)
    credit(energy, known, 1, -7.0, 10.0)
    assert energy.tolist() == [0.0, -70.0, 0.0]
    assert known.tolist() == [0.0, 10.0, 0.0]


def test_powers_known_together_share_their_time() -> None:
    energy, known = np.zeros((2, 2)), np.zeros(2)
    powers = np.array([[6.0, 0.0, 1.0], [-3.0, 3.0, np.nan]])
    credit_together(energy, known, np.array([0, 0, 1]), powers, np.array([40.0, 20.0, 60.0]))
    assert known.tolist() == [60.0, 60.0]
    assert mean_kw(energy, known)[0].tolist() == [4.0, 1.0]
    assert mean_kw(energy, known)[1, 0] == -1.0
    assert np.isnan(mean_kw(energy, known)[1, 1])
