"""The total: its energy, its peak, and a requested change of it."""

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from optimizer.ledger import Account, Ledger, Row, Variables, constrain
from optimizer.problem import Cut, Problem


class MarketBlock:
    """``G_t = sum of roots + fixed``; cost ``price_t*h*G_t + peak_price*max(0, max G)``; the cut with its shortfall."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, ledger: Ledger, total: list[Account]) -> None:
        model.market = block = pyo.Block()
        low = np.array([a.low for a in total])
        high = np.array([a.high for a in total])
        self._total = Variables.on(block, "total_kw", low, high)
        rows: list[Row] = []
        for account, variable in zip(total, self._total.data, strict=True):
            account.add(-1.0, variable, 0.0, 0.0)
            rows.append((-account.constant, account.expression(), -account.constant))
        constrain(block, "balance", rows)
        ledger.price(problem.price_cny_per_kwh * problem.step_h, self._total)
        if problem.peak_price_cny_per_kw > 0.0:
            self._peak(block, problem.peak_price_cny_per_kw, ledger)
        if problem.cut is not None:
            self._cut(block, problem.cut, problem.step_h, ledger)

    def _peak(self, block: pyo.Block, price: float, ledger: Ledger) -> None:
        top = max(float(self._total.high.max()), 0.0)
        peak = Variables.on(block, "peak_kw", np.zeros(1), np.array([top]))
        ledger.price(np.array([price]), peak)
        rows: list[Row] = [
            (0.0, LinearExpression(linear_coefs=[1.0, -1.0], linear_vars=[peak.data[0], variable]), None)
            for variable in self._total.data
        ]
        constrain(block, "peak", rows)

    def _cut(self, block: pyo.Block, cut: Cut, step_h: float, ledger: Ledger) -> None:
        steps = np.flatnonzero(cut.cut_kw)
        sign = np.sign(cut.cut_kw[steps])
        goal = (cut.reference_kw - cut.cut_kw)[steps]
        worst = np.where(sign > 0, self._total.high[steps] - goal, goal - self._total.low[steps])
        missing = Variables.on(block, "shortfall_kw", np.zeros(len(steps)), np.maximum(worst, 0.0))
        ledger.price(np.full(len(steps), cut.shortfall_price_cny_per_kwh * step_h), missing)
        rows: list[Row] = []
        for i, step in enumerate(steps.tolist()):
            members = [self._total.data[step], missing.data[i]]
            body = LinearExpression(linear_coefs=[sign[i], -1.0], linear_vars=members)
            rows.append((None, body, sign[i] * goal[i]))
        constrain(block, "cut", rows)
