"""Cars that only charge: power inside the window, energy by departure or priced as unserved."""

from collections.abc import Iterator

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import FloatArray
from optimizer.exact.balances import Account, Balances, Cells, Variables, constrain
from optimizer.problem.problem import Problem


class ChargingBlock:
    """``sum_t x_it * h + u_i = need_i``, ``0 <= x_it <= p_max_i`` inside the window only."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, balances: Balances) -> None:
        cars = problem.charging
        self._shape = (len(cars), problem.steps)
        self._cells = cells = Cells.of(cars.arrive, cars.depart)
        model.charging = block = pyo.Block()
        zeros = np.zeros(len(cells.owner))
        self._power = power = Variables.on(block, "power_kw", zeros, cars.p_max_kw[cells.owner])
        unserved = Variables.on(block, "unserved_kwh", np.zeros(len(cars)), cars.need_kwh)
        balances.load(cars.transformer[cells.owner], cells.step, 1.0, power)
        if problem.regulation is not None:
            balances.move(cells.step, 1.0, power)
        balances.price(np.full(len(cars), problem.unserved_price_cny_per_kwh), unserved)
        rows = []
        for i, (first, length) in enumerate(zip(cells.first.tolist(), cells.length.tolist(), strict=True)):
            members = [*power.data[first : first + length], unserved.data[i]]
            body = LinearExpression(linear_coefs=[problem.step_h] * length + [1.0], linear_vars=members)
            rows.append((cars.need_kwh[i], body, cars.need_kwh[i]))
        constrain(block, "energy", rows)

    def power_kw(self) -> FloatArray:
        """Return the solved power, shape ``(n, T)``."""
        return self._cells.spread(self._power.values(), self._shape)

    def accounts(self) -> Iterator[tuple[int, int, Account]]:
        """Yield row, step and power of every cell of a window."""
        cells = zip(self._cells.owner.tolist(), self._cells.step.tolist(), strict=True)
        for j, (row, step) in enumerate(cells):
            account = Account()
            account.add(1.0, self._power.data[j], 0.0, self._power.high[j])
            yield row, step, account
