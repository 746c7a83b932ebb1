"""What could be moved: the open envelope of the fleet and its 96-point declaration."""

from dataclasses import dataclass

from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Flexibility:
    """Power still open on every resource now.

    Attributes:
        up_kw: How far net load can be cut, at least 0, shape ``(n_resources,)``.
        down_kw: How far net load can be raised, at least 0, shape ``(n_resources,)``.
        up_kwh: Energy that can be cut before the resource must return, shape ``(n_resources,)``.
        down_kwh: Energy that can be added, shape ``(n_resources,)``.
    """

    up_kw: FloatArray
    down_kw: FloatArray
    up_kwh: FloatArray
    down_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Declaration of one area and one direction (GB/T 44260-2024 capability record).

    The four capacities never mix: connected is nameplate, declared is contracted, verified was measured in a test or
    an event, available is what can be had in that step. Shapes ``(count,)``.
    """

    area_id: str
    direction: str
    grid: TimeGrid
    connected_kw: FloatArray
    declared_kw: FloatArray
    verified_kw: FloatArray
    available_kw: FloatArray
    ramp_kw_per_min: FloatArray
    sustain_minutes: FloatArray
