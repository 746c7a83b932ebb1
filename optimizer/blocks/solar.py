"""Photovoltaics: fixed where nothing can be told to them, else a variable that costs a little to turn down."""

import numpy as np
import pyomo.environ as pyo

from optimizer.ledger import Ledger, Variables
from optimizer.problem import Problem
from optimizer.validation import FloatArray


class SolarBlock:
    """``power = curtailed - available``, ``0 <= curtailed <= available`` where curtailable and the sun shines."""

    def __init__(self, model: pyo.ConcreteModel, problem: Problem, ledger: Ledger) -> None:
        panels = problem.solar
        self._available = panels.available_kw
        self._owner, self._step = np.nonzero((panels.available_kw > 0.0) & (panels.curtailable != 0)[:, None])
        model.solar = block = pyo.Block()
        ledger.base(panels.transformer, -panels.available_kw)
        most = panels.available_kw[self._owner, self._step]
        self._curtailed = Variables.on(block, "curtailed_kw", np.zeros(len(most)), most)
        ledger.load(panels.transformer[self._owner], self._step, 1.0, self._curtailed)
        ledger.price(np.full(len(most), panels.price_cny_per_kwh * problem.step_h), self._curtailed)

    def power_kw(self) -> FloatArray:
        """Return the solved net power, at most 0, shape ``(n, T)``."""
        power = -self._available
        power[self._owner, self._step] += self._curtailed.values()
        return power
