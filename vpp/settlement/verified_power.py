"""Verified power: what events have shown an area to deliver, as far as it is still true.

::

    verified = greatest of  shown power x min(1, followed in the last test / followed then)

An event shows what it delivered; a drill of a drawn part shows that times the whole area's quoted power over the drawn
part's (ratio estimate; Cochran 1977, Sampling Techniques, chapter 6). A *test* asked for all that was expected: how
much of it came says how the devices follow commands now, so whatever was shown before counts for no more than that. An
event of which others made up for whoever did not follow is no test. After its validity an event shows nothing any more.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vpp.domain.flexibility import Verified
from vpp.domain.request import DispatchRequest, Product, RequestState

_TEST_RATIO = 0.9
"""Least share of the quoted even-chance power that was committed in a test."""
_STOPPED = frozenset({RequestState.ABORTED, RequestState.SUPERSEDED, RequestState.FAILED})
NOTHING = Verified()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one event has shown of its area and direction.

    Attributes:
        kw: Mean power of the whole area.
        at_s: Epoch seconds of the end of its hold; NaN where it is not known, as of requests forgotten before times
            were kept: such an event does not expire.
        followed_ratio: Share of what its devices would give if all followed every command, 0-1, NaN where unknown.
        is_test: It asked for all that was expected, and was not ended early.
    """

    kw: float
    at_s: float = math.nan
    followed_ratio: float = math.nan
    is_test: bool = False


def shown_by(request: DispatchRequest, delivered_mean_kw: float) -> Shown | None:
    """Return what a settled request has shown, ``None`` for regulation and where nothing was metered.

    Args:
        request: The request, with the quote it was accepted by.
        delivered_mean_kw: Mean power delivered over the hold.
    """
    committed_kw, quote = request.accepted_kw, request.quote
    if request.draft.product is Product.REGULATION or not math.isfinite(delivered_mean_kw):
        return None
    at_s = request.draft.end_at.timestamp()
    if quote is None or not committed_kw or quote.p50_kw <= 0.0:
        return Shown(kw=delivered_mean_kw, at_s=at_s)
    whole = 1.0 if quote.whole_kw is None else max(quote.whole_kw / quote.p50_kw, 1.0)
    return Shown(
        kw=delivered_mean_kw * whole,
        at_s=at_s,
        followed_ratio=min(max(delivered_mean_kw / committed_kw, 0.0), 1.0) * quote.delivery_ratio,
        is_test=committed_kw >= _TEST_RATIO * quote.p50_kw and not _STOPPED & {t.to_state for t in request.history},
    )


def verified_by(events: Iterable[Shown], *, now_s: float, valid_s: float) -> Verified:
    """Return what is verified of one area and direction.

    Args:
        events: Its events, in any order.
        now_s: The present, epoch seconds.
        valid_s: Time for which an event counts.
    """
    valid = [one for one in events if math.isnan(one.at_s) or now_s - one.at_s <= valid_s]
    if not valid:
        return NOTHING
    test = max((one for one in valid if one.is_test), key=_by_time, default=None)
    kw = max(one.kw * _still(one, test) for one in valid)
    return Verified(
        kw=max(kw, 0.0), at_s=max((one.at_s for one in valid if not math.isnan(one.at_s)), default=math.nan)
    )


def together(parts: Sequence[Verified]) -> Verified:
    """Return what is verified of areas in all, as old as the oldest; an area without any adds nothing."""
    seen = [one for one in parts if one.kw > 0.0]
    oldest_s = min((one.at_s for one in seen if not math.isnan(one.at_s)), default=math.nan)
    return Verified(kw=sum(one.kw for one in seen), at_s=oldest_s)


def worth_keeping(events: Iterable[Shown]) -> Sequence[Shown]:
    """Return the events that may still decide, oldest first: the last test, and those that no later one outdoes."""
    kept: list[Shown] = []
    tested = False
    for one in sorted(events, key=_by_time, reverse=True):
        if (one.is_test and not tested) or not any(_outdoes(later, one) for later in kept):
            kept.append(one)
        tested = tested or one.is_test
    return kept[::-1]


def _by_time(one: Shown) -> tuple[float, float, float]:
    """Return the key of an order by time that leaves nothing open between events of one time."""
    at_s, followed = (-math.inf if math.isnan(value) else value for value in (one.at_s, one.followed_ratio))
    return at_s, one.kw, followed


def _outdoes(later: Shown, one: Shown) -> bool:
    """Return whether a later event counts for as much as another one as long as that counts, whatever tests leave."""
    lasts = math.isnan(later.at_s) or not math.isnan(one.at_s)
    return lasts and max(later.kw, 0.0) >= max(one.kw, 0.0) and _followed_by_all_kw(later) >= _followed_by_all_kw(one)


def _followed_by_all_kw(one: Shown) -> float:
    """Return the power an event would have shown if all had followed: what a bad test leaves is its share of this."""
    if one.kw <= 0.0:
        return 0.0
    return one.kw / one.followed_ratio if one.followed_ratio > 0.0 else math.inf


def _still(one: Shown, test: Shown | None) -> float:
    """Return the share of what an event has shown that the last test leaves of it."""
    if test is None or one.at_s >= test.at_s or not one.followed_ratio > 0.0 or math.isnan(test.followed_ratio):
        return 1.0
    return min(test.followed_ratio / one.followed_ratio, 1.0)
