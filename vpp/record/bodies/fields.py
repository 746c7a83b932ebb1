"""Fields of a body: each checked as it is read; what is missing or of another type is named with what is accepted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import AuditError

_SHOWN = 60
"""Characters of a value that are shown."""
_MISSING = object()


class BodyError(AuditError):
    """A body that does not hold what its kind says."""


class Fields:
    """Fields of a body or of a part of one.

    Args:
        body: The body, as it was read.
        where: Its place, as errors name it, e.g. ``"request.transition"``.

    Raises:
        BodyError: It is no object.
    """

    def __init__(self, body: object, where: str) -> None:
        if not isinstance(body, Mapping):
            raise refused(where, body, "an object")
        self._body: Mapping[str, Any] = body
        self.where = where

    def __contains__(self, name: str) -> bool:
        return name in self._body

    def any(self, name: str, default: object = _MISSING) -> Any:  # noqa: ANN401 - whatever the body holds
        """Return a field as it is; ``default`` where it is missing, if one is given."""
        value = self._body.get(name, default)
        if value is _MISSING:
            raise BodyError(f"{self.where}.{name} is missing")
        return value

    def text(self, name: str, default: object = _MISSING) -> str:
        """Return a text."""
        value = self.any(name, default)
        if not isinstance(value, str):
            raise refused(f"{self.where}.{name}", value, "a text")
        return value

    def integer(self, name: str, default: object = _MISSING) -> int:
        """Return a whole number."""
        value = self.any(name, default)
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise refused(f"{self.where}.{name}", value, "a whole number")
        return int(value)

    def number(self, name: str, default: object = _MISSING) -> float:
        """Return a number; one that is unknown is NaN, and ``null`` in a body."""
        return number_of(self.any(name, default), f"{self.where}.{name}")

    def sequence(self, name: str, default: object = _MISSING) -> Sequence[Any]:
        """Return a list, or an array as one."""
        value = self.any(name, default)
        if isinstance(value, np.ndarray):
            return list(value.tolist())
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise refused(f"{self.where}.{name}", value, "a list")
        return value

    def array(self, name: str, dtype: npt.DTypeLike, default: object = _MISSING) -> npt.NDArray[Any]:
        """Return an array of one dimension, from an array or a list of numbers."""
        value = self.any(name, default)
        try:
            array = np.asarray(value)
            if array.ndim != 1 or (len(array) and not np.issubdtype(array.dtype, np.number)):
                raise TypeError  # noqa: TRY301 - said below
            return array.astype(dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise refused(f"{self.where}.{name}", value, "a list of numbers") from error

    def part(self, name: str) -> "Fields":
        """Return a part that is an object."""
        return Fields(self.any(name), f"{self.where}.{name}")

    def parts(self, name: str) -> "list[Fields]":
        """Return the parts of a list of objects."""
        return [Fields(one, f"{self.where}.{name}[{place}]") for place, one in enumerate(self.sequence(name))]


def number_of(value: object, where: str) -> float:
    """Return a number of a body, ``null`` as NaN; raises BodyError."""
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise refused(where, value, "a number, or null where it is unknown")
    return float(value)


def refused(where: str, value: object, accepted: str) -> BodyError:
    """Return the error that names a place, its value and what is accepted there."""
    shown = repr(value)
    return BodyError(f"{where} is {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}; accepted is {accepted}")
