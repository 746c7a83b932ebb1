"""Energy of sessions is known once they have all ended."""

import numpy as np

from forecasts.panel.availability import known_after_idle


def test_energy_is_known_at_the_end_of_the_first_idle_step() -> None:
    occupied = np.array([[1.0], [0.4], [0.0], [1.0], [1.0]], dtype=np.float32)
    found = known_after_idle(occupied, longest_steps=72)
    assert found[:, 0].tolist() == [3, 3, 3, 76, 77]


def test_unknown_occupancy_is_not_idle() -> None:
    occupied = np.array([[1.0], [np.nan], [np.nan]], dtype=np.float32)
    assert known_after_idle(occupied, longest_steps=2)[:, 0].tolist() == [3, 4, 5]


def test_what_comes_after_an_instant_never_changes_what_was_known_by_then() -> None:
    rng = np.random.default_rng(3)
    occupied = rng.integers(0, 3, (200, 4)).astype(np.float32)
    whole = known_after_idle(occupied, longest_steps=9)
    for cut in (50, 101, 150):
        part = known_after_idle(occupied[:cut], longest_steps=9)
        assert ((whole[:cut] <= cut) == (part <= cut)).all()
        assert (whole[:cut][whole[:cut] <= cut] == part[part <= cut]).all()
