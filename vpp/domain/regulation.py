"""Standing of a regulation request while its signal is followed."""

from dataclasses import dataclass

from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import FloatArray

FOLLOWING = (*CHARGING, ResourceClass.STORAGE)
"""Classes that follow a signal of seconds; photovoltaics, buildings and plants are not moved every few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulationStanding:
    """Last value of the signal and the response to it; changes in kW, positive where net load falls, NaN before a tick.

    Attributes:
        capacity_kw: Power reserved in each direction.
        signal_at_s: Epoch seconds of the last value taken, NaN for none.
        asked_kw: Change that is due now.
        told_kw: Change that was commanded.
        up_kw: Further fall of net load that could be commanded now.
        down_kw: Further rise of net load that could be commanded now.
        time_s: Epoch seconds of the recent past, shape ``(k,)``.
        signal_kw: Change asked at each, shape ``(k,)``.
        response_kw: Change by the meters at each, shape ``(k,)``.
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
