"""Symmetric regulation capacity: sold where charging, storing and the sun leave room both ways."""

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import FloatArray
from optimizer.exact.balances import Account, Balances, Row, Variables, constrain
from optimizer.problem.evaluation import plugged_kw
from optimizer.problem.problem import Problem, Regulation


class RegulationBlock:
    """``0 <= R_b <= Z_t + discharge_t``, ``R_b <= charge_t - Z_t + solar_t`` in every step ``t`` of a block ``b``.

    ``Z`` is the net load of charging and storing. Where bids are indivisible ``R_b = unit * n_b``, ``n_b`` whole, and
    ``least * on_b <= R_b <= most_b * on_b`` with ``on_b`` 0 or 1.
    """

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, regulation: Regulation, balances: Balances) -> None:
        model.regulation = block = pyo.Block()
        self._block = np.arange(problem.steps) // regulation.block_steps
        up, down = plugged_kw(problem)
        moved = _sum(block, "moved", balances.moved)
        solar = _sum(block, "solar", balances.solar)
        # Schedules of single precision may miss their bounds by a rounding; selling nothing is possible nevertheless.
        up, down = np.maximum(up, -moved.low), np.maximum(down, moved.high - solar.low)
        room = np.minimum(up + moved.high, down - moved.low + solar.high)
        starts = np.arange(0, problem.steps, regulation.block_steps)
        most = np.maximum(np.minimum.reduceat(room, starts), 0.0)
        self._sold = sold = Variables.on(block, "sold_kw", np.zeros(len(most)), most)
        income = np.add.reduceat(regulation.price_cny_per_kw_h, starts) * problem.step_h
        balances.price(-income, sold)
        rows: list[Row] = []
        for t, b in enumerate(self._block.tolist()):
            upward = LinearExpression(linear_coefs=[1.0, -1.0], linear_vars=[sold.data[b], moved.data[t]])
            members = [sold.data[b], moved.data[t], solar.data[t]]
            downward = LinearExpression(linear_coefs=[1.0, 1.0, -1.0], linear_vars=members)
            rows += [(None, upward, up[t]), (None, downward, down[t])]
        constrain(block, "room", rows)
        indivisible(block, regulation, sold)

    def sold_kw(self) -> FloatArray:
        """Return the capacity of each step, shape ``(T,)``."""
        return self._sold.values()[self._block]


def indivisible(block: pyo.Block, regulation: Regulation, sold: Variables) -> None:
    """Bind ``sold`` to whole units and to a least amount, as far as ``regulation`` asks for them."""
    if regulation.unit_kw > 0.0:
        units = Variables.on(
            block, "units", np.zeros(len(sold.high)), np.floor(sold.high / regulation.unit_kw), integral=True
        )
        pairs = zip(sold.data, units.data, strict=True)
        rows: list[Row] = [
            (0.0, LinearExpression(linear_coefs=[1.0, -regulation.unit_kw], linear_vars=list(pair)), 0.0)
            for pair in pairs
        ]
        constrain(block, "whole", rows)
    if regulation.least_kw > 0.0:
        able = (sold.high >= regulation.least_kw).astype(np.float64)
        chosen = Variables.on(block, "chosen", np.zeros(len(able)), able, integral=True)
        rows = []
        for i, pair in enumerate(zip(sold.data, chosen.data, strict=True)):
            members = list(pair)
            most = -float(sold.high[i])
            rows.append((0.0, LinearExpression(linear_coefs=[1.0, -regulation.least_kw], linear_vars=members), None))
            rows.append((None, LinearExpression(linear_coefs=[1.0, most], linear_vars=members), 0.0))
        constrain(block, "least", rows)


def _sum(block: pyo.Block, name: str, accounts: list[Account]) -> Variables:
    """Add a variable for each account and the row that makes it the account's sum."""
    low, high = np.array([a.low for a in accounts]), np.array([a.high for a in accounts])
    total = Variables.on(block, f"{name}_kw", low, high)
    rows: list[Row] = []
    for account, variable in zip(accounts, total.data, strict=True):
        body = Account(account.constant, [*account.coefficients, -1.0], [*account.variables, variable])
        rows.append((-account.constant, body.expression(), -account.constant))
    constrain(block, name, rows)
    return total
