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
class Sustained:
    """What can be had and held for one length of time; chances as in a quote. Shapes ``(count,)``.

    Attributes:
        minutes: How long it can be held, from each step's begin.
        p10_kw: With nine chances in ten at least this much, the loss of a whole operator or protocol included.
        p50_kw: With even chances at least this much.
        p90_kw: With one chance in ten at least this much.
        without_largest_kw: Even-chance power when the operator that carries most is away altogether.
        ramp_kw_per_min: How fast it can be reached.
    """

    minutes: float
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
    without_largest_kw: FloatArray
    ramp_kw_per_min: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Declaration of one area and one direction (GB/T 44260-2024 capability record).

    The four capacities never mix: connected is nameplate, declared is what may be declared, verified was measured in a
    test or an event, available is what can be had in that step. Shapes ``(count,)``.

    Attributes:
        declared_kw: What contracts say, never above what was verified; before any test what contracts say, and
            ``tested`` tells that nothing stands behind it yet.
        verified_kw: Greatest mean power measured so far, 0 before any.
        available_kw: Expected power that can be held for ``sustain_minutes``.
        contracted_kw: What contracts say, whatever was verified; NaN where it was not asked.
        tested: Whether ``verified_kw`` was measured.
        sustained: The same step seen for several lengths of hold, the shortest first.
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
