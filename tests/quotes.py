"""Quotes for tests that need one of a certain power and none of its other figures."""

from datetime import datetime

from vpp.domain.request import Quote, Verdict


def quote_of(power_kw: float, *, start_at: datetime, expires_at: datetime) -> Quote:
    """Return a quote of one interval, without limits, counter-offers or rebound."""
    return Quote(
        verdict=Verdict.FEASIBLE,
        interval_starts_at=(start_at,),
        deliverable_p10_kw=(power_kw,),
        deliverable_p50_kw=(power_kw,),
        deliverable_p90_kw=(power_kw,),
        max_hold_minutes=60.0,
        ramp_kw_per_min=float("inf"),
        rebound_kw=(),
        cost_cny=0.0,
        limits=(),
        counter_offers=(),
        promises_broken=0,
        expires_at=expires_at,
    )
