"""The total: its energy, its peak, and the band asked of it."""

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import FloatArray
from optimizer.exact.balances import Account, Balances, Row, Variables, constrain
from optimizer.problem.problem import Band, Problem


class MarketBlock:
    """``G_t = sum of roots + fixed``; cost ``price_t*h*G_t + peak_price*max(0, max G)``; the band with its excess."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, balances: Balances, total: list[Account]) -> None:
        model.market = block = pyo.Block()
        low = np.array([a.low for a in total])
        high = np.array([a.high for a in total])
        self._total = Variables.on(block, "total_kw", low, high)
        rows: list[Row] = []
        for account, variable in zip(total, self._total.data, strict=True):
            account.add(-1.0, variable, 0.0, 0.0)
            rows.append((-account.constant, account.expression(), -account.constant))
        constrain(block, "balance", rows)
        balances.price(problem.price_cny_per_kwh * problem.step_h, self._total)
        if problem.peak_price_cny_per_kw > 0.0:
            self._peak(block, problem.peak_price_cny_per_kw, balances)
        if problem.band is not None:
            self._band(block, problem.band, problem.step_h, balances)

    def _peak(self, block: pyo.Block, price: float, balances: Balances) -> None:
        top = max(float(self._total.high.max()), 0.0)
        peak = Variables.on(block, "peak_kw", np.zeros(1), np.array([top]))
        balances.price(np.array([price]), peak)
        rows: list[Row] = [
            (0.0, LinearExpression(linear_coefs=[1.0, -1.0], linear_vars=[peak.data[0], variable]), None)
            for variable in self._total.data
        ]
        constrain(block, "peak", rows)

    def _band(self, block: pyo.Block, band: Band, step_h: float, balances: Balances) -> None:
        price = band.price_cny_per_kwh * step_h
        low, high = self._total.low, self._total.high
        self._bound(block, "above", 1.0, goal=band.upper_kw, worst=high - band.upper_kw, price=price, balances=balances)
        self._bound(
            block, "below", -1.0, goal=-band.lower_kw, worst=band.lower_kw - low, price=price, balances=balances
        )

    def _bound(
        self,
        block: pyo.Block,
        name: str,
        sign: float,
        *,
        goal: FloatArray,
        worst: FloatArray,
        price: float,
        balances: Balances,
    ) -> None:
        """Add ``sign * G_t - excess_t <= goal_t`` at the steps where the total could go beyond it."""
        steps = np.flatnonzero(worst > 0.0)
        excess = Variables.on(block, f"{name}_kw", np.zeros(len(steps)), worst[steps])
        balances.price(np.full(len(steps), price), excess)
        rows: list[Row] = []
        for i, step in enumerate(steps.tolist()):
            members = [self._total.data[step], excess.data[i]]
            rows.append((None, LinearExpression(linear_coefs=[sign, -1.0], linear_vars=members), goal[step]))
        constrain(block, name, rows)
