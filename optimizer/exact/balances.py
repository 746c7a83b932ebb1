"""Balances of the exact model: load on transformers and cost, entered by blocks, closed by network and market."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import FloatArray, IntArray

Bounds = tuple[float, float]


@dataclass(slots=True)
class Account:
    """A sum of terms and a constant, with the interval it can lie in."""

    constant: float = 0.0
    coefficients: list[float] = field(default_factory=list)
    variables: list[Any] = field(default_factory=list)
    low: float = 0.0
    high: float = 0.0

    def add(self, coefficient: float, variable: object, low: float, high: float) -> None:
        """Add ``coefficient * variable``; ``low`` and ``high`` bound the variable."""
        self.coefficients.append(coefficient)
        self.variables.append(variable)
        ends = (coefficient * low, coefficient * high)
        self.low += min(ends)
        self.high += max(ends)

    def shift(self, amount: float) -> None:
        """Add a constant."""
        self.constant += amount
        self.low += amount
        self.high += amount

    def take(self, other: "Account") -> None:
        """Add all of another account's terms."""
        self.coefficients += other.coefficients
        self.variables += other.variables
        self.constant += other.constant
        self.low += other.low
        self.high += other.high

    def expression(self) -> LinearExpression:
        """Return the terms without the constant."""
        return LinearExpression(linear_coefs=self.coefficients, linear_vars=self.variables)


class Balances:
    """One account for every transformer and step, and the cost.

    Attributes:
        node: Net load of each transformer itself, and later of all below it, by step.
        moved: Net load of charging and storing, by step; kept where regulation is sold.
        solar: Solar power used, by step; kept where regulation is sold.

    Args:
        base_kw: What is there already, shape ``(m, T)``.
    """

    def __init__(self, base_kw: FloatArray) -> None:
        self.node = [[Account() for _ in row] for row in base_kw]
        self.moved = [Account() for _ in range(base_kw.shape[1])]
        self.solar = [Account() for _ in range(base_kw.shape[1])]
        self.cost = Account()
        for row, values in zip(self.node, base_kw.tolist(), strict=True):
            for account, value in zip(row, values, strict=True):
                account.shift(value)

    def load(self, nodes: IntArray, steps: IntArray, coefficient: FloatArray | float, variables: "Variables") -> None:
        """Enter ``coefficient * variable`` at ``(node, step)`` for every variable, shapes ``(cells,)``."""
        low, high = variables.low.tolist(), variables.high.tolist()
        weights = np.broadcast_to(coefficient, steps.shape).tolist()
        for i, (node, step) in enumerate(zip(nodes.tolist(), steps.tolist(), strict=True)):
            self.node[node][step].add(weights[i], variables.data[i], low[i], high[i])

    def move(self, steps: IntArray, coefficient: float, variables: "Variables") -> None:
        """Enter ``coefficient * variable`` into what charging and storing move, shapes ``(cells,)``."""
        _enter(self.moved, steps, coefficient, variables)

    def shine(self, steps: IntArray, curtailed: "Variables", available_kw: FloatArray) -> None:
        """Enter what the sun gives, shape ``(T,)``, less what is curtailed, shape ``(cells,)``."""
        for account, amount in zip(self.solar, available_kw.tolist(), strict=True):
            account.shift(amount)
        _enter(self.solar, steps, -1.0, curtailed)

    def base(self, nodes: IntArray, power_kw: FloatArray) -> None:
        """Enter fixed power, shape ``(n, T)``, at ``nodes``, shape ``(n,)``."""
        for node, values in zip(nodes.tolist(), power_kw.tolist(), strict=True):
            for account, value in zip(self.node[node], values, strict=True):
                account.shift(value)

    def price(self, prices: FloatArray, variables: "Variables") -> None:
        """Add ``price * variable`` to the cost, shape ``(cells,)``."""
        self.cost.coefficients += prices.tolist()
        self.cost.variables += variables.data


def _enter(accounts: list[Account], steps: IntArray, coefficient: float, variables: "Variables") -> None:
    low, high = variables.low.tolist(), variables.high.tolist()
    for i, step in enumerate(steps.tolist()):
        accounts[step].add(coefficient, variables.data[i], low[i], high[i])


@dataclass(slots=True)
class Variables:
    """A flat family of bounded variables.

    Attributes:
        data: The Pyomo variables in order.
        low: Lower bounds, finite, shape ``(cells,)``.
        high: Upper bounds, finite, shape ``(cells,)``.
    """

    data: list[Any]
    low: FloatArray
    high: FloatArray

    @classmethod
    def on(
        cls, block: pyo.Block, name: str, low: FloatArray, high: FloatArray, *, integral: bool = False
    ) -> "Variables":
        """Add variables called ``name`` to ``block``, one for each element of the bounds."""
        pairs: list[Bounds] = list(zip(low.tolist(), high.tolist(), strict=True))
        domain = pyo.Integers if integral else pyo.Reals
        family = pyo.Var(range(len(pairs)), bounds=lambda _, i: pairs[i], domain=domain)
        block.add_component(name, family)
        return cls(list(family.values()), low, high)

    def take(self, places: IntArray) -> "Variables":
        """Return the variables at ``places``, which may repeat, shape ``(cells,)``."""
        return Variables([self.data[i] for i in places.tolist()], self.low[places], self.high[places])

    def values(self) -> FloatArray:
        """Return the solved values, shape ``(cells,)``."""
        return np.array([variable.value for variable in self.data], dtype=np.float64)


Row = tuple[float | None, LinearExpression, float | None]


def constrain(block: pyo.Block, name: str, rows: list[Row]) -> None:
    """Add constraints ``low <= expression <= high`` called ``name`` to ``block``."""
    block.add_component(name, pyo.Constraint(range(len(rows)), rule=lambda _, i: rows[i]))


@dataclass(slots=True)
class Cells:
    """The steps inside each device's window, flattened device by device.

    Attributes:
        owner: Device of each cell, shape ``(cells,)``.
        step: Step of each cell, shape ``(cells,)``.
        first: Position of each device's first cell, shape ``(n,)``.
        length: Number of cells of each device, shape ``(n,)``.
    """

    owner: IntArray
    step: IntArray
    first: IntArray
    length: IntArray

    @classmethod
    def of(cls, arrive: IntArray, depart: IntArray) -> "Cells":
        """Return the cells of windows ``[arrive, depart)``."""
        length = (depart - arrive).astype(np.int64)
        first = np.cumsum(length) - length
        owner = np.repeat(np.arange(len(length)), length)
        step = np.arange(int(length.sum())) - first[owner] + arrive[owner]
        return cls(owner, step, first, length)

    def spread(self, values: FloatArray, shape: tuple[int, int]) -> FloatArray:
        """Return ``values`` per cell as an array ``(n, T)``, 0 outside the windows."""
        grid = np.zeros(shape)
        grid[self.owner, self.step] = values
        return grid
