"""The whole instance as one linear program in sparse arrays, for HiGHS: ``python -m … INSTANCE.npz SOLVER LIMIT_S``.

The leanest way to a monolith. ``SOLVER`` is ``simplex`` or ``ipm``; where highspy-extras is installed, ``ipm`` is HiPO.
Needs numpy and highspy, so that it runs in either environment.
"""

import importlib.util
import sys
import time
from typing import NamedTuple

import highspy
import numpy as np
import numpy.typing as npt

from vpp.lab.bench.rivals.report import finished

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Instance = dict[str, npt.NDArray[np.generic]]


class Cells(NamedTuple):
    """Device and step of every cell of a window, and each device's first cell and number of cells."""

    owner: Ints
    step: Ints
    first: Ints
    length: Ints


class Program:
    """A linear program that grows family by family; rows and entries in triplets."""

    def __init__(self) -> None:
        self.cost: list[Floats] = []
        self.high: list[Floats] = []
        self.low: list[Floats] = []
        self.columns = 0
        self.rows = 0
        self.sides: list[tuple[Floats, Floats]] = []
        self.entries: list[tuple[Ints, Ints, Floats]] = []

    def family(self, low: Floats, high: Floats, cost: Floats | float = 0.0) -> Ints:
        """Add columns and return their numbers."""
        self.low.append(low)
        self.high.append(high)
        self.cost.append(np.broadcast_to(np.asarray(cost, dtype=np.float64), low.shape))
        self.columns += len(low)
        return np.arange(self.columns - len(low), self.columns)

    def close(self, low: Floats, high: Floats) -> None:
        """End the rows that were filled last."""
        self.sides.append((low, high))
        self.rows += len(low)

    def put(self, row: Ints, column: Ints, value: Floats | float) -> None:
        """Add entries to the rows that are not closed yet, counted from 0."""
        self.entries.append((row + self.rows, column, np.broadcast_to(np.asarray(value, dtype=np.float64), row.shape)))


def windows(instance: Instance, kind: str) -> Cells:
    """Return the cells of ``ev`` or ``bat``."""
    arrive = instance[f"{kind}_arrive"].astype(np.int64)
    length = instance[f"{kind}_depart"].astype(np.int64) - arrive
    first = np.cumsum(length) - length
    owner = np.repeat(np.arange(len(length)), length)
    step = np.arange(int(length.sum())) - first[owner] + arrive[owner]
    return Cells(owner, step, first, length)


def program_of(instance: Instance) -> Program:
    """Return the instance as a program: devices, transformers, total, peak, regulation."""
    h = float(instance["step_h"])
    price = np.asarray(instance["price_cny_per_kwh"], dtype=np.float64)
    nodes, steps = instance["base_kw"].shape
    ev, bat = windows(instance, "ev"), windows(instance, "bat")
    program = Program()
    power = program.family(np.zeros(len(ev.owner)), _take(instance, "ev_p_max_kw", ev))
    _cars(program, instance, ev, power, h)
    charge, discharge = _stores(program, instance, bat, h)
    sun = np.asarray(instance["pv_available_kw"], dtype=np.float64).ravel()
    used = program.family(np.zeros(len(sun)), sun)
    everywhere = np.tile(np.arange(steps), nodes)
    base = np.asarray(instance["base_kw"], dtype=np.float64)
    limit = np.asarray(instance["transformer_limit_kw"], dtype=np.float64)[:, None]
    at = [
        (instance["ev_transformer"].astype(np.int64)[ev.owner], ev.step, power, 1.0),
        (instance["bat_transformer"].astype(np.int64)[bat.owner], bat.step, charge, 1.0),
        (instance["bat_transformer"].astype(np.int64)[bat.owner], bat.step, discharge, -1.0),
        (np.repeat(np.arange(nodes), steps), everywhere, used, -1.0),
    ]
    for node, step, column, sign in at:
        program.put(node * steps + step, column, sign)
    program.close((-limit - base).ravel(), (limit - base).ravel())
    free = np.full(steps, np.inf)
    total = program.family(-free, free, price * h)
    for _, step, column, sign in at:
        program.put(step, column, sign)
    program.put(np.arange(steps), total, -1.0)
    program.close(-base.sum(0), -base.sum(0))
    peak = program.family(np.zeros(1), np.full(1, np.inf), float(instance["peak_price_cny_per_kw"]))
    program.put(np.arange(steps), total, 1.0)
    program.put(np.arange(steps), np.repeat(peak, steps), -1.0)
    program.close(-free, np.zeros(steps))
    _regulation(program, instance, at, ev, bat)
    return program


