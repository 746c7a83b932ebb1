"""Flexibility: the envelope that is open now, and the 96-point capability record (GB/T 44260-2024)."""

from dataclasses import dataclass

from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Flexibility:
    """Power and energy that every resource can still be moved by now, from its present power.

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
class Sustained:
    """Power available for one length of hold, kW, positive in both directions; chances as in a quote; ``(count,)``.

    Attributes:
        minutes: Length of the hold, from each step's begin.
        p10_kw: With nine chances in ten at least this much, the loss of a whole operator or protocol included.
        p50_kw: With even chances at least this much.
        p90_kw: With one chance in ten at least this much.
        without_largest_kw: Even-chance power when the operator that carries most is away altogether.
        ramp_kw_per_min: Rate at which it is reached.
    """

    minutes: float
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    without_largest_kw: FloatArray
    ramp_kw_per_min: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Power of an area and direction that events have shown.

    Attributes:
        kw: The power, 0 before any event and once all are too old.
        at_s: Epoch seconds of the last event, NaN where none is known.
    """

    kw: float = 0.0
    at_s: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Declaration of one area and one direction (GB/T 44260-2024 capability record).

    The four capacities never mix: connected is nameplate, declared is what may be declared, verified was measured in a
    test or an event, available can be had in that step; kW, positive in both directions. Shapes ``(count,)``.

    Attributes:
        declared_kw: Contracted power, at most the verified one; before any test the contracted power alone, with
            ``tested`` false.
        verified_kw: Power that drills and calls have shown, as far as it still holds; 0 before any.
        available_kw: Expected power that can be held for ``sustain_minutes``.
        contracted_kw: Contracted power, whatever was verified; ``None`` where it was not asked for.
        tested: ``verified_kw`` was measured.
        sustained: The same steps for several lengths of hold, the shortest first.
        verified_at_s: Epoch seconds of the last drill or call that showed something, NaN where none is known.
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
    contracted_kw: FloatArray | None = None
    tested: bool = False
    sustained: tuple[Sustained, ...] = ()
    verified_at_s: float = float("nan")
