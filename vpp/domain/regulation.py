"""How a request for regulation stands while its signal is followed."""

from dataclasses import dataclass

from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import FloatArray

FOLLOWING = (*CHARGING, ResourceClass.STORAGE)
"""Classes that follow a signal of seconds; roofs, buildings and plants are not moved every few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulationStanding:
    """What was asked last and what came of it; changes are positive where net load falls, NaN before the first tick.

    Attributes:
        capacity_kw: Power reserved in each direction.
        signal_at_s: Epoch seconds of the last value taken, NaN for none.
        asked_kw: Change that is due now.
        told_kw: Change that was told.
        up_kw: Further fall that could be told now.
        down_kw: Further rise that could be told now.
        time_s: Instants of the past that is kept, epoch seconds, shape ``(k,)``.
        signal_kw: What was asked at each, shape ``(k,)``.
        response_kw: What the meters showed, shape ``(k,)``.
    """

    request_id: str
    capacity_kw: float
    signal_at_s: float
    asked_kw: float
    told_kw: float
    up_kw: float
    down_kw: float
    time_s: FloatArray
    signal_kw: FloatArray
    response_kw: FloatArray
