"""Batteries: the state of charge written recursively, one short row a step, so that the matrix stays sparse."""

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from optimizer.ledger import Cells, Ledger, Row, Variables, constrain
from optimizer.problem import Problem, Storing
from optimizer.validation import FloatArray


class StoringBlock:
    """``s_t = s_(t-1) + eta*c_t*h - d_t*h/eta`` within bounds; ``s_end + u >= soc_end * capacity``."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, ledger: Ledger) -> None:
        batteries = problem.storing
        self._shape = (len(batteries), problem.steps)
        self._cells = cells = Cells.of(batteries.arrive, batteries.depart)
        owner = cells.owner
        model.storing = self._block = pyo.Block()
        zeros = np.zeros(len(owner))
        self._charge = Variables.on(self._block, "charge_kw", zeros, batteries.p_max_kw[owner])
        self._discharge = Variables.on(self._block, "discharge_kw", zeros, -batteries.p_min_kw[owner])
        low, high = energy_bounds_kwh(batteries)
        self._energy = Variables.on(self._block, "energy_kwh", low[owner], high[owner])
        node = batteries.transformer[owner]
        ledger.load(node, cells.step, 1.0, self._charge)
        ledger.load(node, cells.step, -1.0, self._discharge)
        ledger.price(batteries.wear_price_cny_per_kwh[owner] * problem.step_h, self._discharge)
        self._recursion(batteries, problem.step_h)
        self._departure(batteries, problem.unserved_price_cny_per_kwh, ledger)

    def _recursion(self, batteries: Storing, step_h: float) -> None:
        charge, discharge, energy = self._charge.data, self._discharge.data, self._energy.data
        start = (batteries.soc_start * batteries.capacity_kwh).tolist()
        gain = (batteries.efficiency * step_h).tolist()
        drain = (step_h / batteries.efficiency).tolist()
        heads = set(self._cells.first.tolist())
        rows: list[Row] = []
        for j, i in enumerate(self._cells.owner.tolist()):
            coefficients = [1.0, -gain[i], drain[i]]
            members = [energy[j], charge[j], discharge[j]]
            before = start[i] if j in heads else 0.0
            if j not in heads:
                coefficients.append(-1.0)
                members.append(energy[j - 1])
            rows.append((before, LinearExpression(linear_coefs=coefficients, linear_vars=members), before))
        constrain(self._block, "balance", rows)

    def _departure(self, batteries: Storing, price: float, ledger: Ledger) -> None:
        due = batteries.soc_end * batteries.capacity_kwh
        missing = Variables.on(self._block, "unserved_kwh", np.zeros(len(due)), due)
        ledger.price(np.full(len(due), price), missing)
        rows: list[Row] = []
        for i, last in enumerate((self._cells.first + self._cells.length - 1).tolist()):
            members = [self._energy.data[last], missing.data[i]]
            rows.append((due[i], LinearExpression(linear_coefs=[1.0, 1.0], linear_vars=members), None))
        constrain(self._block, "departure", rows)

    def power_kw(self) -> FloatArray:
        """Return the solved net power, shape ``(n, T)``."""
        return self._cells.spread(self._charge.values() - self._discharge.values(), self._shape)


def energy_bounds_kwh(batteries: Storing) -> tuple[FloatArray, FloatArray]:
    """Return least and greatest stored energy; a start outside the bounds widens them, shape ``(n,)`` each."""
    low = np.minimum(batteries.soc_min, batteries.soc_start) * batteries.capacity_kwh
    high = np.maximum(batteries.soc_max, batteries.soc_start) * batteries.capacity_kwh
    return low, high
