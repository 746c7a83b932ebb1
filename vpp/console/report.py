"""Measurement and verification report of one request: printable page and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vpp.console import wording
from vpp.domain.performance import FEN_PER_CNY, Baseline, Performance, Shares
from vpp.domain.request import DispatchRequest, Quote, RequestState, Revision, Shortfall
from vpp.settlement.tracking import MinuteSeries

_LISTED_DAYS = 4
_BASELINE_FACTS = (
    "methods",
    "reference_days",
    "excluded_days",
    "adjustment_ratio",
    "notes",
    "excluded_ids",
    "excluded_why",
    "input_sha256",
)


def render_report(
    request: DispatchRequest,
    performance: Performance,
    *,
    series: MinuteSeries | None = None,
    quote: Quote | None = None,
    shortfalls: Sequence[Shortfall] | None = None,
    title: str | None = None,
) -> str:
    """Return one self-contained HTML page, printable on A4; it loads nothing.

    Args:
        request: The request with its history.
        performance: Its measurement, final or provisional.
        series: Minute means for the lines; steps of 15 minutes without.
        quote: The quote that was committed; the request's own if not given.
        shortfalls: Every shortfall that was flagged; the request's own if not given.
        title: Heading; the product and the request's id if not given.
    """
    answered = quote or request.quote
    page = _environment().get_template("report.html.j2")
    return page.render(
        title=title or _title(request),
        request=request,
        draft=request.draft,
        performance=performance,
        provisional=performance.baseline.grid.count > len(performance.intervals),
        headline=_headline(request, performance),
        operators=share_records(performance.shares.by_operator()),
        pictures=_pictures(request, performance, series, answered),
        quote=answered,
        comparison=_comparison(request, performance, answered),
        quoted_p50_kw=dict(zip(answered.interval_starts_at, answered.deliverable_p50_kw, strict=True))
        if answered
        else {},
        days_left_out=days_left_out(performance.baseline),
        shortfalls=_shortfalls(request, shortfalls),
    )


def report_json(
    request: DispatchRequest,
    performance: Performance,
    *,
    series: MinuteSeries | None = None,
    quote: Quote | None = None,
    shortfalls: Sequence[Shortfall] | None = None,
    title: str | None = None,
) -> dict[str, object]:
    """Return the report's content as JSON-like values; unknown is ``None``, times are ISO 8601 at +08:00.

    Arguments are those of ``render_report``. The baseline comes without its rows: the intervals carry their sum, and
    the journal all of it.
    """
    measured = {
        name: value
        for name, value in _plain_fields(performance).items()
        if name not in {"baseline", "request_id", "intervals", "shares"}
    }
    return {
        "title": title or _title(request),
        "request": _plain_fields(replace(request, quote=None)),
        "quote": wording.plain(quote or request.quote),
        "performance": measured,
        "provisional": performance.baseline.grid.count > len(performance.intervals),
        "operators": share_records(performance.shares.by_operator()),
        "sites": share_records(performance.shares),
        "intervals": wording.plain(performance.intervals),
        "baseline": {name: wording.plain(getattr(performance.baseline, name)) for name in _BASELINE_FACTS},
        "shortfalls": wording.plain(_shortfalls(request, shortfalls)),
        "series": None if series is None else wording.plain(series),
    }


def share_records(shares: Shares) -> list[dict[str, object]]:
    """Return parts of a delivery as JSON-like records: operator, site where there is one, energy and amounts in CNY."""
    return [
        {
            "operator_id": operator_id,
            **({"site_id": site_id} if site_id else {}),
            "energy_kwh": float(shares.energy_kwh[place]),
            "settlement_cny": {name: int(fen[place]) / FEN_PER_CNY for name, fen in shares.settlement_fen.items()},
        }
        for place, (operator_id, site_id) in enumerate(zip(shares.operator_ids, shares.site_ids, strict=True))
    ]


def days_left_out(baseline: Baseline) -> list[tuple[str, str]]:
    """Return excluded days and reasons, adjacent days with one reason on one line."""
    lines: list[tuple[str, str]] = []
    for reason, group in groupby(baseline.excluded_days, key=lambda pair: pair[1]):
        days = [day for day, _ in group]
        text = ", ".join(days) if len(days) <= _LISTED_DAYS else f"{len(days)} days from {days[-1]} to {days[0]}"
        lines.append((text, reason))
    return lines


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vpp.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("power", "energy", "number", "percent", "moment", "clock_time", "words"):
        environment.filters[name] = getattr(wording, name)
    return environment


def _title(request: DispatchRequest) -> str:
    return f"{wording.words(request.draft.product.value).capitalize()}, request {request.id}"


def _headline(request: DispatchRequest, performance: Performance) -> list[tuple[str, str, str]]:
    """Return label, figure and meaning, the most important first."""
    accepted = _committed_kw(request, performance)
    share = None if not accepted else performance.delivered_mean_kw / accepted
    return [
        ("Accuracy", wording.percent(performance.accuracy_ratio, 2), "mean of the hold's intervals"),
        ("Delivered", wording.power(performance.delivered_mean_kw), f"{wording.percent(share)} of what was accepted"),
        ("Accepted", wording.power(accepted), f"asked for {wording.power(request.draft.target_kw)}"),
        ("Worst interval", wording.percent(performance.worst_interval_accuracy_ratio, 2), "least accuracy in the hold"),
        ("Energy", wording.energy(performance.energy_kwh), "delivered over the hold"),
        ("Ramp", f"{wording.number(performance.ramp_minutes, 1)} min", "until 90 % of the target"),
        ("Rebound peak", wording.power(performance.rebound_peak_kw), "beyond baseline, after the hold"),
        ("Good data", wording.percent(performance.good_ratio), "of the samples, ramp and hold"),
    ]


def _committed_kw(request: DispatchRequest, performance: Performance) -> float | None:
    """Return the committed power; where it was revised under way, its mean over the hold."""
    due = [i.target_kw for i in performance.intervals if i.phase == RequestState.HOLDING]
    changed = any(revision.accepted_at is not None for revision in request.revisions)
    return sum(due) / len(due) if changed and due else request.accepted_kw


def _pictures(
    request: DispatchRequest, performance: Performance, series: MinuteSeries | None, quote: Quote | None
) -> Mapping[str, Markup]:
    from vpp.console import plots  # noqa: PLC0415 - matplotlib takes half a second that only pictures need

    figures = {
        "timeline": plots.timeline(request, performance, series),
        "accuracy": plots.accuracy(request, performance),
        "rebound": plots.rebound(request, performance, quote),
        "classes": plots.classes(performance),
        "quality": plots.data_quality(performance),
    }
    return {name: Markup(plots.to_svg(figure, f"{name}-")) for name, figure in figures.items()}  # noqa: S704 - our SVG


def _comparison(
    request: DispatchRequest, performance: Performance, quote: Quote | None
) -> list[tuple[str, float | None, str]]:
    """Return name, power and meaning of the requested, quoted, accepted and delivered powers."""
    rows: list[tuple[str, float | None, str]] = [("Requested", request.draft.target_kw, "the dispatcher's target")]
    if quote is not None:
        rows += [
            ("Quoted p10", min(quote.deliverable_p10_kw, default=None), "held throughout with nine chances in ten"),
            ("Quoted p50", quote.p50_kw, "held throughout with even chances"),
            ("Quoted p90", min(quote.deliverable_p90_kw, default=None), "held throughout with one chance in ten"),
        ]
    changes = [revision for revision in request.revisions if revision.accepted_at is not None]
    first_kw = changes[0].before_kw if changes else request.accepted_kw
    return [
        *rows,
        ("Accepted", first_kw, "committed; accuracy is judged against this"),
        *((f"Revision {r.number}", r.accepted_kw, _change(r)) for r in changes),
        ("Delivered", performance.delivered_mean_kw, "mean over the hold, from meters only"),
    ]


def _change(revision: Revision) -> str:
    at = "" if revision.accepted_at is None else wording.moment(revision.accepted_at)
    return f"committed from {at} until {wording.moment(revision.end_at)}; each interval is judged against its own"


def _shortfalls(request: DispatchRequest, given: Sequence[Shortfall] | None) -> Sequence[Shortfall]:
    if given is not None:
        return given
    return () if request.shortfall is None else (request.shortfall,)


def _plain_fields(value: object) -> dict[str, object]:
    found = wording.plain(value)
    return found if isinstance(found, dict) else {}
