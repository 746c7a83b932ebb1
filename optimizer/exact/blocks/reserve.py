"""Energy-backed reserve: power and energy that stores keep free for a whole window."""

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import FloatArray, IntArray
from optimizer.exact.balances import Balances, Row, Variables, constrain
from optimizer.exact.blocks.storing import StoringBlock
from optimizer.problem.problem import Problem, Reserve
from optimizer.problem.reserves import holders


class ReserveBlock:
    """``c - d - held >= p_min``, ``s >= low + held * hours / eta`` in the window; ``sum held + missing >= need``.

    The second holds at the window's beginning and at the end of each of its steps, with the hours to the window's end
    or, where the window says so, those for which what is held has to last.
    """

    def __init__(
        self, model: pyo.ConcreteModel, problem: Problem, reserve: Reserve, storing: StoringBlock, balances: Balances
    ) -> None:
        model.reserve = block = pyo.Block()
        self._store, self._window = np.nonzero(holders(problem))
        self._held = Variables.on(block, "held_kw", np.zeros(len(self._store)), self._most(problem, reserve))
        missing = Variables.on(block, "missing_kw", np.zeros(len(reserve)), reserve.need_kw)
        balances.price(reserve.prices_cny_per_kw, missing)
        constrain(block, "room", self._room(problem, reserve, storing))
        constrain(block, "energy", self._energy(problem, reserve, storing))
        rows: list[Row] = []
        for w, need in enumerate(reserve.need_kw.tolist()):
            members = [*(self._held.data[j] for j in np.flatnonzero(self._window == w)), missing.data[w]]
            rows.append((need, LinearExpression(linear_coefs=[1.0] * len(members), linear_vars=members), None))
        constrain(block, "need", rows)

    def _most(self, problem: Problem, reserve: Reserve) -> FloatArray:
        """Return what power and energy allow at the very most; the start's energy bounds a window that begins there."""
        stores, i, w = problem.storing, self._store, self._window
        low, high = stores.energy_bounds_kwh()
        fresh = stores.arrive[i] == reserve.first[w]
        energy = np.where(fresh, (stores.soc_start * stores.capacity_kwh)[i], high[i]) - low[i]
        sustained = reserve.sustained_steps
        hours = np.where(sustained > 0, sustained, reserve.last - reserve.first)[w] * problem.step_h
        return np.minimum((stores.p_max_kw - stores.p_min_kw)[i], energy * stores.efficiency[i] / hours)

    def _room(self, problem: Problem, reserve: Reserve, storing: StoringBlock) -> list[Row]:
        rows: list[Row] = []
        for j, (i, w) in enumerate(zip(self._store.tolist(), self._window.tolist(), strict=True)):
            for t in range(reserve.first[w], reserve.last[w]):
                cell = _cell(storing, problem.storing.arrive, i, t)
                members = [storing.charge.data[cell], storing.discharge.data[cell], self._held.data[j]]
                body = LinearExpression(linear_coefs=[1.0, -1.0, -1.0], linear_vars=members)
                rows.append((problem.storing.p_min_kw[i], body, None))
        return rows

    def _energy(self, problem: Problem, reserve: Reserve, storing: StoringBlock) -> list[Row]:
        low, _ = problem.storing.energy_bounds_kwh()
        rows: list[Row] = []
        for j, (i, w) in enumerate(zip(self._store.tolist(), self._window.tolist(), strict=True)):
            sustained = int(reserve.sustained_steps[w])
            stays = bool(sustained) and problem.storing.depart[i] > reserve.last[w]
            # The energy at the beginning of a step is that at the end of the step before.
            for t in range(max(reserve.first[w], problem.storing.arrive[i] + 1), reserve.last[w] + stays):
                hours = (sustained or reserve.last[w] - t) * problem.step_h
                before = storing.energy.data[_cell(storing, problem.storing.arrive, i, t - 1)]
                members = [before, self._held.data[j]]
                coefficients = [1.0, -hours / problem.storing.efficiency[i]]
                rows.append((low[i], LinearExpression(linear_coefs=coefficients, linear_vars=members), None))
        return rows


def _cell(storing: StoringBlock, arrive: IntArray, store: int, step: int) -> int:
    return int(storing.cells.first[store] + step - arrive[store])
