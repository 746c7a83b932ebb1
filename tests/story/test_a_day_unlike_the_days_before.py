"""The fast loop where buildings and plants are measured by their own meters and days before were not like today."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.dispatch.parts import END, START, Bench, Plant, fleet
from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod
from vpp.domain.resource import ResourceClass

TARGET_KW = 600.0
OWN = {
    "hvac": BaselineMethod.OWN_METER,
    "industry": BaselineMethod.OWN_METER,
    "ev": BaselineMethod.SESSION_COURSE,
}


def committed(own: dict[str, BaselineMethod]) -> tuple[Bench, Baseline]:
    """Return a bench with a request whose frozen loads are a fifth above today's, and what they should have been."""
    bench = Bench(Plant(fleet(), noise=0.0))
    request = bench.commit(TARGET_KW)
    true = bench.baselines[request.id]
    loads = bench.plant.index.is_class(ResourceClass.HVAC, ResourceClass.INDUSTRY)
    power_kw = np.where(loads[:, None], 1.2 * true.power_kw, true.power_kw)
    bench.baselines[request.id] = replace(true, power_kw=power_kw, methods=true.methods | own)
    return bench, true


def true_accuracy(own: dict[str, BaselineMethod]) -> float:
    """Return the mean accuracy of a hold against what would have been."""
    bench, true = committed(own)
    while bench.plant.now_s < END.timestamp():
        bench.plant.advance(30.0)
        bench.step()
    bench.baselines = dict.fromkeys(bench.baselines, true)
    return float(np.mean(bench.interval_accuracy(TARGET_KW)))


def test_a_day_below_the_days_before_is_not_taken_for_delivery() -> None:
    assert true_accuracy(OWN) > 0.95
    assert true_accuracy({}) < 0.75, "by same-type days a sixth of all load looks delivered"


def test_before_the_first_order_nothing_is_claimed() -> None:
    bench, true = committed(OWN)
    while bench.plant.now_s < START.timestamp() - 600.0:
        bench.plant.advance(60.0)
        bench.step()
    progress = bench.results[-1][1].progress[0]
    assert progress.target_kw == pytest.approx(0.0, abs=1.0)
    assert progress.delivered_kw == pytest.approx(0.0, abs=0.01 * float(np.abs(true.power_kw[:, 0]).sum()))
