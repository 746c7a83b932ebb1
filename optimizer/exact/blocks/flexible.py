"""Loads that can be cut for a while, within an energy, part of which comes back afterwards."""

from collections.abc import Iterator

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import FloatArray
from optimizer.exact.balances import Account, Balances, Row, Variables, constrain
from optimizer.problem.problem import Flexible, Problem


class FlexibleBlock:
    """``power = baseline - cut + rebound``, ``0 <= cut_it <= max_cut_it``, ``sum_t cut_it * h <= max_cut_kwh_i``.

    ``rebound_it`` is the sum of the last ``rebound_steps`` cuts times ``rebound_ratio / rebound_steps``.
    """

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, balances: Balances) -> None:
        self._loads = loads = problem.flexible
        self._owner, self._step = np.nonzero(loads.max_cut_kw > 0.0)
        model.flexible = block = pyo.Block()
        balances.base(loads.transformer, loads.baseline_kw)
        most = loads.max_cut_kw[self._owner, self._step]
        self._cut = Variables.on(block, "cut_kw", np.zeros(len(most)), most)
        for delay, share in enumerate(_shares(loads)):
            inside = np.flatnonzero((self._step + delay < problem.steps) & (share[self._owner] != 0.0))
            owner = self._owner[inside]
            balances.load(loads.transformer[owner], self._step[inside] + delay, share[owner], self._cut.take(inside))
        balances.price(loads.price_cny_per_kwh[self._owner] * problem.step_h, self._cut)
        rows: list[Row] = []
        for i in np.unique(self._owner).tolist():
            members = [self._cut.data[j] for j in np.flatnonzero(self._owner == i).tolist()]
            body = LinearExpression(linear_coefs=[problem.step_h] * len(members), linear_vars=members)
            rows.append((None, body, loads.max_cut_kwh[i]))
        constrain(block, "energy", rows)

    def power_kw(self) -> FloatArray:
        """Return the solved net power, shape ``(n, T)``."""
        cut = np.zeros_like(self._loads.baseline_kw)
        cut[self._owner, self._step] = self._cut.values()
        power = self._loads.baseline_kw.copy()
        for delay, share in enumerate(_shares(self._loads)):
            power[:, delay:] += share[:, np.newaxis] * cut[:, : cut.shape[1] - delay]
        return power

    def accounts(self) -> Iterator[tuple[int, int, Account]]:
        """Yield row, step and power of every row and step."""
        steps = self._loads.baseline_kw.shape[1]
        accounts = [[Account() for _ in range(steps)] for _ in range(len(self._loads))]
        for own, values in zip(accounts, self._loads.baseline_kw.tolist(), strict=True):
            for account, value in zip(own, values, strict=True):
                account.shift(value)
        for delay, share in enumerate(_shares(self._loads)):
            for j, (row, step) in enumerate(zip(self._owner.tolist(), self._step.tolist(), strict=True)):
                if step + delay < steps and share[row] != 0.0:
                    accounts[row][step + delay].add(float(share[row]), self._cut.data[j], 0.0, self._cut.high[j])
        for i, own in enumerate(accounts):
            for t, account in enumerate(own):
                yield i, t, account


def _shares(loads: Flexible) -> list[FloatArray]:
    """Return what a cut kW does to the net load 0, 1, 2 ... steps later, shape ``(n,)`` each."""
    back = loads.rebound_ratio / loads.rebound_steps
    steps = min(loads.rebound_steps, loads.baseline_kw.shape[1] - 1) if back.any() else 0
    return [np.full(len(loads), -1.0), *[back] * steps]
