"""Figures of a run: kept, sold and delivered, overall and by notice, block, level, direction, day type and age."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vpp.domain.telemetry import BoolArray
from vpp.lab.honesty.judged_windows import JudgedWindows
from vpp.lab.honesty.promises import Interval, Promises
from vpp.lab.honesty.sold_share import sold_ratio
from vpp.lab.honesty.stretch import Played
from vpp.lab.honesty.true_calls import TrueCall
from vpp.planning.calibration.cells import BLOCKS, DIRECTIONS, LEVELS, NOTICES

JUDGED_WINDOWS = 200
"""Windows of a notice and block from which it counts for the worst one."""
_WORST_SHARE = 5.0
_NAMES = ("p10_kept", "p50_kept", "p90_exceeded")
_A_DAY, _BROKEN_PER = 86_400.0, 10_000.0


def figures(played: Sequence[Played]) -> dict[str, Any]:
    """Return the figures of all stretches together as JSON-like values, ``None`` where nothing is known."""
    windows = JudgedWindows.together([one.windows for one in played])
    calls = [call for one in played for call in one.calls]
    shadows = Promises.of_windows(windows)
    every = Promises.together(shadows, Promises.of_calls(calls))
    blocks = _blocks(windows, shadows, every)
    judged = [one["p10_kept_ratio"] for one in blocks if one["windows"] >= JUDGED_WINDOWS]
    days = sum(int(one.totals["days"]) for one in played)
    return {
        "days": days,
        "calls": len(calls),
        "windows": len(windows),
        **_kept(every),
        "sold_to_oracle_ratio": _known(sold_ratio(windows, shadows.weight)),
        "worst_block_p10_kept_ratio": min(judged, default=None),
        **_delivery(calls),
        **_harm(played),
        "hindsight": _hindsight(shadows, calls),
        "blocks": blocks,
        **_groups(windows, shadows),
        "left_out": _left_out(played),
    }


def _kept(promises: Promises) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for quantile, name in enumerate(_NAMES):
        found = promises.kept_ratio(quantile)
        body[f"{name}_ratio"] = _known(found.ratio)
        body[f"{name}_interval"] = _ends(found)
    return body


def _row(windows: JudgedWindows, shadows: Promises, inside: BoolArray) -> dict[str, Any]:
    chosen = shadows.chosen(inside)
    return {
        "windows": int(np.count_nonzero(inside)),
        "days": len(np.unique(chosen.day)),
        **_kept(chosen),
        "sold_to_oracle_ratio": _known(sold_ratio(windows.chosen(inside), chosen.weight)),
    }


def _blocks(windows: JudgedWindows, shadows: Promises, every: Promises) -> list[dict[str, Any]]:
    rows = []
    for notice, name in enumerate(NOTICES):
        for block, hours in enumerate(BLOCKS):
            inside = (windows.notice == notice) & (windows.block == block)
            if inside.any():
                called = every.chosen((every.notice == notice) & (every.block == block))
                row = _row(windows, shadows, inside) | _kept(called)
                rows.append({"notice": name, "block": hours} | row)
    return rows


def _groups(windows: JudgedWindows, shadows: Promises) -> dict[str, Any]:
    """Return one table for each way of telling windows apart."""
    age = windows.day - windows.day.min(initial=np.iinfo(np.int64).max)
    fives = np.minimum(age // 5, 12)
    kinds = windows.day_types()
    level = np.where(windows.is_city, LEVELS[0], LEVELS[1])
    direction = np.array([one.value for one in DIRECTIONS])[windows.direction]
    law = np.where(windows.learnt, "learnt", "normal")
    since = np.array([f"{5 * five:02d}-{5 * five + 4:02d}" for five in range(12)] + ["60 and later"])[fives]
    length = np.array([f"{steps // 4} h" for steps in windows.steps.tolist()])
    ways = {
        "levels": ("level", level),
        "directions": ("direction", direction),
        "lengths": ("length", length),
        "day_types": ("day_type", kinds),
        "laws": ("law", law),
        "ages": ("days_since_begin", since),
        "areas": ("area", windows.area),
    }
    return {
        name: [
            {key: str(value)} | _row(windows, shadows, np.asarray(column == value))
            for value in np.unique(column).tolist()
        ]
        for name, (key, column) in ways.items()
    }


def _delivery(calls: Sequence[TrueCall]) -> dict[str, float | None]:
    accuracy = [one.accuracy_true_ratio for one in calls]
    worst = [one.worst_true_ratio for one in calls]
    apart = [
        one.accuracy_settled_ratio - one.accuracy_true_ratio for one in calls if one.accuracy_settled_ratio is not None
    ]
    return {
        "true_accuracy_mean": _known(float(np.mean(accuracy))) if calls else None,
        "true_accuracy_p5_quarter": _known(float(np.percentile(worst, _WORST_SHARE))) if calls else None,
        "settled_minus_true_points": _known(100.0 * float(np.mean(apart))) if apart else None,
    }


def _harm(played: Sequence[Played]) -> dict[str, float | int | None]:
    broken, sessions, caps = (
        sum(int(one.totals[name]) for one in played) for name in ("promises_broken", "sessions", "caps_broken")
    )
    return {
        "promises_broken": broken,
        "sessions": sessions,
        "promises_broken_per_10000": round(_BROKEN_PER * broken / sessions, 3) if sessions else None,
        "caps_broken": caps,
    }


def _hindsight(shadows: Promises, calls: Sequence[TrueCall]) -> dict[str, Any]:
    """Return how often p10 was kept in calls, by truth, and in windows of the city like them, by hindsight.

    Windows like a call have its direction, notice and block; each call weighs alike.
    """
    called, like = Promises.of_calls(calls), []
    for number in range(len(called)):
        alike = shadows.is_city & (shadows.direction == called.direction[number])
        alike &= (shadows.notice == called.notice[number]) & (shadows.block == called.block[number])
        like.append(shadows.chosen(alike).kept_ratio(0).ratio if alike.any() else np.nan)
    known = np.isfinite(like)
    truth = (
        called.chosen(np.asarray(known)).kept_ratio(0)
        if len(called)
        else Interval(ratio=np.nan, low=np.nan, high=np.nan)
    )
    return {
        "calls": int(np.count_nonzero(known)),
        "p10_kept_by_truth_ratio": _known(truth.ratio),
        "p10_kept_by_truth_interval": _ends(truth),
        "p10_kept_by_hindsight_ratio": _known(float(np.nanmean(like))) if np.any(known) else None,
    }


def _left_out(played: Sequence[Played]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in played:
        counts: Mapping[str, int] = one.totals["left_out"]
        for reason, count in counts.items():
            total[reason] = total.get(reason, 0) + int(count)
    return total


def _ends(found: Interval) -> list[float | None]:
    return [_known(found.low), _known(found.high)]


def _known(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