def _take(instance: Instance, name: str, cells: Cells) -> Floats:
    return np.asarray(instance[name], dtype=np.float64)[cells.owner]


def _cars(program: Program, instance: Instance, ev: Cells, power: Ints, h: float) -> None:
    need = np.asarray(instance["ev_energy_kwh"], dtype=np.float64)
    unserved = program.family(np.zeros(len(need)), need, float(instance["unserved_price_cny_per_kwh"]))
    program.put(ev.owner, power, h)
    program.put(np.arange(len(need)), unserved, 1.0)
    program.close(need, need)


def _stores(program: Program, instance: Instance, bat: Cells, h: float) -> tuple[Ints, Ints]:
    eta, none = float(instance["efficiency"]), np.zeros(len(bat.owner))
    wear = float(instance["wear_price_cny_per_kwh"]) * h
    charge = program.family(none, _take(instance, "bat_p_charge_max_kw", bat))
    discharge = program.family(none, _take(instance, "bat_p_discharge_max_kw", bat), wear)
    stored = program.family(_take(instance, "bat_soc_min_kwh", bat), _take(instance, "bat_soc_max_kwh", bat))
    row = np.arange(len(bat.owner))
    head = np.zeros(len(row), dtype=np.bool_)
    head[bat.first] = True
    program.put(row, stored, 1.0)
    program.put(row[~head], stored[np.flatnonzero(~head) - 1], -1.0)
    program.put(row, charge, -eta * h)
    program.put(row, discharge, h / eta)
    start = np.where(head, _take(instance, "bat_soc_start_kwh", bat), 0.0)
    program.close(start, start)
    due = np.asarray(instance["bat_soc_need_kwh"], dtype=np.float64)
    missing = program.family(np.zeros(len(due)), due, float(instance["unserved_price_cny_per_kwh"]))
    program.put(np.arange(len(due)), stored[bat.first + bat.length - 1], 1.0)
    program.put(np.arange(len(due)), missing, 1.0)
    program.close(due, np.full(len(due), np.inf))
    return charge, discharge


def _regulation(
    program: Program, instance: Instance, at: list[tuple[Ints, Ints, Ints, float]], ev: Cells, bat: Cells
) -> None:
    price = np.asarray(instance["reg_price_cny_per_kw_h"], dtype=np.float64) * float(instance["step_h"])
    steps = len(price)
    sold = program.family(np.zeros(steps), np.full(steps, np.inf), -price)
    up = np.bincount(bat.step, _take(instance, "bat_p_discharge_max_kw", bat), steps).astype(np.float64)
    down = np.bincount(ev.step, _take(instance, "ev_p_max_kw", ev), steps).astype(np.float64)
    down += np.bincount(bat.step, _take(instance, "bat_p_charge_max_kw", bat), steps)
    for side, room, parts in ((-1.0, up, at[:3]), (1.0, down, at)):
        program.put(np.arange(steps), sold, 1.0)
        for _, step, column, sign in parts:
            program.put(step, column, side * sign)
        program.close(np.full(steps, -np.inf), room)


def lp_of(program: Program) -> highspy.HighsLp:
    """Return the program as HiGHS takes it, by rows."""
    row, column, value = (np.concatenate(part) for part in zip(*program.entries, strict=True))
    order = np.argsort(row, kind="stable")
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = program.columns, program.rows
    lp.col_cost_ = np.concatenate(program.cost)
    lp.col_lower_, lp.col_upper_ = np.concatenate(program.low), np.concatenate(program.high)
    lp.row_lower_ = np.concatenate([low for low, _ in program.sides])
    lp.row_upper_ = np.concatenate([high for _, high in program.sides])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=program.rows))]).astype(np.int32)
    lp.a_matrix_.index_, lp.a_matrix_.value_ = column[order].astype(np.int32), value[order]
    return lp


def main(path: str, solver: str, limit_s: float) -> None:
    """Solve the instance at ``path`` and report."""
    with np.load(path) as archive:
        instance = {name: archive[name] for name in archive.files}
    began = time.process_time()
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy ships no annotations
    for name, value in (("output_flag", False), ("threads", 1), ("solver", solver), ("time_limit", limit_s)):
        highs.setOptionValue(name, value)
    highs.passModel(lp_of(program_of(instance)))
    highs.run()
    status = highs.modelStatusToString(highs.getModelStatus())
    extras = importlib.util.find_spec("highspy_extras") is not None
    name = "hipo" if solver == "ipm" and extras else solver
    optimal = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    objective = highs.getInfo().objective_function_value if optimal else float("nan")
    finished(began, objective, f"highs {highs.version()} {name}: {status}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
