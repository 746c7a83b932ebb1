"""What would have been, what was delivered, and how well."""

from dataclasses import dataclass, field
from datetime import datetime

from vpp.domain.request import BaselineMethod
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Net load that would have been, frozen once issued.

    Attributes:
        grid: The steps, over the event and the rebound watch.
        power_kw: Of every resource in the portfolio, shape ``(n_resources, count)``; 0 in rows outside it.
        methods: Method used per resource class.
        reference_days: ISO dates that were averaged.
        excluded_days: ISO date and the reason it was left out.
        adjustment_ratio: Same-day adjustment per resource class.
        input_sha256: Hash of everything that went in, so that it can be recomputed in a dispute.
        notes: Resource class and why some of its rows got another method than the one asked for.
        excluded_ids: Resources that were not enlisted; they are neither commanded nor measured nor paid.
        excluded_why: How many of them for which reason, in words.
    """

    grid: TimeGrid
    power_kw: FloatArray
    methods: dict[str, BaselineMethod]
    reference_days: tuple[str, ...]
    excluded_days: tuple[tuple[str, str], ...]
    adjustment_ratio: dict[str, float]
    input_sha256: str
    notes: tuple[tuple[str, str], ...] = ()
    excluded_ids: tuple[str, ...] = ()
    excluded_why: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalResult:
    """One 15-minute interval of the event; mean powers.

    Attributes:
        delivered_kw: Change of net load in the direction asked, from meters only.
        accuracy_ratio: ``1 - |delivered - target| / target``, NaN outside the hold.
        good_ratio: Share of metered power that was good, by sample count.
        held_ratio: Share of the interval that lies in the hold; NaN in measurements of before it was kept.
        held_kw: Mean delivered in that part, from which accuracy and settlement follow; NaN outside the hold.
        metered_ratio: Share of the counted devices' time that was metered; the rest counts at its baseline.
    """

    start_at: datetime
    phase: str
    target_kw: float
    baseline_kw: float
    measured_kw: float
    delivered_kw: float
    accuracy_ratio: float
    good_ratio: float
    held_ratio: float = float("nan")
    held_kw: float = float("nan")
    metered_ratio: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmetered:
    """A device of which too little was metered in some intervals of a request: it is credited nothing there.

    Attributes:
        starts_at: Start of each of these intervals.
    """

    resource_id: str
    starts_at: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Measurement and verification of one request.

    Attributes:
        accuracy_ratio: Mean over the hold's intervals of each interval's accuracy.
        worst_interval_accuracy_ratio: The least of them.
        delivered_mean_kw: Mean delivered power over the hold.
        energy_kwh: Delivered energy over the hold.
        ramp_minutes: From the ramp's begin until 90 % of the target was first reached, NaN if never.
        rebound_peak_kw: Greatest interval mean above baseline after the hold, at least 0.
        rebound_energy_kwh: Energy above baseline after the hold.
        spread_kw: Mean delivered power by each baseline method that could be computed.
        settlement_cny: Lines of the settlement: name to amount.
        settlement_rule: Name and version of the bands that were applied; empty where none were.
        overshoot_kw: Greatest interval mean above target while ramping or holding, at least 0.
        hit_ratio: Share of the hold within the request's tolerance.
        class_delivered_kw: Mean delivered power over the hold by resource class.
        quality_ratio: Share of the samples by quality: good, stale, substituted, bad.
        unmetered: Devices with missing intervals while ramping or holding, those that miss most first; the first few
            hundred.
        unmetered_count: How many such devices there are.
        regulation: Of a request for regulation, total and parts of every rule's score by its name; accuracies are then
            one less the distance in units of the accepted power.
    """

    request_id: str
    issued_at: datetime
    intervals: tuple[IntervalResult, ...]
    accuracy_ratio: float
    worst_interval_accuracy_ratio: float
    delivered_mean_kw: float
    energy_kwh: float
    ramp_minutes: float
    rebound_peak_kw: float
    rebound_energy_kwh: float
    good_ratio: float
    baseline: Baseline
    spread_kw: dict[str, float] = field(default_factory=dict)
    settlement_cny: dict[str, float] = field(default_factory=dict)
    settlement_rule: str = ""
    overshoot_kw: float = float("nan")
    hit_ratio: float = float("nan")
    class_delivered_kw: dict[str, float] = field(default_factory=dict)
    quality_ratio: dict[str, float] = field(default_factory=dict)
    unmetered: tuple[Unmetered, ...] = ()
    unmetered_count: int = 0
    regulation: dict[str, dict[str, float]] = field(default_factory=dict)
