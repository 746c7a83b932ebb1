"""Pictures of a request: figure objects without pyplot, so that any thread may draw and nothing is global.

Colours are Okabe and Ito's (2008), told apart by people who do not see red or green; dashes and markers say the same.
"""

import re
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from vpp.console.wording import clock_time, number, percent, words
from vpp.domain.performance import IntervalResult, Performance
from vpp.domain.request import DispatchRequest, Quote, RequestState
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import instant
from vpp.domain.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from vpp.fleet.calendar import SHANGHAI
from vpp.settlement.tracking import MinuteSeries

INK, MUTED, GRID = "#1b2530", "#5d6b79", "#d9dfe5"
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
_WIDTH_IN = 7.2
_OFFSET_S = 8 * SECONDS_PER_HOUR
_MOST_TICKS = 12
_TICKS_S = (900.0, 1800.0, 3600.0, 7200.0, 21_600.0)
_PHASES = {
    RequestState.PRECONDITIONING.value: "#eef1f4",
    RequestState.RAMPING.value: "#fdf1d8",
    RequestState.HOLDING.value: "#dceefa",
    RequestState.RELEASING.value: "#e0f3ec",
    RequestState.REBOUND_WATCH.value: "#f6eef3",
}
_AFTER_HOLD = (RequestState.RELEASING.value, RequestState.REBOUND_WATCH.value)


def timeline(request: DispatchRequest, performance: Performance, series: MinuteSeries | None) -> Figure:
    """Draw net load above and delivered power below, over the phases."""
    figure = Figure(figsize=(_WIDTH_IN, 5.0), layout="constrained")
    load, change = figure.subplots(2, 1, sharex=True, height_ratios=[1.15, 1.0])
    at, baseline, measured, target, delivered = _lines(performance, series)
    for axes in (load, change):
        _shade(axes, phase_spans(request, performance), named=axes is load)
        dress(axes)
    load.plot(at, baseline, color=INK, linestyle="--", linewidth=1.3, label="baseline")
    load.plot(at, measured, color=BLUE, linewidth=1.8, label="measured")
    load.fill_between(at, baseline, measured, color=SKY, alpha=0.25, linewidth=0)
    load.set_ylabel("net load, kW", color=INK)
    tolerance = request.draft.tolerance_ratio
    change.fill_between(
        at,
        (1.0 - tolerance) * target,
        (1.0 + tolerance) * target,
        color=MUTED,
        alpha=0.25,
        linewidth=0,
        label=f"tolerance ±{percent(tolerance, 0)}",
    )
    change.plot(at, target, color=INK, linestyle="--", linewidth=1.3, label="target")
    change.plot(at, delivered, color=VERMILION, linewidth=1.8, label="delivered")
    change.axhline(0.0, color=MUTED, linewidth=0.8)
    change.set_ylabel("change of net load asked for, kW", color=INK)
    for axes, corner in ((load, "best"), (change, "upper right")):
        axes.legend(loc=corner, fontsize=7.5, frameon=True, framealpha=0.9, edgecolor=GRID)
    clock_axis(change, at)
    return figure


def accuracy(request: DispatchRequest, performance: Performance) -> Figure:
    """Draw the accuracy of every held interval."""
    held = [i for i in performance.intervals if i.phase == RequestState.HOLDING]
    figure = Figure(figsize=(_WIDTH_IN / 2, 2.5), layout="constrained")
    axes = figure.subplots()
    dress(axes)
    values = np.array([i.accuracy_ratio for i in held])
    least = 1.0 - request.draft.tolerance_ratio
    colours = [BLUE if value >= least else VERMILION for value in values]
    bars = axes.bar(range(len(held)), np.nan_to_num(values), color=colours, width=0.7)
    axes.bar_label(bars, labels=[percent(v) for v in values], fontsize=6.5, color=INK, padding=2)
    axes.axhline(least, color=INK, linestyle="--", linewidth=1.0, label=f"tolerance: {percent(least, 0)}")
    axes.set_ylim(min(0.0, float(np.nan_to_num(values).min(initial=0.0))), 1.25)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, 0)))
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    _name_bars(axes, held)
    axes.legend(loc="upper right", fontsize=7, frameon=False)
    return _or_empty(figure, axes, "no held interval has ended yet", empty=not held)


