"""Grades of rows by how well they follow a signal of seconds: by how often their meters are read."""

import numpy as np

from vpp.domain.telemetry import CodeArray, FloatArray

PROMPT_S, USUAL_S = 20.0, 45.0
"""Longest periods between two readings of the first grade, and of the second."""


def grades(period_s: FloatArray) -> CodeArray:
    """Return the grade of every row, 0 for the best, shape ``(n_resources,)``.

    Args:
        period_s: Time between two readings, seconds; NaN where nothing is known, which is taken for the best.
    """
    return np.searchsorted([PROMPT_S, USUAL_S], np.nan_to_num(period_s)).astype(np.uint8)


def chosen_grade(
    grade: CodeArray, cut_kw: FloatArray, raise_kw: FloatArray, *, need_kw: float, at_least: int = 0
) -> int:
    """Return the highest grade whose rows are moved: the lowest up to which there is enough in both directions.

    Where all rows together are not enough, it is the highest that adds anything.

    Args:
        grade: Of every row, shape ``(n_resources,)``.
        cut_kw: How far each can fall from its base, 0 where it takes no part, likewise.
        raise_kw: How far each can rise, likewise.
        need_kw: Power that is needed in each direction.
        at_least: Grade that is chosen at least.
    """
    count = max(int(grade.max(initial=0)), at_least) + 1
    cut, rise = (np.cumsum(np.bincount(grade, weights=kw, minlength=count)) for kw in (cut_kw, raise_kw))
    short = (cut < need_kw) | (rise < need_kw)
    adds = np.append((np.diff(cut) > 0.0) & (cut[:-1] < need_kw), False)
    adds[:-1] |= (np.diff(rise) > 0.0) & (rise[:-1] < need_kw)
    chosen = at_least
    for each in range(at_least, count - 1):
        if not short[each]:
            break
        if adds[each]:
            chosen = each + 1
    return chosen
