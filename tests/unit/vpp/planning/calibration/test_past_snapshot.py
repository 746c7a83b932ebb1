"""A past snapshot gives back what decides how far rows can be moved, in a tenth of the memory."""

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import NOW_S, RESOURCES, STORAGE, state
from vpp.planning.calibration.past_snapshot import PastSnapshot


def test_a_snapshot_comes_back_in_single_precision() -> None:
    picture = state()
    kept = PastSnapshot.of(picture, NOW_S - 60.0, np.ones(len(RESOURCES), dtype=np.bool_))
    again = kept.whole()
    for name in ("power_kw", "soc", "available_min_kw", "available_max_kw", "limit_kw", "need_kwh", "departure_s"):
        assert getattr(again, name) == pytest.approx(getattr(picture, name), nan_ok=True, abs=0.01), name
    for name in ("plugged", "connected", "sheddable", "quality"):
        assert np.array_equal(getattr(again, name), getattr(picture, name)), name
    assert np.isnan(again.energy_kwh).all()


def test_rows_that_are_not_eligible_or_not_connected_are_not_usable() -> None:
    connected = np.ones(len(RESOURCES), dtype=np.bool_)
    connected[0] = False
    kept = PastSnapshot.of(state(connected=connected), NOW_S, np.arange(len(RESOURCES)) != STORAGE)
    assert kept.usable.tolist() == [False, True, False, True, True, True]
