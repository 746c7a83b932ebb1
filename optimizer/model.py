"""The Pyomo model, put together from blocks."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyomo.environ as pyo

from optimizer.blocks.charging import ChargingBlock
from optimizer.blocks.flexible import FlexibleBlock
from optimizer.blocks.market import MarketBlock
from optimizer.blocks.solar import SolarBlock
from optimizer.blocks.storing import StoringBlock
from optimizer.blocks.transformers import TransformerBlock
from optimizer.ledger import Ledger
from optimizer.problem import Problem
from optimizer.validation import FloatArray


class DeviceBlock(Protocol):
    """A block whose result is the power of its devices."""

    def power_kw(self) -> FloatArray:
        """Return the solved net power, shape ``(n, T)``."""
        ...


@dataclass(frozen=True, slots=True)
class PlanModel:
    """A Pyomo model with the blocks that can read its result."""

    pyomo: pyo.ConcreteModel
    devices: tuple[DeviceBlock, ...]

    def power_kw(self) -> FloatArray:
        """Return the solved net power in device order, shape ``(n, T)``."""
        return np.concatenate([block.power_kw() for block in self.devices])


def build(problem: Problem) -> PlanModel:
    """Return the model of ``problem``: devices enter the ledger, the tree sums them, the market prices the total."""
    model = pyo.ConcreteModel()
    ledger = Ledger(problem.network.base_kw)
    devices = (
        ChargingBlock(model, problem, ledger),
        StoringBlock(model, problem, ledger),
        SolarBlock(model, problem, ledger),
        FlexibleBlock(model, problem, ledger),
    )
    network = TransformerBlock(model, problem, ledger)
    MarketBlock(model, problem, ledger, network.total)
    model.cost_cny = pyo.Objective(expr=ledger.cost.expression())
    return PlanModel(model, devices)
