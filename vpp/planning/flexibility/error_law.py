"""Law of the error of a deliverable power: quantiles in standard deviations from the expected power."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vpp.domain.request import Direction
from vpp.domain.telemetry import FloatArray

Z10 = 1.2815515655446004
"""The normal distribution's 90 % point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLaw:
    """Distance of three quantiles from the expected power, in standard deviations; the normal law unless given.

    Attributes:
        z10: Of the power reached with nine chances in ten.
        z50: Of the power reached with even chances.
        z90: Of the power reached with one chance in ten.
    """

    z10: float = -Z10
    z50: float = 0.0
    z90: float = Z10

    def p10_kw(self, expected_kw: FloatArray, below_kw: FloatArray, above_kw: FloatArray) -> FloatArray:
        """Return what is reached with nine chances in ten, kW, shape as given.

        Args:
            expected_kw: Expected power.
            below_kw: Standard deviation that counts below it.
            above_kw: The one that counts above it.
        """
        return _moved_kw(self.z10, expected_kw, below_kw, above_kw)

    def p50_kw(self, expected_kw: FloatArray, below_kw: FloatArray, above_kw: FloatArray) -> FloatArray:
        """Return what is reached with even chances; arguments as ``p10_kw``."""
        return _moved_kw(self.z50, expected_kw, below_kw, above_kw)

    def p90_kw(self, expected_kw: FloatArray, below_kw: FloatArray, above_kw: FloatArray) -> FloatArray:
        """Return what is reached with one chance in ten; arguments as ``p10_kw``."""
        return _moved_kw(self.z90, expected_kw, below_kw, above_kw)


NORMAL = ErrorLaw()
"""The law before anything was measured."""


class ErrorLaws(Protocol):
    """Error laws by what a quote is for."""

    def law(self, area: str, direction: Direction, *, start_s: float, now_s: float) -> ErrorLaw:
        """Return the law of a window of ``area`` that begins at ``start_s`` and is quoted at ``now_s``, epoch s."""
        ...


class NormalLaws:
    """The normal law for everything."""

    def law(self, area: str, direction: Direction, *, start_s: float, now_s: float) -> ErrorLaw:  # noqa: ARG002 - a port
        """Return the normal law."""
        return NORMAL


def _moved_kw(z: float, expected_kw: FloatArray, below_kw: FloatArray, above_kw: FloatArray) -> FloatArray:
    """Return the power ``z`` standard deviations from the expected one, kW, shape as given."""
    if z == 0.0:
        return expected_kw
    return np.asarray(expected_kw + z * (below_kw if z < 0.0 else above_kw))
