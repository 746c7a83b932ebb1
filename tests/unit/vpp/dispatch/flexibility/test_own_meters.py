"""Undispatched power by the rows' own meters: which roofs show the sun of the others."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.dispatch.parts import Bench, Plant, fleet
from vpp.dispatch.allocation.portfolios import class_rows
from vpp.dispatch.flexibility.baseline_curve import BaselineCurve
from vpp.dispatch.flexibility.own_meters import OwnMeters
from vpp.dispatch.rows.assignments import Assignments
from vpp.domain.request import BaselineMethod
from vpp.domain.resource import ResourceClass

CURTAILED_KW = -1.0


def test_a_roof_that_is_held_to_a_cap_does_not_dim_the_others() -> None:
    plant = Plant(fleet(), noise=0.0)
    index, state = plant.index, plant.state()
    roofs = np.flatnonzero(index.is_class(ResourceClass.PV))
    called, capped = np.isin(np.arange(len(index)), roofs[:2]), np.isin(np.arange(len(index)), roofs[2:5])
    frozen = Bench(plant).baseline()
    frozen = replace(frozen, methods=frozen.methods | {"pv": BaselineMethod.ROOF_YIELD})
    curve = BaselineCurve(frozen, called, class_rows(index))
    meters, assigned = OwnMeters(len(index)), Assignments(len(index)).columns
    meters.sessions_kw(state, assigned, commanded=np.zeros(len(index), dtype=np.bool_))

    later = replace(state, at_s=state.at_s + 10.0, power_kw=np.where(called | capped, CURTAILED_KW, state.power_kw))
    held = assigned._replace(cap_kw=np.where(capped, CURTAILED_KW, np.nan))
    own_kw = meters.sessions_kw(later, held, commanded=called)
    meters.follow(own_kw, later, [(0, curve)])
    assert own_kw[called] == pytest.approx(state.power_kw[called])


@pytest.mark.parametrize(("soc", "would_kw"), [(1.0, 0.0), (0.5, 20.0)])
def test_a_store_counts_with_its_schedule_as_far_as_it_has_room(soc: float, would_kw: float) -> None:
    plant = Plant(fleet(), noise=0.0)
    index, state = plant.index, plant.state()
    stores = index.is_class(ResourceClass.STORAGE)
    frozen = Bench(plant).baseline()
    frozen = replace(
        frozen,
        power_kw=np.where(stores[:, None], 20.0, frozen.power_kw),
        methods=frozen.methods | {"storage": BaselineMethod.STORED_SCHEDULE},
    )
    curve = BaselineCurve(frozen, stores, class_rows(index))
    meters, assigned = OwnMeters(len(index)), Assignments(len(index)).columns
    state = replace(state, soc=np.where(stores, soc, state.soc))
    own_kw = meters.sessions_kw(state, assigned, commanded=stores)
    meters.follow(own_kw, state, [(0, curve)])
    assert own_kw[stores] == pytest.approx(would_kw)
    assert curve.total_kw(state.at_s) == pytest.approx(0.0), "what rows count with themselves is no part of the sum"
