"""Batteries: the state of charge written recursively, one short row a step, so that the matrix stays sparse."""

from collections.abc import Iterator

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import FloatArray
from optimizer.exact.balances import Account, Balances, Cells, Row, Variables, constrain
from optimizer.problem.problem import Problem, Storing

_BURNT_KW = 1e-6
"""Charging and discharging by more than this in one step is no rounding."""


class StoringBlock:
    """``s_t = s_(t-1) + eta*c_t*h - d_t*h/eta`` within bounds; ``s_end + u >= soc_end * capacity``.

    Where burning energy pays, the relaxed model charges and discharges in one step, which no battery can. Such cells
    get ``c_t <= p_max * on_t``, ``d_t <= -p_min * (1 - on_t)`` with ``on_t`` 0 or 1, once they are found.

    Attributes:
        cells: The windows.
        charge: ``c``, one a cell.
        discharge: ``d``, one a cell.
        energy: ``s`` at the end of each cell.
    """

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, balances: Balances) -> None:
        batteries = problem.storing
        self._shape = (len(batteries), problem.steps)
        self.cells = cells = Cells.of(batteries.arrive, batteries.depart)
        owner = cells.owner
        model.storing = self._block = pyo.Block()
        zeros = np.zeros(len(owner))
        self.charge = Variables.on(
            self._block, "charge_kw", zeros, batteries.most_charge_kw(problem.steps)[owner, cells.step]
        )
        self.discharge = Variables.on(self._block, "discharge_kw", zeros, -batteries.p_min_kw[owner])
        low, high = batteries.energy_bounds_kwh()
        self.energy = Variables.on(self._block, "energy_kwh", low[owner], high[owner])
        for sign, family in ((1.0, self.charge), (-1.0, self.discharge)):
            balances.load(batteries.transformer[owner], cells.step, sign, family)
            if problem.regulation is not None:
                balances.move(cells.step, sign, family)
        balances.price(batteries.wear_price_cny_per_kwh[owner] * problem.step_h, self.discharge)
        self._either = np.zeros(len(owner), dtype=np.bool_)
        self._recursion(batteries, problem.step_h)
        self._departure(batteries, problem.unserved_price_cny_per_kwh, balances)

    def _recursion(self, batteries: Storing, step_h: float) -> None:
        charge, discharge, energy = self.charge.data, self.discharge.data, self.energy.data
        start = (batteries.soc_start * batteries.capacity_kwh).tolist()
        gain = (batteries.efficiency * step_h).tolist()
        drain = (step_h / batteries.efficiency).tolist()
        heads = set(self.cells.first.tolist())
        rows: list[Row] = []
        for j, i in enumerate(self.cells.owner.tolist()):
            coefficients = [1.0, -gain[i], drain[i]]
            members = [energy[j], charge[j], discharge[j]]
            before = start[i] if j in heads else 0.0
            if j not in heads:
                coefficients.append(-1.0)
                members.append(energy[j - 1])
            rows.append((before, LinearExpression(linear_coefs=coefficients, linear_vars=members), before))
        constrain(self._block, "balance", rows)

    def _departure(self, batteries: Storing, price: float, balances: Balances) -> None:
        due = batteries.soc_end * batteries.capacity_kwh
        missing = Variables.on(self._block, "unserved_kwh", np.zeros(len(due)), due)
        balances.price(np.full(len(due), price), missing)
        rows: list[Row] = []
        for i, last in enumerate((self.cells.first + self.cells.length - 1).tolist()):
            members = [self.energy.data[last], missing.data[i]]
            rows.append((due[i], LinearExpression(linear_coefs=[1.0, 1.0], linear_vars=members), None))
        constrain(self._block, "departure", rows)

    def forbid_burning(self) -> int:
        """Allow only one of charging and discharging in the cells that were solved with both; return how many."""
        both = np.minimum(self.charge.values(), self.discharge.values()) > _BURNT_KW
        cells = np.flatnonzero(both & ~self._either)
        if not len(cells):
            return 0
        self._either[cells] = True
        self._block.add_component(f"either_{len(self._block.component_map())}", block := pyo.Block())
        charging = Variables.on(block, "charging", np.zeros(len(cells)), np.ones(len(cells)), integral=True)
        rows: list[Row] = []
        for i, cell in enumerate(cells.tolist()):
            most, least = self.charge.high[cell], self.discharge.high[cell]
            one, other = [self.charge.data[cell], charging.data[i]], [self.discharge.data[cell], charging.data[i]]
            rows.append((None, LinearExpression(linear_coefs=[1.0, -most], linear_vars=one), 0.0))
            rows.append((None, LinearExpression(linear_coefs=[1.0, least], linear_vars=other), least))
        constrain(block, "one", rows)
        return len(cells)

    def power_kw(self) -> FloatArray:
        """Return the solved net power, shape ``(n, T)``."""
        return self.cells.spread(self.charge.values() - self.discharge.values(), self._shape)

    def accounts(self) -> Iterator[tuple[int, int, Account]]:
        """Yield row, step and power of every cell of a window."""
        cells = zip(self.cells.owner.tolist(), self.cells.step.tolist(), strict=True)
        for j, (row, step) in enumerate(cells):
            account = Account()
            account.add(1.0, self.charge.data[j], 0.0, self.charge.high[j])
            account.add(-1.0, self.discharge.data[j], 0.0, self.discharge.high[j])
            yield row, step, account
