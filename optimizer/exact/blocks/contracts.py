"""Cuts that are bought as a whole or not at all."""

import numpy as np
import pyomo.environ as pyo

from numerics.arrays import BoolArray
from optimizer.exact.balances import Balances, Variables
from optimizer.problem.problem import Contracts


class ContractsBlock:
    """``y_c`` 0 or 1 takes ``cut_ct`` off the net load of its node and costs ``price_c``."""

    def __init__(self, model: pyo.ConcreteModel, contracts: Contracts, balances: Balances) -> None:
        model.contracts = block = pyo.Block()
        count = len(contracts)
        self._bought = Variables.on(block, "bought", np.zeros(count), np.ones(count), integral=True)
        row, step = np.nonzero(contracts.cut_kw)
        balances.load(contracts.node[row], step, -contracts.cut_kw[row, step], self._bought.take(row))
        balances.price(contracts.price_cny, self._bought)

    def bought(self) -> BoolArray:
        """Return the contracts bought, shape ``(c,)``."""
        return self._bought.values() > 0.5  # noqa: PLR2004 - a solver's 1 is within its tolerance of it
