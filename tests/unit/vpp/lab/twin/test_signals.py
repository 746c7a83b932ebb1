"""Seeded regulation signals."""

import numpy as np

from vpp.lab.twin.signals import regd_like


def test_the_seeded_signal_is_the_same_each_time_neutral_and_within_bounds() -> None:
    signal, again = (regd_like(seed=3, duration_s=86_400.0) for _ in range(2))
    assert (signal.value == again.value).all()
    assert not (signal.value == regd_like(seed=4, duration_s=86_400.0).value).all()
    assert np.abs(signal.value).max() <= 1.0
    assert abs(signal.value.mean()) < 1e-3
    swing_h = np.ptp(np.cumsum(signal.value)) * 2.0 / 3600.0
    assert swing_h < 0.6, "hours of full power that a battery would need"
    assert 10.0 < signal.mileage_per_h < 25.0
