"""Row powers: a row follows its car while it is there, then its series, then its present power."""

import numpy as np

from forecasts.charging_need import ChargingNeeds
from forecasts.row_powers import Membership, row_powers
from numerics.arrays import FloatTable

STEP_S = 900.0


def found(mean: list[float], *, of_row: int, departure_s: float = np.nan) -> tuple[FloatTable, FloatTable]:
    promised = np.isfinite(departure_s)
    return row_powers(
        (np.array([mean], dtype=np.float32), np.ones((1, len(mean)), dtype=np.float32)),
        Membership(np.array([of_row], dtype=np.int32), np.array([2.0], dtype=np.float32)),
        present_kw=np.array([-3.0]),
        needs=ChargingNeeds.of(
            np.array([promised]),
            power_kw=np.array([7.0]),
            need_kwh=np.array([7.0 * 1_350.0 / 3_600.0]),
            departure_s=np.array([departure_s]),
            start_s=0.0,
        ),
        start_s=0.0,
        step_s=STEP_S,
    )


def test_a_row_takes_its_share_of_its_series() -> None:
    expected, spread = found([1.0, 2.0], of_row=0)
    np.testing.assert_array_equal(expected, [[2.0, 4.0]])
    np.testing.assert_array_equal(spread, [[2.0, 2.0]])


def test_a_row_without_history_keeps_its_present_power_with_a_wide_spread() -> None:
    for of_row, mean in ((-1, [1.0, 1.0]), (0, [np.nan, np.nan])):
        expected, spread = found(mean, of_row=of_row)
        np.testing.assert_array_equal(expected, [[-3.0, -3.0]])
        np.testing.assert_allclose(spread, [[0.9, 0.9]] if of_row < 0 else [[2.0, 2.0]], rtol=1e-6)


def test_single_unknown_steps_are_the_present_power() -> None:
    expected, _ = found([1.0, np.nan, 2.0], of_row=0)
    np.testing.assert_array_equal(expected, [[2.0, -3.0, 4.0]])


def test_a_promised_car_is_certain_until_it_leaves() -> None:
    expected, spread = found([1.0] * 4, of_row=0, departure_s=2_700.0)
    np.testing.assert_allclose(expected, [[7.0, 3.5, 0.0, 2.0]])
    np.testing.assert_allclose(spread, [[0.0, 0.0, 0.0, 2.0]])
