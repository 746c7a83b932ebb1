"""The cars of an instance through FlexMeasures' scheduler: ``python -m … INSTANCE.npz LP_SOLVER``.

``device_scheduler`` knows one site, not a tree, no unserved energy and no regulation, so it is given what it can
express: charge-only cars behind one limit, an energy price and a peak price; the base load is one more device, whose
flow is fixed. ``LP_SOLVER`` is its own setting, ``highspy`` (its default) or ``appsi_highs`` (Pyomo). Runs in the
environment of ``make rivals``.
"""

import sys
import time
from datetime import timedelta
from importlib.metadata import version

import numpy as np
import pandas as pd
from flask import Flask
from flexmeasures.data.models.planning import FlowCommitment
from flexmeasures.data.models.planning.linear_optimization import device_scheduler

from vpp.lab.bench.rivals.report import finished

COLUMNS = (
    "equals",
    "max",
    "min",
    "efficiency",
    "derivative equals",
    "derivative max",
    "derivative min",
    "derivative down efficiency",
    "derivative up efficiency",
    "stock delta",
)
START = pd.Timestamp("2026-01-01T12:00:00")


def frames(instance: dict[str, np.ndarray], index: pd.DatetimeIndex) -> list[pd.DataFrame]:
    """Return one frame of constraints a car, and the base load's; stocks are in kW-steps, as flows are in kW."""
    steps = np.arange(len(index))
    found = []
    rows = zip(*(instance[f"ev_{name}"] for name in ("arrive", "depart", "p_max_kw", "energy_kwh")), strict=True)
    for arrive, depart, p_max, need_kwh in rows:
        need = need_kwh / float(instance["step_h"])
        frame = pd.DataFrame(np.nan, index=index, columns=list(COLUMNS))
        frame["derivative max"] = np.where((steps >= arrive) & (steps < depart), p_max, 0.0)
        frame["derivative min"] = 0.0
        frame["max"] = need
        frame["min"] = np.where(steps >= depart - 1, need, 0.0)
        found.append(frame)
    base = pd.DataFrame(np.nan, index=index, columns=list(COLUMNS))
    base["derivative equals"] = instance["base_kw"].sum(axis=0)
    return [*found, base]


def commitments(instance: dict[str, np.ndarray], index: pd.DatetimeIndex) -> list[FlowCommitment]:
    """Return the energy price of all flow, and the price of the greatest total."""
    energy = pd.Series(instance["price_cny_per_kwh"] * float(instance["step_h"]), index=index)
    peak = float(instance["peak_price_cny_per_kw"])
    return [
        FlowCommitment(
            name="energy", index=index, quantity=0, upwards_deviation_price=energy, downwards_deviation_price=energy
        ),
        FlowCommitment(
            name="peak",
            index=index,
            _type="any",
            quantity=0,
            upwards_deviation_price=peak,
            downwards_deviation_price=0,
        ),
    ]


def main(path: str, solver: str) -> None:
    """Schedule the cars of the instance at ``path`` and report; the scheduler takes no time limit of ours."""
    with np.load(path) as archive:
        instance = {name: archive[name] for name in archive.files}
    h = float(instance["step_h"])
    index = pd.date_range(START, periods=len(instance["price_cny_per_kwh"]), freq=timedelta(hours=h), name="datetime")
    app = Flask("rival")
    app.config.update(FLEXMEASURES_LP_SOLVER=solver, LOGGING_LEVEL="WARNING")
    began = time.process_time()
    site = pd.DataFrame(np.nan, index=index, columns=list(COLUMNS))
    site["derivative max"] = instance["transformer_limit_kw"].sum()
    site["derivative min"] = -instance["transformer_limit_kw"].sum()
    with app.app_context():
        _, cost, results, _ = device_scheduler(
            frames(instance, index), site, commitments=commitments(instance, index), initial_stock=0
        )
    condition = str(results.solver.termination_condition)
    objective = float(cost) if condition == "optimal" else float("nan")
    finished(began, objective, f"flexmeasures {version('flexmeasures')} {solver}: {condition}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
