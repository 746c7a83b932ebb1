"""HiGHS as this package uses it: options that are read back, programs that go in as arrays."""

from collections.abc import Mapping

import highspy
import numpy as np

from numerics.arrays import FloatArray
from optimizer.exact.matrix import LinearProgram
from optimizer.problem.validation import ProblemError

Option = bool | int | float | str
OPTIONS: Mapping[str, Option] = {
    "output_flag": False,
    "log_to_console": False,
    "threads": 1,
    "solver": "choose",
    "mip_rel_gap": 1e-6,
}


def configured(options: Mapping[str, Option]) -> highspy.Highs:
    """Return a solver whose options are read back, because HiGHS only logs those it does not know.

    Raises:
        ProblemError: Names the option.
    """
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy ships no annotations
    highs.setOptionValue("output_flag", False)  # noqa: FBT003 - the solver's own signature
    for name, value in options.items():
        status = highs.setOptionValue(name, value)
        if status != highspy.HighsStatus.kOk:
            raise ProblemError(f"option {name}", value, "an option and value that HiGHS knows")
        _, held = highs.getOptionValue(name)
        if held != value:
            raise ProblemError(f"option {name}", held, f"{value} to be read back")
    return highs


def highs_lp(program: LinearProgram, *, relaxed: bool = False) -> highspy.HighsLp:
    """Return ``program`` as HiGHS takes it; ``relaxed`` lets whole numbers be any."""
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(program.cost), len(program.row_low)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, program.low, program.high
    lp.row_lower_, lp.row_upper_ = program.row_low, program.row_high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = program.start, program.column, program.value
    if program.integral.any() and not relaxed:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[whole] for whole in program.integral.astype(int).tolist()]
    return lp


def optimal(highs: highspy.Highs) -> bool:
    """Return whether the last run ended with an optimum."""
    return bool(highs.getModelStatus() == highspy.HighsModelStatus.kOptimal)


def feasible(highs: highspy.Highs) -> bool:
    """Return whether the last run left a feasible point."""
    return bool(highs.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible)


def point(highs: highspy.Highs, program: LinearProgram) -> FloatArray:
    """Return the point found, within its bounds and whole where it has to be, shape ``(columns,)``."""
    values: FloatArray = np.clip(np.asarray(highs.getSolution().col_value), program.low, program.high)
    return np.where(program.integral, np.round(values), values)


def row_dual(highs: highspy.Highs, program: LinearProgram) -> FloatArray:
    """Return the dual values of the rows, 0 where the run left none, shape ``(rows,)``."""
    values = highs.getSolution()
    return np.asarray(values.row_dual) if values.dual_valid else np.zeros(len(program.row_low))
