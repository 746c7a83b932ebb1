"""Checks that name the field, what it held and what it should hold."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class ProblemError(ValueError):
    """A field of a problem or an option of the solver makes no sense.

    Args:
        field: Its dotted name, e.g. ``"charging.need_kwh"``.
        value: What it held.
        accepted: What it should hold, as the end of the sentence "expected ...".
    """

    def __init__(self, field: str, value: object, accepted: str) -> None:
        super().__init__(f"{field}: expected {accepted}, got {value}")
        self.field = field
        self.value = value
        self.accepted = accepted


def shaped(field: str, array: npt.NDArray[np.generic], shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    """Return ``array`` if it has ``shape``; raise ProblemError otherwise."""
    if array.shape != shape:
        raise ProblemError(field, f"shape {array.shape}", f"shape {shape}")
    return array


def finite(field: str, array: npt.ArrayLike) -> None:
    """Raise ProblemError if any number is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(np.asarray(array, dtype=np.float64)))
    if bad.size:
        raise ProblemError(field, f"{bad.size} NaN or infinite, first at flat position {bad[0]}", "finite numbers")


def at_least(field: str, array: npt.ArrayLike, least: npt.ArrayLike) -> None:
    """Raise ProblemError where ``array < least`` or unknown."""
    values, bound = np.broadcast_arrays(np.asarray(array, dtype=np.float64), np.asarray(least, dtype=np.float64))
    bad = np.flatnonzero(~(values >= bound))
    if bad.size:
        raise ProblemError(field, f"{values.flat[bad[0]]} at flat position {bad[0]}", f"at least {bound.flat[bad[0]]}")


def at_most(field: str, array: npt.ArrayLike, most: npt.ArrayLike) -> None:
    """Raise ProblemError where ``array > most`` or unknown."""
    values, bound = np.broadcast_arrays(np.asarray(array, dtype=np.float64), np.asarray(most, dtype=np.float64))
    bad = np.flatnonzero(~(values <= bound))
    if bad.size:
        raise ProblemError(field, f"{values.flat[bad[0]]} at flat position {bad[0]}", f"at most {bound.flat[bad[0]]}")


def within(field: str, array: npt.ArrayLike, least: float, most: float) -> None:
    """Raise ProblemError where ``array`` leaves ``[least, most]`` or is unknown."""
    at_least(field, array, least)
    at_most(field, array, most)


def tree(field: str, parent: IntArray) -> None:
    """Raise ProblemError unless ``parent`` describes a forest: every walk upwards ends at a root."""
    within(field, parent, -1, len(parent) - 1)
    above = parent.copy()
    for _ in range(len(parent)):
        above = np.where(above >= 0, parent[above], -1)
    if (above >= 0).any():
        raise ProblemError(field, f"a cycle through node {int(np.flatnonzero(above >= 0)[0])}", "a tree")
