"""The fast loop where roofs are curtailed under clouds that no day before had."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.dispatch.parts import CYCLE_S, END, START, T0, Bench, Plant, fleet
from vpp.domain.request import BaselineMethod, Direction
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray

TARGET_KW = 100.0
REFERENCES = 3
"""Roofs that are left alone, as the control group of the other seven."""


class Overcast(Plant):
    """A plant whose roofs see six tenths of the sun of other days, and clouds that come and go."""

    def free(self, at_s: float) -> FloatArray:
        """Return what every device would take if nobody dispatched it."""
        power, hours = super().free(at_s), (at_s - T0.timestamp()) / 3600.0
        sun = 0.6 + 0.15 * np.sin(4.0 * hours)
        return np.where(self.index.is_class(ResourceClass.PV), sun * power, power)


def played(method: BaselineMethod) -> tuple[FloatArray, float]:
    """Return the true rise of net load in every quarter of an hour of the hold, and what was reported in the last."""
    bench = Bench(Overcast(fleet(), noise=0.0))
    plant = bench.plant
    request = bench.commit(TARGET_KW, Direction.DOWN)
    frozen = bench.baselines[request.id]
    bench.baselines[request.id] = replace(frozen, methods=frozen.methods | {"pv": method})
    roofs = np.flatnonzero(plant.index.is_class(ResourceClass.PV))
    called = np.isin(np.arange(len(plant.index)), roofs[REFERENCES:])
    bench.portfolios[request.id] = called
    risen: list[tuple[float, float]] = []

    def look(at_s: float) -> None:
        risen.append((at_s, float((plant.power - plant.free(at_s))[called].sum())))

    bench.run(END, look)
    quarters = np.arange(START.timestamp(), END.timestamp(), 900.0)
    means = [np.mean([kw for at_s, kw in risen if begin < at_s <= begin + 900.0]) for begin in quarters]
    reported = [one.delivered_kw for _, result in bench.results[-int(900.0 / CYCLE_S) :] for one in result.progress]
    return np.array(means), float(np.mean(reported))


def test_curtailed_roofs_deliver_what_was_ordered_whatever_the_sky() -> None:
    risen_kw, reported_kw = played(BaselineMethod.ROOF_YIELD)
    assert risen_kw == pytest.approx(TARGET_KW, rel=0.05)
    assert reported_kw == pytest.approx(risen_kw[-1], rel=0.03)


def test_by_the_days_before_what_the_clouds_took_looks_like_a_shortfall() -> None:
    risen_kw, reported_kw = played(BaselineMethod.SAME_TYPE_DAYS)
    assert np.abs(risen_kw - TARGET_KW).max() > 0.3 * TARGET_KW
    assert abs(reported_kw - risen_kw[-1]) > 0.3 * TARGET_KW
