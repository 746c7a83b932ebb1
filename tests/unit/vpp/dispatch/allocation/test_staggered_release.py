"""Staged release in the order of lots."""

import numpy as np
import pytest

from vpp.dispatch.allocation.staggered_release import release_lots, returned_kw
from vpp.dispatch.requests.phases import PhaseTimes

TABLE = PhaseTimes(
    precondition_s=-900.0,
    ramp_s=-600.0,
    start_s=0.0,
    end_s=3600.0,
    released_s=4500.0,
    watched_s=8100.0,
    target_kw=100.0,
    release_kw=100.0,
)


def test_lots_depend_on_request_and_row_only() -> None:
    np.testing.assert_array_equal(release_lots("req", 5), release_lots("req", 9)[:5])
    assert not np.array_equal(release_lots("req", 5), release_lots("other", 5))
    assert 0.45 < release_lots("req", 10_000).mean() < 0.55


def test_the_return_follows_a_straight_line_in_the_order_of_the_release_lots() -> None:
    activated, lot = np.full(10, 10.0), np.linspace(0.9, 0.0, 10)
    back, released = returned_kw(activated, lot, held_kw=100.0, times=TABLE, now_s=4050.0, headroom_kw=np.inf)
    assert back.sum() == pytest.approx(50.0)
    assert released.tolist() == [False] * 5 + [True] * 5


def test_without_headroom_nobody_returns_until_the_watch_runs_out() -> None:
    activated, lot = np.full(10, 10.0), np.linspace(0.0, 0.9, 10)
    waiting, _ = returned_kw(activated, lot, held_kw=100.0, times=TABLE, now_s=5000.0, headroom_kw=0.0)
    assert waiting.sum() == 0.0
    _, released = returned_kw(activated, lot, held_kw=100.0, times=TABLE, now_s=8050.0, headroom_kw=0.0)
    assert released.all()