def rebound(request: DispatchRequest, performance: Performance, quote: Quote | None) -> Figure:
    """Draw the rebound above baseline of every interval after the hold, with the quoted one and the cap."""
    after = [i for i in performance.intervals if i.phase in _AFTER_HOLD]
    figure = Figure(figsize=(_WIDTH_IN / 2, 2.5), layout="constrained")
    axes = figure.subplots()
    dress(axes)
    above = np.array([-i.delivered_kw for i in after]).clip(min=0.0)
    axes.bar(range(len(after)), np.nan_to_num(above), color=ORANGE, width=0.7)
    axes.margins(y=0.15)
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    if quote is not None and quote.rebound_kw and after:
        quoted = quote.rebound_kw[: len(after)]
        axes.plot(range(len(quoted)), quoted, "D--", color=INK, linewidth=0.8, markersize=3.5, label="quoted")
    if request.draft.rebound_cap_kw is not None:
        axes.axhline(request.draft.rebound_cap_kw, color=PURPLE, linestyle=":", linewidth=1.4, label="cap")
    axes.set_ylabel("beyond baseline, kW", color=INK)
    _name_bars(axes, after)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best", fontsize=7, frameon=False)
    return _or_empty(figure, axes, "no interval after the hold has ended yet", empty=not after)


def classes(performance: Performance) -> Figure:
    """Draw the mean delivered over the hold by resource class, the largest on top."""
    shares = sorted(performance.class_delivered_kw.items(), key=lambda pair: pair[1])
    figure = Figure(figsize=(_WIDTH_IN / 2, 2.3), layout="constrained")
    axes = figure.subplots()
    dress(axes, along="x")
    values = [kw for _, kw in shares]
    bars = axes.barh([words(name) for name, _ in shares], values, color=[GREEN if kw >= 0 else ORANGE for kw in values])
    axes.bar_label(bars, labels=[number(kw) for kw in values], fontsize=7, color=INK, padding=3)
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    axes.margins(x=0.22)
    axes.set_xlabel("mean delivered over the hold, kW", color=INK, fontsize=7.5)
    return _or_empty(figure, axes, "no held interval has ended yet", empty=not shares)


def data_quality(performance: Performance) -> Figure:
    """Draw the share of good samples of every interval."""
    figure = Figure(figsize=(_WIDTH_IN / 2, 2.3), layout="constrained")
    axes = figure.subplots()
    dress(axes)
    good = np.array([i.good_ratio for i in performance.intervals])
    rest = np.where(np.isfinite(good), 1.0 - good, 0.0)
    axes.bar(range(len(good)), np.nan_to_num(good), color=BLUE, width=0.8, label="good")
    axes.bar(range(len(good)), rest, bottom=np.nan_to_num(good), color=ORANGE, width=0.8, hatch="///", label="other")
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, 0)))
    _name_bars(axes, performance.intervals)
    axes.legend(loc="lower right", fontsize=7, framealpha=0.9, edgecolor=GRID)
    return _or_empty(figure, axes, "no interval has ended yet", empty=len(good) == 0)


def to_svg(figure: Figure, prefix: str) -> str:
    """Return a figure as inline SVG that fills its column; ids are renumbered under ``prefix``, unique in the page."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue().decode("utf-8")
    body = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1, flags=re.DOTALL)
    body = re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1, flags=re.DOTALL)
    renamed = {old: f"{prefix}{n}" for n, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', body)))}
    return re.sub(r'(\bid="|href="#|url\(#)([^")]+)', lambda found: found[1] + renamed.get(found[2], found[2]), body)


def to_png(figure: Figure, dots_per_inch: int = 160) -> bytes:
    """Return a figure as a PNG picture."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch, facecolor="white")
    return buffer.getvalue()


