"""State of a search: margins inside the limits, time, and the gap."""

import time

import numpy as np

from optimizer.decomposition.lagrangian.flows import flows_of
from optimizer.decomposition.lagrangian.prices import empty_plan
from optimizer.decomposition.market import FAR
from optimizer.decomposition.search import Search, Timing, held_inside
from vpp.lab.bench import instance as instances


def begun(deadline_s: float = 60.0) -> Search:
    return Search.begun(instances.problem_of(instances.generated(100, seed=1)), deadline_s, None, None)


def test_a_search_has_no_gap_before_its_first_check() -> None:
    search = begun()
    assert search.gap == np.inf
    assert search.sweeps == 0
    search.advance(checked=False)
    assert search.sweeps == 1


def test_progress_is_reported_to_whoever_listens() -> None:
    heard: list[int] = []
    search = begun()
    search.report = lambda progress: heard.append(progress.sweeps)
    search.report_progress()
    assert heard == [0]


def test_a_band_is_drawn_in_by_the_margin_and_no_band_stays_none() -> None:
    fleet = begun().instance.fleet
    flows = flows_of(fleet, empty_plan(fleet))
    assert (held_inside(fleet, flows, 1e-3).city.upper == fleet.city.upper).all()
    size = float(np.abs(flows.total).max())
    banded = fleet._replace(
        city=fleet.city._replace(upper=np.full(fleet.steps, 2.0 * size), lower=np.full(fleet.steps, -FAR))
    )
    held = held_inside(banded, flows, 1e-3).city
    np.testing.assert_allclose(held.upper, 2.0 * size - 1e-3 * size)
    assert (held.lower == -FAR).all()


def test_time_left_falls_as_time_passes() -> None:
    began_s = time.perf_counter() - 5.0
    timing = Timing(began_s=began_s, deadline_s=60.0)
    assert 0.0 < timing.left_s <= 55.0
    assert Timing(began_s=began_s, deadline_s=4.0).left_s < 0.0
