"""The Pyomo model, put together from blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyomo.environ as pyo

from numerics.arrays import BoolArray, FloatArray
from optimizer.exact.balances import Balances
from optimizer.exact.blocks.charging import ChargingBlock
from optimizer.exact.blocks.churn import Cell, ChurnBlock
from optimizer.exact.blocks.contracts import ContractsBlock
from optimizer.exact.blocks.flexible import FlexibleBlock
from optimizer.exact.blocks.market import MarketBlock
from optimizer.exact.blocks.regulation import RegulationBlock
from optimizer.exact.blocks.reserve import ReserveBlock
from optimizer.exact.blocks.solar import SolarBlock
from optimizer.exact.blocks.storing import StoringBlock
from optimizer.exact.blocks.transformers import TransformerBlock
from optimizer.problem.problem import Problem


class DeviceBlock(Protocol):
    """A block whose result is the power of its devices."""

    def power_kw(self) -> FloatArray:
        """Return the solved net power, shape ``(n, T)``."""
        ...

    def accounts(self) -> Iterator[Cell]:
        """Yield row within the block, step and power of every cell that the plan decides."""
        ...


@dataclass(frozen=True, slots=True)
class PlanModel:
    """A Pyomo model with the blocks that can read its result."""

    pyomo: pyo.ConcreteModel
    devices: tuple[DeviceBlock, ...]
    storing: StoringBlock
    contracts: ContractsBlock | None

    def power_kw(self) -> FloatArray:
        """Return the solved net power in device order, shape ``(n, T)``."""
        return np.concatenate([block.power_kw() for block in self.devices])

    def bought(self) -> BoolArray:
        """Return the contracts bought, shape ``(c,)``."""
        return np.zeros(0, dtype=np.bool_) if self.contracts is None else self.contracts.bought()


def build(problem: Problem) -> PlanModel:
    """Return the model of ``problem``: devices enter the balances, the tree sums them, the market prices the total."""
    model = pyo.ConcreteModel()
    balances = Balances(problem.network.base_kw)
    storing = StoringBlock(model, problem, balances)
    devices = (
        ChargingBlock(model, problem, balances),
        storing,
        SolarBlock(model, problem, balances),
        FlexibleBlock(model, problem, balances),
    )
    contracts = None if problem.contracts is None else ContractsBlock(model, problem.contracts, balances)
    if problem.regulation is not None:
        RegulationBlock(model, problem, problem.regulation, balances)
    if problem.reserve is not None:
        ReserveBlock(model, problem, problem.reserve, storing, balances)
    if problem.churn is not None:
        ChurnBlock(model, problem.churn, problem.step_h, _cells(problem, devices), balances)
    network = TransformerBlock(model, problem, balances)
    MarketBlock(model, problem, balances, network.total)
    model.cost_cny = pyo.Objective(expr=balances.cost.expression())
    return PlanModel(model, devices, storing, contracts)


def _cells(problem: Problem, devices: tuple[DeviceBlock, ...]) -> Iterator[Cell]:
    """Yield every cell with its row in device order."""
    for part, block in zip(problem.parts, devices, strict=True):
        for row, step, account in block.accounts():
            yield part.start + row, step, account
