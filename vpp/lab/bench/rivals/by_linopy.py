"""The whole instance as a linopy model, for HiGHS: ``python -m … INSTANCE.npz SOLVER LIMIT_S``.

Labelled arrays of device and step, masked outside the windows, as linopy's own documentation writes such models. Runs
in the environment of ``make rivals``.
"""

import sys
import time
from importlib.metadata import version

import linopy
import numpy as np
import pandas as pd
import xarray as xr

from vpp.lab.bench.rivals.report import finished


def whole_days(instance: dict[str, np.ndarray], kind: str) -> xr.DataArray:
    """Return where the devices of ``kind`` are plugged, over device and step."""
    steps = np.arange(len(instance["price_cny_per_kwh"]))
    inside = (steps >= instance[f"{kind}_arrive"][:, None]) & (steps < instance[f"{kind}_depart"][:, None])
    return xr.DataArray(inside, dims=(kind, "t"), coords={kind: np.arange(len(inside)), "t": steps})


def column(instance: dict[str, np.ndarray], name: str, kind: str) -> xr.DataArray:
    """Return one array of ``kind`` with its label."""
    values = instance[f"{kind}_{name}"].astype(np.float64)
    return xr.DataArray(values, dims=kind, coords={kind: np.arange(len(values))})


def model_of(instance: dict[str, np.ndarray]) -> linopy.Model:
    """Return the instance as a model: cars, stores, transformers, total, peak, regulation."""
    h = float(instance["step_h"])
    nodes, steps = instance["base_kw"].shape
    t = pd.RangeIndex(steps, name="t")
    grid = {"node": np.arange(nodes), "t": np.arange(steps)}
    model = linopy.Model()
    power = _cars(model, instance, h)
    net = _stores(model, instance, h)
    sun = xr.DataArray(instance["pv_available_kw"], dims=("node", "t"), coords=grid)
    used = model.add_variables(lower=0, upper=sun, name="used")
    base = xr.DataArray(instance["base_kw"], dims=("node", "t"), coords=grid)
    limit = xr.DataArray(instance["transformer_limit_kw"], dims="node", coords={"node": grid["node"]})
    flow = -1.0 * used
    for kind, expression in (("ev", 1.0 * power), ("bat", net)):
        node = pd.Series(
            instance[f"{kind}_transformer"].astype(int), index=np.arange(len(instance[f"{kind}_arrive"])), name="node"
        )
        node.index.name = kind
        flow = flow + expression.groupby(node).sum()
    model.add_constraints(flow <= limit - base, name="import")
    model.add_constraints(flow >= -limit - base, name="export")
    total = model.add_variables(coords=[t], name="total")
    moved = power.sum("ev") + net.sum("bat")
    model.add_constraints(moved - used.sum("node") - total == -base.sum("node"), name="balance")
    peak = model.add_variables(lower=0, name="peak")
    model.add_constraints(total - peak <= 0, name="below_peak")
    sold = model.add_variables(lower=0, coords=[t], name="sold")
    up = (column(instance, "p_discharge_max_kw", "bat") * whole_days(instance, "bat")).sum("bat")
    down = (column(instance, "p_charge_max_kw", "bat") * whole_days(instance, "bat")).sum("bat")
    down = down + (column(instance, "p_max_kw", "ev") * whole_days(instance, "ev")).sum("ev")
    model.add_constraints(sold - moved <= up, name="room_up")
    model.add_constraints(sold + moved - used.sum("node") <= down, name="room_down")
    price = xr.DataArray(instance["price_cny_per_kwh"], dims="t", coords={"t": grid["t"]}) * h
    income = xr.DataArray(instance["reg_price_cny_per_kw_h"], dims="t", coords={"t": grid["t"]}) * h
    variables = model.variables
    model.add_objective(
        (price * total).sum()
        + float(instance["peak_price_cny_per_kw"]) * peak
        - (income * sold).sum()
        + float(instance["wear_price_cny_per_kwh"]) * h * variables["discharge"].sum()
        + float(instance["unserved_price_cny_per_kwh"]) * (variables["unserved"].sum() + variables["missing"].sum())
    )
    return model


def _cars(model: linopy.Model, instance: dict[str, np.ndarray], h: float) -> linopy.Variable:
    inside, need = whole_days(instance, "ev"), column(instance, "energy_kwh", "ev")
    most = column(instance, "p_max_kw", "ev").broadcast_like(inside)
    power = model.add_variables(lower=0, upper=most, mask=inside, name="power")
    unserved = model.add_variables(lower=0, upper=need, name="unserved")
    model.add_constraints(h * power.sum("t") + unserved == need, name="energy")
    return power


def _stores(model: linopy.Model, instance: dict[str, np.ndarray], h: float) -> linopy.LinearExpression:
    inside, eta = whole_days(instance, "bat"), float(instance["efficiency"])
    bound = {name: column(instance, name, "bat").broadcast_like(inside) for name in _BOUNDS}
    charge = model.add_variables(lower=0, upper=bound["p_charge_max_kw"], mask=inside, name="charge")
    discharge = model.add_variables(lower=0, upper=bound["p_discharge_max_kw"], mask=inside, name="discharge")
    stored = model.add_variables(lower=bound["soc_min_kwh"], upper=bound["soc_max_kwh"], mask=inside, name="stored")
    first = inside & (inside.t == column(instance, "arrive", "bat"))
    gained = stored - eta * h * charge + (h / eta) * discharge
    model.add_constraints(gained == bound["soc_start_kwh"], mask=first, name="start")
    model.add_constraints(gained - stored.shift(t=1) == 0, mask=inside & ~first, name="recursion")
    need = column(instance, "soc_need_kwh", "bat")
    missing = model.add_variables(lower=0, upper=need, name="missing")
    last = inside & (inside.t == column(instance, "depart", "bat") - 1)
    model.add_constraints(stored + missing >= need.broadcast_like(inside), mask=last, name="departure")
    return charge - discharge


_BOUNDS = ("p_charge_max_kw", "p_discharge_max_kw", "soc_min_kwh", "soc_max_kwh", "soc_start_kwh")


def main(path: str, solver: str, limit_s: float) -> None:
    """Solve the instance at ``path`` and report."""
    with np.load(path) as archive:
        instance = {name: archive[name] for name in archive.files}
    began = time.process_time()
    model = model_of(instance)
    options = {"solver": solver, "threads": 1, "time_limit": limit_s, "output_flag": False}
    status, condition = model.solve(solver_name="highs", io_api="direct", **options)
    objective = float(model.objective.value) if condition == "optimal" else float("nan")
    finished(began, objective, f"linopy {version('linopy')}: {status}, {condition}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
