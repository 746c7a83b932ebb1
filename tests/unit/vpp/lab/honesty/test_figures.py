"""Figures: kept, sold and delivered of stretches together; what is not known is null."""

import json

import numpy as np
import pytest
from rich.console import Console

from tests.unit.vpp.lab.honesty.test_promises import call
from tests.unit.vpp.lab.honesty.windows import MONDAY_S, windows
from vpp.lab.honesty.figures import figures
from vpp.lab.honesty.judged_windows import JudgedWindows
from vpp.lab.honesty.picture import calibration_figure
from vpp.lab.honesty.report import show
from vpp.lab.honesty.stretch import Played
from vpp.lab.honesty.true_calls import TrueCall


def played(made: JudgedWindows, *calls: TrueCall, days: int = 2) -> Played:
    totals = {
        "days": days,
        "left_out": {"under_dispatch": 3},
        "promises_broken": 1,
        "sessions": 5000,
        "caps_broken": 0,
    }
    return Played(windows=made, calls=calls, totals=totals)


def two_days(seed: int = 1) -> JudgedWindows:
    """Return two days in whose first afternoon nothing was there, and in which p10 was always kept else."""
    start_s = MONDAY_S + 900.0 * np.arange(192)
    found = np.where((start_s >= MONDAY_S + 12 * 3600.0) & (start_s < MONDAY_S + 18 * 3600.0), 0.0, 105.0)
    return windows(found, start_s=start_s, seed=np.full(192, seed))


def test_kept_ratios_are_over_all_windows_and_the_worst_block_over_those_with_enough() -> None:
    body = figures([played(two_days(seed)) for seed in range(5)])
    assert (body["days"], body["calls"], body["windows"]) == (10, 0, 960)
    assert body["p10_kept_ratio"] == pytest.approx(1.0 - 24 / 192)
    assert body["worst_block_p10_kept_ratio"] == pytest.approx(0.5)
    assert {row["block"]: row["p10_kept_ratio"] for row in body["blocks"]} == {
        "00-06": 1.0,
        "06-12": 1.0,
        "12-18": 0.5,
        "18-24": 1.0,
    }
    assert body["p90_exceeded_ratio"] == 0.0
    assert body["promises_broken_per_10000"] == pytest.approx(2.0)
    assert body["left_out"] == {"under_dispatch": 15}
    assert figures([played(two_days())])["worst_block_p10_kept_ratio"] is None


def test_calls_are_judged_by_the_truth_and_compared_with_windows_like_them() -> None:
    calls = [call(accepted_kw=100.0, least_kw=90.0), call(accepted_kw=100.0, least_kw=100.0)]
    body = figures([played(windows(np.full(40, 95.0), direction=np.ones(40, dtype=np.int64)), *calls)])
    assert body["true_accuracy_mean"] == pytest.approx(0.97)
    assert body["settled_minus_true_points"] == pytest.approx(1.0)
    assert body["p10_kept_ratio"] == pytest.approx(41 / 42, abs=1e-4)
    assert body["p50_kept_ratio"] == 0.0
    assert body["hindsight"]["calls"] == 2
    assert body["hindsight"]["p10_kept_by_truth_ratio"] == 0.5
    assert body["hindsight"]["p10_kept_by_hindsight_ratio"] == 1.0


def test_without_calls_nothing_is_said_of_delivery() -> None:
    body = figures([played(two_days())])
    assert body["true_accuracy_mean"] is body["true_accuracy_p5_quarter"] is body["settled_minus_true_points"] is None
    assert body["hindsight"]["p10_kept_by_truth_ratio"] is None
    json.dumps(body, allow_nan=False)


def test_without_windows_calls_are_judged_all_the_same() -> None:
    body = {"world": "hostile"} | figures([played(windows([]), call(accepted_kw=100.0, least_kw=90.0))])
    assert (body["windows"], body["p10_kept_ratio"], body["areas"]) == (0, 0.0, [])
    json.dumps(body, allow_nan=False)
    show(Console(width=200), body)
    assert len(calibration_figure(body).axes) == 2


def test_a_share_of_nothing_is_drawn_as_nothing() -> None:
    axes, _ = calibration_figure({"world": "hostile"} | figures([played(two_days())])).axes
    assert axes.lines[-1].get_ydata()[0] == 0.0


def test_tables_and_picture_are_made_of_any_figures(capsys: pytest.CaptureFixture[str]) -> None:
    body = {"world": "hostile"} | figures([played(two_days(), call(accepted_kw=100.0, least_kw=99.0))])
    show(Console(width=200), body)
    assert "worst_block_p10_kept_ratio" in capsys.readouterr().out
    assert len(calibration_figure(body).axes) == 2
