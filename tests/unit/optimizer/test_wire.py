"""Problems and solutions on the wire."""

import numpy as np

from optimizer.problem.problem import (
    Band,
    Churn,
    Contracts,
    Regulation,
    Reserve,
)
from optimizer.solve import solve
from optimizer.wire import problem_bytes, problem_from, solution_bytes, solution_from
from tests.patience import PATIENCE_WALL_S
from tests.unit.optimizer.problem.parts import FREE, STEPS, battery, car, load, problem


def test_everything_survives_the_wire() -> None:
    asked = problem(
        charging=car(),
        storing=battery(),
        flexible=load(rebound_ratio=np.array([0.5]), rebound_steps=2),
        band=Band(upper_kw=FREE, lower_kw=-FREE),
        regulation=Regulation(price_cny_per_kw_h=np.full(STEPS, 0.1), block_steps=2),
        reserve=Reserve(
            first=np.array([1]),
            last=np.array([3]),
            need_kw=np.array([1.0]),
            price_cny_per_kw=np.array([0.7]),
            sustain_steps=np.array([2]),
        ),
        contracts=Contracts(node=np.array([0]), cut_kw=np.ones((1, STEPS)), price_cny=np.array([1.0])),
        churn=Churn(previous_kw=np.full((3, STEPS), np.nan, dtype=np.float32), price_cny_per_kwh=0.1),
    )
    found = solve(asked, deadline_s=PATIENCE_WALL_S)
    back = solution_from(solution_bytes(found))
    np.testing.assert_array_equal(back.power_kw, found.power_kw)
    assert back.contracts.dtype == np.bool_
    assert back.status is found.status
    again, other = problem_from(bytearray(problem_bytes(asked, deadline_s=3.5, warm=found.warm, method="monolith")))
    assert other["deadline_s"] == 3.5
    assert again.charging.need_kwh.flags.writeable
    assert again.churn is not None
    assert again.churn.previous_kw.dtype == np.float32
    repeated = solve(again, deadline_s=PATIENCE_WALL_S, method=other["method"])
    assert repeated.objective_cny == found.objective_cny
