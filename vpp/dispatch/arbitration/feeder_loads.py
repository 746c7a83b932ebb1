"""Loads of the transformers in one cycle: as known, and the most and the least they may be."""

from typing import NamedTuple

from vpp.domain.telemetry import FloatArray


class FeederLoads(NamedTuple):
    """Net load of every transformer, load positive, shape ``(n_transformers,)`` each.

    Attributes:
        known_kw: By what the meters last showed that could be believed.
        most_kw: The most it may be once every setpoint has taken effect, against the limit of import.
        least_kw: The least, against the limit of export.
    """

    known_kw: FloatArray
    most_kw: FloatArray
    least_kw: FloatArray
