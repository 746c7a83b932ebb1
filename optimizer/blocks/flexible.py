"""Loads that can be cut for a while, within an energy."""

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from optimizer.ledger import Ledger, Row, Variables, constrain
from optimizer.problem import Problem
from optimizer.validation import FloatArray


class FlexibleBlock:
    """``power = baseline - cut``, ``0 <= cut_it <= max_cut_it``, ``sum_t cut_it * h <= max_cut_kwh_i``."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, ledger: Ledger) -> None:
        loads = problem.flexible
        self._baseline = loads.baseline_kw
        self._owner, self._step = np.nonzero(loads.max_cut_kw > 0.0)
        model.flexible = block = pyo.Block()
        ledger.base(loads.transformer, loads.baseline_kw)
        most = loads.max_cut_kw[self._owner, self._step]
        self._cut = Variables.on(block, "cut_kw", np.zeros(len(most)), most)
        ledger.load(loads.transformer[self._owner], self._step, -1.0, self._cut)
        ledger.price(loads.price_cny_per_kwh[self._owner] * problem.step_h, self._cut)
        rows: list[Row] = []
        for i in np.unique(self._owner).tolist():
            members = [self._cut.data[j] for j in np.flatnonzero(self._owner == i).tolist()]
            body = LinearExpression(linear_coefs=[problem.step_h] * len(members), linear_vars=members)
            rows.append((None, body, loads.max_cut_kwh[i]))
        constrain(block, "energy", rows)

    def power_kw(self) -> FloatArray:
        """Return the solved net power, shape ``(n, T)``."""
        power = self._baseline.copy()
        power[self._owner, self._step] -= self._cut.values()
        return power