def phase_spans(request: DispatchRequest, performance: Performance) -> list[tuple[str, float, float]]:
    """Return phase, begin and end in epoch seconds: from the request's history, else from the intervals."""
    grid = performance.baseline.grid
    steps = [(t.to_state.value, t.at.timestamp()) for t in request.history if t.to_state is not t.from_state]
    if not any(name in _PHASES for name, _ in steps):
        steps = [(i.phase, i.start_at.timestamp()) for i in performance.intervals]
    ends = [*(at_s for _, at_s in steps), grid.end_s][1:]
    spans = [
        (name, max(from_s, grid.start_s), min(end_s, grid.end_s))
        for (name, from_s), end_s in zip(steps, ends, strict=True)
    ]
    return [span for span in spans if span[0] in _PHASES and span[1] < span[2]]


Lines = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def _lines(performance: Performance, series: MinuteSeries | None) -> Lines:
    """Return epoch seconds, baseline, measured, target and delivered: by the minute, or as steps of 15 minutes."""
    if series is not None:
        return series.at_s, series.baseline_kw, series.measured_kw, series.target_kw, series.delivered_kw
    step_s = performance.baseline.grid.step_s
    rows = np.array(
        [(i.baseline_kw, i.measured_kw, i.target_kw, i.delivered_kw) for i in performance.intervals]
    ).reshape(-1, 4)
    starts_s = np.array([i.start_at.timestamp() for i in performance.intervals])
    edges_s = np.repeat(starts_s, 2) + np.tile([0.0, float(step_s)], len(starts_s))
    baseline, measured, target, delivered = np.repeat(rows, 2, axis=0).T
    return edges_s, baseline, measured, target, delivered


_CHARACTER_SHARE = 0.0075
"""Width of a character of a phase's name as a share of the whole axis."""


def _shade(axes: Axes, spans: Sequence[tuple[str, float, float]], *, named: bool) -> None:
    seen: set[str] = set()
    whole_s = max((end for _, _, end in spans), default=0.0) - min((begin for _, begin, _ in spans), default=0.0)
    for name, begin, end in spans:
        axes.axvspan(begin, end, color=_PHASES[name], linewidth=0, zorder=0)
        # A name wider than its phase would run into the next one; the colour still tells.
        fits = (end - begin) >= _CHARACTER_SHARE * len(words(name)) * whole_s
        if named and fits and name not in seen:
            seen.add(name)
            middle = begin + (end - begin) / 2
            axes.text(
                middle, 1.02, words(name), transform=axes.get_xaxis_transform(), ha="center", fontsize=7, color=MUTED
            )


def dress(axes: Axes, along: str = "y") -> None:
    """Give axes the house style: a quiet grid along one direction, no box, numbers with thousands separated."""
    axes.grid(axis="x" if along == "x" else "y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7.5, colors=INK, length=3)
    axes.yaxis.label.set_fontsize(8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    if along == "y":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def clock_axis(axes: Axes, at_s: FloatArray) -> None:
    """Label epoch seconds as Shanghai's clock, on quarters, halves or whole hours."""
    axes.margins(x=0.0)
    if len(at_s) == 0:
        return
    every_s = next((s for s in _TICKS_S if np.ptp(at_s) / s <= _MOST_TICKS), SECONDS_PER_DAY)
    local_s = at_s + _OFFSET_S
    ticks_s = np.arange(np.ceil(local_s[0] / every_s) * every_s, local_s[-1] + 1.0, every_s) - _OFFSET_S
    axes.set_xticks(ticks_s, [clock_time(instant(tick)) for tick in ticks_s.tolist()])
    day = instant(float(at_s[0])).astimezone(SHANGHAI).date()
    axes.set_xlabel(f"{day}, Asia/Shanghai (+08:00)", color=INK, fontsize=8)


def _name_bars(axes: Axes, intervals: Sequence[IntervalResult]) -> None:
    """Write the interval's start under its bar, every so many that they do not touch."""
    every = max(1, -(-len(intervals) // 6))
    named = range(0, len(intervals), every)
    axes.set_xticks(list(named), [clock_time(intervals[n].start_at) for n in named])
    axes.set_xlabel("interval from, +08:00", color=INK, fontsize=7.5)


def _or_empty(figure: Figure, axes: Axes, text: str, *, empty: bool) -> Figure:
    if empty:
        axes.clear()
        axes.set_axis_off()
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=MUTED)
    return figure
