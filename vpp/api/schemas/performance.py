"""Measured delivery against the baseline."""

from datetime import datetime
from typing import Self

from pydantic import Field

from vpp.api.schemas.base import Known, Schema
from vpp.domain.performance import FEN_PER_CNY, Baseline, Performance, Shares
from vpp.domain.request import BaselineMethod

_MOST_NAMED = 200


class IntervalView(Schema):
    """One 15-minute interval; mean powers."""

    start_at: datetime
    phase: str
    target_kw: Known
    baseline_kw: Known
    measured_kw: Known
    delivered_kw: Known
    accuracy_ratio: Known
    good_ratio: Known
    held_ratio: Known = Field(description="Share of the interval that lies in the hold, by which it is settled.")
    held_kw: Known = Field(description="Mean delivered in that part; null outside the hold.")
    metered_ratio: Known = Field(description="Share of the devices' time that was metered; the rest earns nothing.")


class UnmeteredView(Schema):
    """A device with intervals of which too little was metered: it is credited nothing in them."""

    resource_id: str
    starts_at: list[datetime]


class ExcludedDay(Schema):
    """A day excluded from the baseline."""

    day: str
    reason: str


class BaselineView(Schema):
    """Origin of the baseline; its hash pins every input."""

    methods: dict[str, BaselineMethod] = Field(description="By resource class.")
    reference_days: list[str]
    excluded_days: list[ExcludedDay]
    adjustment_ratio: dict[str, Known] = Field(description="Same-day adjustment by resource class.")
    input_sha256: str
    programme_sha256: str = Field(description="Hash of the programme it was made by; empty before there were any.")
    excluded: dict[str, int] = Field(description="Devices that were not enlisted, counted by reason.")
    excluded_ids: list[str] = Field(description="The first two hundred of them.")

    @classmethod
    def of(cls, baseline: Baseline) -> Self:
        """Return how a baseline was made, without its array."""
        return cls(
            methods=baseline.methods,
            reference_days=list(baseline.reference_days),
            excluded_days=[ExcludedDay(day=day, reason=reason) for day, reason in baseline.excluded_days],
            adjustment_ratio=dict(baseline.adjustment_ratio),
            input_sha256=baseline.input_sha256,
            programme_sha256=baseline.programme_sha256,
            excluded=dict(baseline.excluded_why),
            excluded_ids=list(baseline.excluded_ids[:_MOST_NAMED]),
        )


class ShareView(Schema):
    """Part of an operator, or of one of its sites, in what a request delivered; parts add up to the whole exactly."""

    operator_id: str = Field(description="Operator at the time of delivery.")
    site_id: str | None = Field(description="Null where this is the sum over the operator's sites.")
    energy_kwh: float = Field(description="Energy delivered over the hold.")
    settlement_cny: dict[str, float] = Field(description="Amounts by line of the settlement, whole fen.")
    delivered_kw: list[float] = Field(description="Mean delivered in each interval; empty where no longer kept.")


class SettlementView(Schema):
    """Part of an operator, or of one of its sites, in a settled request."""

    request_id: str
    settled_at: datetime
    version: int = Field(description="Number of the version, from 1; a correction by late meters is a new one.")
    share: ShareView


def share_views(shares: Shares) -> list[ShareView]:
    """Return the parts as they are shown."""
    fen = {name: amounts.tolist() for name, amounts in shares.settlement_fen.items()}
    return [
        ShareView(
            operator_id=owner,
            site_id=site_id or None,
            energy_kwh=float(shares.energy_kwh[place]),
            settlement_cny={name: amounts[place] / FEN_PER_CNY for name, amounts in fen.items()},
            delivered_kw=shares.delivered_kw[place].tolist(),
        )
        for place, (owner, site_id) in enumerate(zip(shares.operator_ids, shares.site_ids, strict=True))
    ]


class PerformanceView(Schema):
    """Measurement and verification of one request; provisional while it runs."""

    request_id: str
    issued_at: datetime
    accuracy_ratio: Known
    worst_interval_accuracy_ratio: Known
    delivered_mean_kw: Known
    energy_kwh: Known
    ramp_minutes: Known
    rebound_peak_kw: Known
    rebound_energy_kwh: Known
    good_ratio: Known = Field(description="Share of metered power that was good.")
    intervals: list[IntervalView]
    baseline: BaselineView
    spread_kw: dict[str, Known] = Field(description="Mean delivered power by each baseline method.")
    settlement_cny: dict[str, Known]
    operators: list[ShareView] = Field(description="Energy and settlement by operator; they add up to the whole.")
    unmetered: list[UnmeteredView] = Field(description="Devices with missing intervals, the first few hundred.")
    unmetered_count: int
    regulation: dict[str, dict[str, Known]] = Field(
        description="Of a request for regulation: total and parts of every rule's score by its name."
    )

    @classmethod
    def of(cls, performance: Performance) -> Self:
        """Return the measurement as it is shown."""
        same = cls.model_fields.keys() - {
            "intervals",
            "baseline",
            "spread_kw",
            "settlement_cny",
            "regulation",
            "unmetered",
            "operators",
        }
        return cls(
            **{name: getattr(performance, name) for name in same},
            intervals=[
                IntervalView(**{name: getattr(interval, name) for name in IntervalView.model_fields})
                for interval in performance.intervals
            ],
            baseline=BaselineView.of(performance.baseline),
            spread_kw=dict(performance.spread_kw),
            settlement_cny=dict(performance.settlement_cny),
            operators=share_views(performance.shares.by_operator()),
            unmetered=[
                UnmeteredView(resource_id=u.resource_id, starts_at=list(u.starts_at)) for u in performance.unmetered
            ],
            regulation={rule: dict(parts) for rule, parts in performance.regulation.items()},
        )
