"""Checks that name the field, what it held and what it should hold."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
PowerArray = npt.NDArray[np.floating]
"""Schedules of a city may be of single precision."""

Array = npt.NDArray[np.generic]


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


def shaped(field: str, array: Array, shape: tuple[int, ...]) -> Array:
    """Return ``array`` if it is an array of numbers with ``shape``; raise ProblemError otherwise."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        held = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ProblemError(field, held, "an array of numbers")
    if array.shape != shape:
        raise ProblemError(field, f"shape {array.shape}", f"shape {shape}")
    return array


def whole(field: str, array: Array, shape: tuple[int, ...]) -> Array:
    """Return ``array`` if it holds integers in ``shape``; raise ProblemError otherwise."""
    if shaped(field, array, shape).dtype.kind not in "iu":
        raise ProblemError(field, f"an array of {array.dtype}", "an array of integers")
    return array


def finite(field: str, array: npt.ArrayLike) -> None:
    """Raise ProblemError if any number is NaN or infinite."""
    known = np.isfinite(_numbers(field, array))
    if not known.all():
        bad = np.flatnonzero(~known)
        raise ProblemError(field, f"{bad.size} NaN or infinite, first at flat position {bad[0]}", "finite numbers")


def known(field: str, array: npt.ArrayLike) -> None:
    """Raise ProblemError if any number is NaN; infinities pass."""
    bad = np.flatnonzero(np.isnan(_numbers(field, array)))
    if bad.size:
        raise ProblemError(field, f"{bad.size} NaN, first at flat position {bad[0]}", "numbers or infinities")


def at_least(field: str, array: npt.ArrayLike, least: npt.ArrayLike) -> None:
    """Raise ProblemError where ``array < least`` or unknown."""
    values, bound = np.broadcast_arrays(_numbers(field, array), np.asarray(least))
    right = values >= bound
    if not right.all():
        bad = np.flatnonzero(~right)
        raise ProblemError(field, f"{values.flat[bad[0]]} at flat position {bad[0]}", f"at least {bound.flat[bad[0]]}")


def at_most(field: str, array: npt.ArrayLike, most: npt.ArrayLike) -> None:
    """Raise ProblemError where ``array > most`` or unknown."""
    values, bound = np.broadcast_arrays(_numbers(field, array), np.asarray(most))
    right = values <= bound
    if not right.all():
        bad = np.flatnonzero(~right)
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
        if not (above >= 0).any():
            return
        above = np.where(above >= 0, parent[above], -1)
    if (above >= 0).any():
        raise ProblemError(field, f"a cycle through node {int(np.flatnonzero(above >= 0)[0])}", "a tree")


def _numbers(field: str, array: npt.ArrayLike) -> Array:
    """Return ``array`` as it is if it holds numbers, so that a city of them is not copied to be looked at."""
    values: Array = np.asarray(array)
    if values.dtype.kind not in "fiub":
        raise ProblemError(field, f"{values.dtype} data", "numbers")
    return values
