"""Pictures of a whole city's day: net load, delivery, classes, transformers, rebound."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from vpp.console.plots import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    clock_axis,
    dress,
)
from vpp.console.wording import percent, words
from vpp.domain.telemetry import FloatArray

_WIDTH_IN = 7.2
_MW = 1000.0
_COLOURS = {"ev": BLUE, "v2g": SKY, "storage": GREEN, "pv": ORANGE, "hvac": PURPLE, "industry": VERMILION}
_LEGEND = {"fontsize": 7.5, "frameon": True, "framealpha": 0.9, "edgecolor": GRID}


@dataclass(frozen=True, slots=True, kw_only=True)
class CityDay:
    """A day by the minute; kW, NaN where unknown. Shapes ``(n_minutes,)``, of the class series ``(n_samples,)``.

    Attributes:
        at_s: Epoch seconds of each minute's begin.
        measured_kw: Net load by meters.
        baseline_kw: Net load without the requests, by the settlement's baseline.
        counterfactual_kw: Net load of the twin's prepared world: the same plans, no request.
        ordinary_kw: Net load of its ordinary world: neither reserve nor request.
        target_kw: Change due, positive up.
        delivered_kw: Change delivered, positive up.
        class_at_s: Epoch seconds of the class series' samples.
        class_change_kw: True cut of net load by resource class.
        rebound_caps: Begin and end, epoch seconds, and power of every rebound cap.
    """

    at_s: FloatArray
    measured_kw: FloatArray
    baseline_kw: FloatArray
    counterfactual_kw: FloatArray
    ordinary_kw: FloatArray
    target_kw: FloatArray
    delivered_kw: FloatArray
    class_at_s: FloatArray
    class_change_kw: Mapping[str, FloatArray]
    rebound_caps: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingBands:
    """Loading of the transformers over the day.

    Attributes:
        edges: Bounds of the bands of load as a share of the limit, shape ``(n + 1,)``.
        minutes: Transformer minutes in every band, shape ``(n,)``.
        minutes_without: The same without any request.
        peak_ratio: Greatest share of every transformer, shape ``(n_transformers,)``.
    """

    edges: FloatArray
    minutes: npt.NDArray[np.int64]
    minutes_without: npt.NDArray[np.int64]
    peak_ratio: FloatArray


def city_pictures(day: CityDay, bands: LoadingBands) -> dict[str, Figure]:
    """Return all pictures of a day by file name."""
    return {
        "net-load": net_load(day),
        "delivered": delivered(day),
        "classes": class_stack(day),
        "transformers": loading(bands),
        "rebound": rebound(day),
    }


def net_load(day: CityDay) -> Figure:
    """Draw the city's net load with and without requests."""
    figure, axes = _canvas(3.2)
    axes.plot(day.at_s, day.counterfactual_kw / _MW, color=INK, linestyle="--", linewidth=1.2, label="prepared (twin)")
    axes.plot(day.at_s, day.ordinary_kw / _MW, color=MUTED, linestyle=":", linewidth=1.2, label="ordinary (twin)")
    axes.plot(day.at_s, day.baseline_kw / _MW, color=ORANGE, linewidth=1.4, label="settlement baseline")
    axes.plot(day.at_s, day.measured_kw / _MW, color=BLUE, linewidth=1.6, label="measured")
    axes.fill_between(day.at_s, day.counterfactual_kw / _MW, day.measured_kw / _MW, color=SKY, alpha=0.25, linewidth=0)
    axes.set_ylabel("net load of the fleet, MW", color=INK)
    return _finished(figure, axes, day.at_s)


def delivered(day: CityDay) -> Figure:
    """Draw target and delivery."""
    figure, axes = _canvas(2.9)
    target = np.where(day.target_kw == 0.0, np.nan, day.target_kw)
    axes.fill_between(day.at_s, 0.95 * target / _MW, 1.05 * target / _MW, color=MUTED, alpha=0.25, linewidth=0)
    axes.plot(day.at_s, target / _MW, color=INK, linestyle="--", linewidth=1.2, label="target, ±5 %")
    axes.plot(day.at_s, day.delivered_kw / _MW, color=VERMILION, linewidth=1.6, label="delivered (settlement)")
    true_kw = day.counterfactual_kw - day.measured_kw
    axes.plot(day.at_s, true_kw / _MW, color=GREEN, linewidth=0.9, label="delivered (twin)")
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set_ylabel("change of net load, up positive, MW", color=INK)
    return _finished(figure, axes, day.at_s)


def class_stack(day: CityDay) -> Figure:
    """Draw the delivery by class: cuts stacked above zero, rebound below."""
    figure, axes = _canvas(2.9)
    names = [name for name, kw in day.class_change_kw.items() if np.abs(kw).max(initial=0.0) > 0.0]
    for part, sign in ((np.maximum, 1.0), (np.minimum, -1.0)):
        below = np.zeros(len(day.class_at_s))
        for name in names:
            above = below + part(day.class_change_kw[name], 0.0) / _MW
            label = words(name) if sign > 0.0 else None
            axes.fill_between(day.class_at_s, below, above, color=_COLOURS.get(name, MUTED), linewidth=0, label=label)
            below = above
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set_ylabel("true cut by class, MW", color=INK)
    return _finished(figure, axes, day.class_at_s)


def loading(bands: LoadingBands) -> Figure:
    """Draw the minutes that transformers spent at each share of their limit, with and without requests."""
    figure, axes = _canvas(2.7)
    dress(axes)
    middle = 0.5 * (bands.edges[1:] + bands.edges[:-1])
    width = 0.45 * float(bands.edges[1] - bands.edges[0])
    for minutes, shift, colour, label in (
        (bands.minutes_without, -0.5, ORANGE, "without requests (twin)"),
        (bands.minutes, 0.5, BLUE, "as it was"),
    ):
        shares = minutes / max(int(minutes.sum()), 1)
        axes.bar(middle + shift * width, shares, width=width, color=colour, label=label)
    axes.axvline(1.0, color=VERMILION, linestyle="--", linewidth=1.2, label="limit")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, 4)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, 0)))
    peak = float(bands.peak_ratio.max(initial=0.0))
    axes.set_xlabel(f"load as a share of the limit; the greatest of all minutes {percent(peak)}", color=INK, fontsize=8)
    axes.set_ylabel("share of transformer minutes", color=INK)
    axes.legend(loc="upper right", **_LEGEND)
    return figure


def rebound(day: CityDay) -> Figure:
    """Draw the net load above the baseline."""
    figure, axes = _canvas(2.4)
    axes.fill_between(
        day.at_s, 0.0, np.maximum(-day.delivered_kw, 0.0) / _MW, color=ORANGE, linewidth=0, label="settlement"
    )
    true_kw = np.maximum(day.measured_kw - day.counterfactual_kw, 0.0)
    axes.plot(day.at_s, true_kw / _MW, color=GREEN, linewidth=0.9, label="twin")
    for number, (from_s, until_s, cap_kw) in enumerate(day.rebound_caps):
        label = "cap" if number == 0 else None
        axes.plot([from_s, until_s], [cap_kw / _MW] * 2, color=PURPLE, linestyle=":", linewidth=1.6, label=label)
    axes.set_ylabel("net load beyond baseline, MW", color=INK)
    return _finished(figure, axes, day.at_s)


def _canvas(height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    return figure, figure.subplots()


def _finished(figure: Figure, axes: Axes, at_s: FloatArray) -> Figure:
    dress(axes)
    clock_axis(axes, at_s)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best", **_LEGEND)
    return figure
