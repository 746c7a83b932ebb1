"""Picture of promised against kept: one line a notice, and the share of p10 kept by notice and block."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vpp.console.plots import BLUE, GREEN, INK, MUTED, ORANGE, VERMILION, dress
from vpp.planning.calibration.cells import BLOCKS, NOTICES

_PROMISED = (0.1, 0.5, 0.9)
_NAMES = ("p90_exceeded", "p50_kept", "p10_kept")
_STYLES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."), (VERMILION, "D", ":"))
_ACCEPTED = (0.82, 0.96)
"""What the share of p10 kept may be in a notice and block."""


def calibration_figure(body: Mapping[str, Any]) -> Figure:
    """Draw figures as ``vpp.lab.honesty.figures.figures`` returns them."""
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _lines(left, body)
    _bars(right, body["blocks"])
    figure.suptitle(f"{body['days']} days of the {body['world']} world, {body['windows']:,} windows", color=INK)
    return figure


def _lines(axes: Axes, body: Mapping[str, Any]) -> None:
    dress(axes, along="both")
    axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1.0, linestyle=":")
    for notice, (colour, marker, dashes) in zip(NOTICES, _STYLES, strict=True):
        kept = _kept_at(body["blocks"], notice)
        axes.plot(_PROMISED, kept, color=colour, marker=marker, linestyle=dashes, label=f"{notice} ahead")
    whole = np.array([body[f"{name}_ratio"] for name in _NAMES], dtype=np.float64)
    ends = np.array([body[f"{name}_interval"] for name in _NAMES], dtype=np.float64)
    axes.fill_between(_PROMISED, ends[:, 0], ends[:, 1], color=MUTED, alpha=0.25, linewidth=0, label="all, 5 to 95 %")
    axes.plot(_PROMISED, whole, color=INK, linewidth=1.0)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="promised share", ylabel="kept share")
    axes.legend(frameon=False, loc="upper left")


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    dress(axes)
    axes.axhspan(*_ACCEPTED, color=MUTED, alpha=0.2, linewidth=0)
    width = 0.8 / len(NOTICES)
    for number, (notice, (colour, _, _)) in enumerate(zip(NOTICES, _STYLES, strict=True)):
        heights = [_one(rows, notice, block, "p10_kept") for block in BLOCKS]
        places = np.arange(len(BLOCKS)) + (number - 1.5) * width
        axes.bar(places, heights, width=0.9 * width, color=colour, label=f"{notice} ahead")
    axes.axhline(_PROMISED[-1], color=INK, linewidth=1.0, linestyle="--")
    axes.set_xticks(range(len(BLOCKS)), [f"{block} h" for block in BLOCKS])
    axes.set(ylim=(0, 1), ylabel="share of p10 kept")


def _kept_at(rows: Sequence[Mapping[str, Any]], notice: str) -> list[float]:
    """Return the kept shares of a notice, mean over blocks by their windows."""
    found = []
    for name in _NAMES:
        known = [(row[f"{name}_ratio"], row["windows"]) for row in rows if row["notice"] == notice]
        known = [(ratio, count) for ratio, count in known if ratio is not None]
        total = sum(count for _, count in known)
        found.append(sum(ratio * count for ratio, count in known) / total if total else np.nan)
    return found


def _one(rows: Sequence[Mapping[str, Any]], notice: str, block: str, name: str) -> float:
    found = [row[f"{name}_ratio"] for row in rows if (row["notice"], row["block"]) == (notice, block)]
    return float(found[0]) if found and found[0] is not None else np.nan
