"""One draft, its quote and its acceptance."""

from datetime import UTC, datetime, timedelta

from vpp.dispatch.requests.book import RequestBook
from vpp.domain.request import (
    CounterOffer,
    Direction,
    NoticeClass,
    Product,
    Quote,
    RequestDraft,
    Verdict,
)

NOW = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)
START = NOW + timedelta(hours=1)
END = START + timedelta(hours=1)
AREAS = ("north", "south")
DRAFT = RequestDraft(
    product=Product.PEAK_SHAVING,
    direction=Direction.UP,
    target_kw=500.0,
    area="north",
    start_at=START,
    end_at=END,
    notice_class=NoticeClass.INTRADAY,
)


def quote(verdict: Verdict = Verdict.FEASIBLE, p50_kw: float = 400.0) -> Quote:
    later = CounterOffer(
        kind="less_power", target_kw=300.0, start_at=START + timedelta(minutes=30), end_at=END + timedelta(minutes=30)
    )
    return Quote(
        verdict=verdict,
        interval_starts_at=(START,),
        deliverable_p10_kw=(p50_kw,),
        deliverable_p50_kw=(p50_kw,),
        deliverable_p90_kw=(p50_kw,),
        max_hold_minutes=float("inf"),
        ramp_kw_per_min=10.0,
        rebound_kw=(1.0,),
        cost_cny=5.0,
        limits=(),
        counter_offers=(later,),
        promises_broken=0,
        expires_at=NOW + timedelta(minutes=5),
    )


def submit(book: RequestBook, draft: RequestDraft = DRAFT, key: str | None = None) -> str:
    return book.submit(draft, key=key, actor="dispatcher", now=NOW, known_areas=AREAS)[0].id


def accepted(book: RequestBook, draft: RequestDraft = DRAFT) -> str:
    request_id = submit(book, draft)
    book.quoted(request_id, quote(), NOW)
    book.accept(request_id, offer=None, actor="dispatcher", now=NOW)
    return request_id
