"""Outcome of a finished request: whether the quantiles of its quote were deliverable, as far as delivery tells.

A request asks for its target and no more: what reached it says nothing of the power beyond. A quantile is known to be
kept where at least as much was delivered, known to be missed where less was delivered than was asked for, else unknown.
"""

import math

from vpp.domain.performance import Performance
from vpp.domain.request import DispatchRequest, Product, RequestState
from vpp.planning.calibration.window_book import KnownRequest


def known_request(request: DispatchRequest, performance: Performance | None) -> KnownRequest | None:
    """Return what became of a request's quote; ``None`` where it cannot be said.

    Requests for regulation follow a signal, revised ones were quoted anew, and one without a metered hold or without a
    quote tells nothing.
    """
    accepted_kw, quote = request.accepted_kw, request.quote
    quoted = [step.at.timestamp() for step in request.history if step.to_state is RequestState.QUOTED]
    revised = any(revision.accepted_at is not None for revision in request.revisions)
    if performance is None or quote is None or accepted_kw is None or not quoted or revised:
        return None
    held = [one.held_kw for one in performance.intervals if one.phase == RequestState.HOLDING]
    if request.draft.product is Product.REGULATION or not held or not all(map(math.isfinite, held)):
        return None
    quantiles = (quote.deliverable_p10_kw, quote.deliverable_p50_kw, quote.deliverable_p90_kw)
    missed_kw = (1.0 - request.draft.tolerance_ratio) * accepted_kw
    p10, p50, p90 = (_kept(min(values, default=math.nan), min(held), missed_kw) for values in quantiles)
    return KnownRequest(
        area=request.draft.area,
        direction=request.draft.direction,
        start_s=request.draft.start_at.timestamp(),
        quoted_s=quoted[-1],
        at_s=request.draft.end_at.timestamp(),
        kept=(p10, p50, p90),
    )


def _kept(quoted_kw: float, delivered_kw: float, missed_kw: float) -> float:
    """Return 1 where a quantile was kept, 0 where it was missed, NaN where nobody knows; kW.

    Args:
        quoted_kw: The quantile.
        delivered_kw: Delivered in the least quarter of an hour.
        missed_kw: Power below which the request was missed.
    """
    if math.isnan(quoted_kw):
        return math.nan
    if delivered_kw >= quoted_kw:
        return 1.0
    return 0.0 if delivered_kw < missed_kw else math.nan
