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
