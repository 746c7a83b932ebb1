"""A linear Pyomo model as sparse arrays, the form HiGHS takes in one call and a proof can be computed from.

Pyomo's own interfaces hand rows over one expression at a time through a general walker; every body here is already a
list of coefficients and variables, so reading them directly is several times faster and leaves the arrays for the
certificate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from numerics.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearProgram:
    """``min cost @ x`` with ``row_low <= A x <= row_high``, ``low <= x <= high``; A by rows.

    Attributes:
        columns: The Pyomo variable of each column.
        rows: The Pyomo constraint of each row.
        start: Position of each row's first entry, and the end, shape ``(rows + 1,)``.
        column: Column of each entry, shape ``(entries,)``.
        value: Coefficient of each entry, shape ``(entries,)``.
        integral: Columns that take whole numbers only, shape ``(columns,)``.
    """

    columns: list[Any]
    rows: list[Any]
    cost: FloatArray
    low: FloatArray
    high: FloatArray
    row_low: FloatArray
    row_high: FloatArray
    start: IntArray
    column: IntArray
    value: FloatArray
    integral: BoolArray

    def transposed_times(self, row_weight: FloatArray) -> FloatArray:
        """Return ``A' y``, shape ``(columns,)``."""
        rows = np.repeat(np.arange(len(self.row_low)), np.diff(self.start))
        weighted = np.bincount(self.column, self.value * row_weight[rows], minlength=len(self.cost))
        return weighted.astype(np.float64)

    def duals_of(self, constraint: pyo.Constraint, row_dual: FloatArray) -> FloatArray:
        """Return the dual values of the members of ``constraint``, in order."""
        wanted = {id(row): i for i, row in enumerate(constraint.values())}
        found = np.zeros(len(wanted))
        for row, value in zip(self.rows, row_dual.tolist(), strict=True):
            if id(row) in wanted:
                found[wanted[id(row)]] = value
        return found

    def load(self, values: FloatArray) -> None:
        """Give every Pyomo variable its value."""
        for variable, value in zip(self.columns, values.tolist(), strict=True):
            variable.set_value(value, skip_validation=True)


def linear_program(model: pyo.ConcreteModel) -> LinearProgram:
    """Return the arrays of ``model``, whose bodies are all ``LinearExpression`` and whose variables are all bounded.

    Raises:
        TypeError: A body is of another kind.
    """
    columns = list(model.component_data_objects(pyo.Var))
    position = {id(variable): j for j, variable in enumerate(columns)}
    bounds = np.array([variable.bounds for variable in columns], dtype=np.float64).reshape(-1, 2)
    cost = np.zeros(len(columns))
    objective = next(model.component_data_objects(pyo.Objective))
    coefficients, members = _terms(objective.expr)
    np.add.at(cost, [position[id(v)] for v in members], coefficients)
    start, column, value, row_low, row_high = [0], [], [], [], []
    rows = list(model.component_data_objects(pyo.Constraint))
    for row in rows:
        lower, body, upper = row.to_bounded_expression()
        coefficients, members = _terms(body)
        column += [position[id(v)] for v in members]
        value += coefficients
        start.append(len(column))
        row_low.append(-np.inf if lower is None else lower)
        row_high.append(np.inf if upper is None else upper)
    return LinearProgram(
        columns=columns,
        rows=rows,
        cost=cost,
        low=bounds[:, 0].copy(),
        high=bounds[:, 1].copy(),
        row_low=np.array(row_low, dtype=np.float64),
        row_high=np.array(row_high, dtype=np.float64),
        start=np.array(start, dtype=np.int64),
        column=np.array(column, dtype=np.int64),
        value=np.array(value, dtype=np.float64),
        integral=np.array([not variable.is_continuous() for variable in columns], dtype=np.bool_),
    )


def _terms(body: object) -> tuple[list[float], list[Any]]:
    if not isinstance(body, LinearExpression):
        raise TypeError(f"expected a LinearExpression, got {type(body).__name__}")
    return body.linear_coefs, body.linear_vars
