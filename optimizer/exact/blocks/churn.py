"""The price of leaving the previous plan."""

from collections.abc import Iterable

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from optimizer.exact.balances import Account, Balances, Row, Variables, constrain
from optimizer.problem.problem import Churn

Cell = tuple[int, int, Account]


class ChurnBlock:
    """``v >= |power - previous|`` for every cell that the plan decides and whose past is known."""

    def __init__(
        self, model: pyo.ConcreteModel, churn: Churn, step_h: float, cells: Iterable[Cell], balances: Balances
    ) -> None:
        model.churn = block = pyo.Block()
        known = [(cell[2], float(churn.previous_kw[cell[0], cell[1]])) for cell in cells]
        known = [(account, before) for account, before in known if not np.isnan(before)]
        most = [max(abs(account.low - before), abs(account.high - before)) for account, before in known]
        moved = Variables.on(block, "moved_kw", np.zeros(len(known)), np.array(most, dtype=np.float64))
        balances.price(np.full(len(known), churn.price_cny_per_kwh * step_h), moved)
        rows: list[Row] = []
        for variable, (account, before) in zip(moved.data, known, strict=True):
            for sign in (1.0, -1.0):
                coefficients = [1.0, *(-sign * a for a in account.coefficients)]
                body = LinearExpression(linear_coefs=coefficients, linear_vars=[variable, *account.variables])
                rows.append((sign * (account.constant - before), body, None))
        constrain(block, "distance", rows)
