"""Photovoltaics: fixed where they cannot be curtailed, else a variable with a small price of curtailment."""

from collections.abc import Iterator

import numpy as np
import pyomo.environ as pyo

from numerics.arrays import FloatArray
from optimizer.exact.balances import Account, Balances, Variables
from optimizer.problem.problem import Problem


class SolarBlock:
    """``power = curtailed - available``, ``0 <= curtailed <= available`` where curtailable and the sun shines."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, balances: Balances) -> None:
        self._panels = panels = problem.solar
        self._owner, self._step = np.nonzero((panels.available_kw > 0.0) & (panels.curtailable != 0)[:, None])
        model.solar = block = pyo.Block()
        balances.base(panels.transformer, -panels.available_kw)
        most = panels.available_kw[self._owner, self._step]
        self._curtailed = Variables.on(block, "curtailed_kw", np.zeros(len(most)), most)
        balances.load(panels.transformer[self._owner], self._step, 1.0, self._curtailed)
        if problem.regulation is not None:
            balances.shine(self._step, self._curtailed, panels.available_kw.sum(axis=0))
        balances.price(np.full(len(most), panels.price_cny_per_kwh * problem.step_h), self._curtailed)

    def power_kw(self) -> FloatArray:
        """Return the solved net power, at most 0, shape ``(n, T)``."""
        power = -self._panels.available_kw
        power[self._owner, self._step] += self._curtailed.values()
        return power

    def accounts(self) -> Iterator[tuple[int, int, Account]]:
        """Yield row, step and power of every row that can be curtailed."""
        rows = np.flatnonzero(self._panels.curtailable != 0).tolist()
        accounts = {(row, t): Account() for row in rows for t in range(self._panels.available_kw.shape[1])}
        for (row, step), account in accounts.items():
            account.shift(-float(self._panels.available_kw[row, step]))
        for j, cell in enumerate(zip(self._owner.tolist(), self._step.tolist(), strict=True)):
            accounts[cell].add(1.0, self._curtailed.data[j], 0.0, self._curtailed.high[j])
        for (row, step), account in accounts.items():
            yield row, step, account
