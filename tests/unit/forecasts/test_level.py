"""The same-day level: today's last steps over their usual power."""

import numpy as np
import pytest

from forecasts.level import fading, level_of
from forecasts.series import History

EVERY = np.ones((3, 4), dtype=bool)


def history(*rows: list[float]) -> History:
    return History(power_kw=np.array(rows), steps_per_day=4, step_s=900.0, end_s=0.0, available_at_s=0.0)


def test_the_level_is_today_over_the_usual_of_the_same_hours() -> None:
    found = level_of(history([5, 5, 10, 10, 5, 5, 10, 10, 5, 5, 12, 12]), EVERY, group=None, recent_steps=2)
    assert found == pytest.approx([1.2])


def test_the_level_is_clipped_both_ways() -> None:
    high, low = [1.0] * 8 + [9.0] * 4, [9.0] * 8 + [0.0] * 4
    np.testing.assert_allclose(level_of(history(high, low), EVERY, group=None, recent_steps=4), [1.6, 0.6])


@pytest.mark.parametrize(("steps", "days"), [(0, 3), (2, 1)])
def test_without_steps_to_compare_or_an_earlier_day_it_is_one(steps: int, days: int) -> None:
    same = np.ones((days, 4), dtype=bool)
    assert level_of(history([3.0] * 4 * days), same, group=None, recent_steps=steps) == pytest.approx([1.0])


def test_its_deviation_halves_in_six_hours() -> None:
    np.testing.assert_allclose(fading(49)[[0, 24, 48]], [1.0, 0.5, 0.25])
