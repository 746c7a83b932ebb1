"""Standing of a regulation request while its signal is followed."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from vpp.domain.resource import CHARGING, ResourceClass
from vpp.domain.telemetry import FloatArray

FOLLOWING = (*CHARGING, ResourceClass.STORAGE)
"""Classes that follow a signal of seconds; photovoltaics, buildings and plants are not moved every few seconds."""


@dataclass(frozen=True, slots=True)
class MeteredLoad:
    """Net load of a request's rows at some instants, rising, known once all of them were read; shape ``(k,)`` each.

    Attributes:
        at_s: Epoch seconds.
        baseline_kw: Baseline then.
        measured_kw: Net load that the meters show.
    """

    at_s: FloatArray
    baseline_kw: FloatArray
    measured_kw: FloatArray

    def __len__(self) -> int:
        return len(self.at_s)


class Estimates(NamedTuple):
    """Estimated change of a request at some instants, rising, positive where net load falls; shape ``(k,)`` each.

    Attributes:
        time_s: Epoch seconds.
        signal_kw: Change asked.
        change_kw: Change estimated.
        spread_kw: Its standard error, which grows with the age of the readings.
    """

    time_s: FloatArray
    signal_kw: FloatArray
    change_kw: FloatArray
    spread_kw: FloatArray


def _no_estimates() -> Estimates:
    nothing = np.empty(0)
    return Estimates(nothing, nothing, nothing, nothing)


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
        response_kw: Change by the meters at each, as they had been read by then in the last minute or two, as they
            were read around it before, shape ``(k,)``.
        estimates: The change as estimated at every cycle since the service was started; never settled.
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
    estimates: Estimates = field(default_factory=_no_estimates)
