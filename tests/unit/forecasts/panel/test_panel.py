"""A view holds what was known at an instant, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from forecasts.panel.panel import Panel, PanelError

HOUR_S = 3600


def panel(steps: int = 96, **changes: object) -> Panel:
    value = np.arange(steps * 2, dtype=np.float32).reshape(steps, 2)
    known_from = np.repeat(np.arange(1, steps + 1)[:, None], 2, axis=1)
    made = Panel(
        series=("a", "b"),
        zone=np.zeros(2, dtype=np.int64),
        start_s=0,
        step_s=HOUR_S,
        recorded=value,
        value=value,
        known_from=known_from,
        live={"occ": value * 2.0},
        live_from=known_from,
        capacity=np.full((steps, 2), 5.0, dtype=np.float32),
        listed=np.ones((steps, 2), dtype=np.bool_),
    )
    return replace(made, **changes)


def test_a_view_ends_at_its_issue_and_is_whole_days_long() -> None:
    view = panel().at(30, 2)
    assert view.value.shape == (48, 2)
    assert np.isnan(view.value[:18]).all()
    assert view.value[-1].tolist() == [58.0, 59.0]
    assert view.live["occ"][-1].tolist() == [116.0, 118.0]
    assert view.end_s == 30 * HOUR_S
    assert view.capacity.tolist() == [5.0, 5.0]


def test_a_value_that_was_not_yet_known_is_absent() -> None:
    made = panel()
    late = made.known_from.copy()
    late[28, 1] = 31
    made = replace(made, known_from=late, live_from=late)
    assert np.isnan(made.at(30, 1).live["occ"][-2, 1])
    assert np.isnan(made.until(30).live["occ"][28, 1])
    assert np.isnan(made.at(30, 1).value[-2, 1])
    assert made.at(31, 1).value[-3, 1] == 57.0
    assert np.isnan(made.until(30).value[28, 1])
    assert len(made.until(30).value) == 30


def test_a_view_beyond_the_end_holds_unknown_values_and_ended_series_are_gone() -> None:
    view = panel().at(100, 1)
    assert np.isnan(view.value[-4:]).all()
    assert view.present.all()
    assert not panel().at(96 + 7 * 24, 1).present.any()


def test_a_value_known_before_its_step_has_ended_is_refused() -> None:
    known_from = np.repeat(np.arange(96)[:, None], 2, axis=1)
    with pytest.raises(PanelError, match="known_from"):
        panel(known_from=known_from)


def test_a_step_that_does_not_divide_a_day_is_refused() -> None:
    with pytest.raises(PanelError, match="step_s: 7000"):
        panel(step_s=7000)
