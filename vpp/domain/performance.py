"""Baseline, delivery and accuracy: measurement and verification of one request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import numpy as np

from vpp.domain.request import BaselineMethod
from vpp.domain.resource import ResourceClass
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.domain.timegrid import TimeGrid

FEN_PER_CNY = 100
Numbers = TypeVar("Numbers", FloatArray, IdArray)


def _none() -> FloatArray:
    return np.zeros(0)


def _no_intervals() -> FloatArray:
    return np.zeros((0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Net load without the request, kW, load positive; frozen once issued (CBL, OpenADR BASELINE).

    Attributes:
        grid: The steps, over the event and the rebound watch.
        power_kw: Mean net power of every resource in the portfolio, shape ``(n_resources, count)``; 0 outside it.
        methods: Method used per resource class.
        reference_days: ISO dates that were averaged.
        excluded_days: ISO date of a day that was left out, and the reason.
        adjustment_ratio: Same-day adjustment per resource class.
        input_sha256: Hash of all inputs, so that it can be recomputed in a dispute.
        notes: Resource class, and the reason for which some of its rows got another method than the one asked for.
        excluded_ids: Resources that were not enlisted: neither commanded nor measured nor paid.
        excluded_why: Number of them by reason, in words.
        programme_sha256: Hash of the programme it was made by; empty in baselines older than programmes.
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
    programme_sha256: str = ""


_OWN = (
    BaselineMethod.SESSION,
    BaselineMethod.SESSION_COURSE,
    BaselineMethod.OWN_METER,
    BaselineMethod.ROOF_YIELD,
    BaselineMethod.STORED_SCHEDULE,
)


def own_metered(baseline: Baseline) -> tuple[ResourceClass, ...]:
    """Return the classes whose frozen baseline is replaced by what the rows' own meters say, row by row."""
    return tuple(cls for cls in ResourceClass if baseline.methods.get(cls.value) in _OWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalResult:
    """One 15-minute interval of the event; mean powers in kW.

    Attributes:
        baseline_kw: Net load without the request, load positive.
        measured_kw: Net load by the meters, load positive.
        delivered_kw: Change of net load in the direction asked, positive that way, from meters only.
        accuracy_ratio: ``1 - |delivered - target| / target``, NaN outside the hold.
        good_ratio: Share of metered power that was good, by sample count.
        held_ratio: Share of the interval that lies in the hold; NaN in measurements older than this field.
        held_kw: Mean delivered power in that part, the basis of accuracy and settlement; NaN outside the hold.
        metered_ratio: Share of the counted devices' time that was metered; the rest counts as its baseline.
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
    """A device that was metered too little in some intervals of a request, where it is credited nothing.

    Attributes:
        starts_at: Start of each of these intervals.
    """

    resource_id: str
    starts_at: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Parts of a request's delivery by site and operator, which add up to the total exactly.

    A site that changed hands in the event has a part under each of its operators.

    Attributes:
        operator_ids: Operator of every part at the time of delivery.
        site_ids: Site of every part; empty strings where parts are sums over an operator's sites.
        energy_kwh: Energy delivered over the hold, shape ``(n,)``.
        settlement_fen: Amount of every line of the settlement by its name, 0.01 CNY, shape ``(n,)`` each.
        delivered_kw: Mean power delivered in every interval, shape ``(n, n_intervals)``; no intervals where only the
            settled amounts were kept.
    """

    operator_ids: tuple[str, ...] = ()
    site_ids: tuple[str, ...] = ()
    energy_kwh: FloatArray = field(default_factory=_none)
    settlement_fen: dict[str, IdArray] = field(default_factory=dict)
    delivered_kw: FloatArray = field(default_factory=_no_intervals)

    def __len__(self) -> int:
        return len(self.operator_ids)

    def chosen(self, parts: Sequence[int]) -> "Shares":
        """Return some of the parts, by their positions."""
        places = np.asarray(parts, dtype=np.int64)
        return Shares(
            operator_ids=tuple(self.operator_ids[place] for place in parts),
            site_ids=tuple(self.site_ids[place] for place in parts),
            energy_kwh=self.energy_kwh[places],
            settlement_fen={name: fen[places] for name, fen in self.settlement_fen.items()},
            delivered_kw=self.delivered_kw[places],
        )

    def by_operator(self) -> "Shares":
        """Return one part for each operator, the sum over its sites, in the order of their ids."""
        ids = tuple(sorted(set(self.operator_ids)))
        position = {operator_id: place for place, operator_id in enumerate(ids)}
        places = np.array([position[operator_id] for operator_id in self.operator_ids], dtype=np.int64)

        def summed(values: Numbers) -> Numbers:
            total = np.zeros((len(ids), *values.shape[1:]), dtype=values.dtype)
            np.add.at(total, places, values)
            return total

        return Shares(
            operator_ids=ids,
            site_ids=("",) * len(ids),
            energy_kwh=summed(self.energy_kwh),
            settlement_fen={name: summed(fen) for name, fen in self.settlement_fen.items()},
            delivered_kw=summed(self.delivered_kw),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A settled request as those who are paid for it see it.

    Attributes:
        at_s: Epoch seconds at which the measurement was issued.
        shares: Parts by site and operator.
        version: Number of the version, from 1; a correction by late meters is a new one.
    """

    request_id: str
    at_s: float
    shares: Shares
    version: int = 1


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
        spread_kw: Mean delivered power over the hold by baseline method, of all that could be computed.
        settlement_cny: Amount of every line of the settlement by its name; whole fen (0.01 CNY).
        settlement_rule: Name and version of the settlement terms that were applied; empty where none were.
        overshoot_kw: Greatest interval mean above target while ramping or holding, at least 0.
        hit_ratio: Share of the hold within the request's tolerance.
        class_delivered_kw: Mean delivered power over the hold by resource class.
        quality_ratio: Share of the samples by quality (good, stale, substituted, bad), 0-1.
        unmetered: Devices with missing intervals while ramping or holding, those that miss most first; the first few
            hundred.
        unmetered_count: Number of such devices in all.
        regulation: For a request for regulation, total and parts of every rule's score by its name; accuracies are then
            one less the distance from the signal in units of the accepted power.
        shares: Energy and settlement by site and operator; empty before the hold.
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
    shares: Shares = field(default_factory=Shares)
