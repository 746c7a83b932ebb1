"""Figures of a start on a journal of years."""

import os

from typer.testing import CliRunner

from vpp.cli import app
from vpp.lab.bench.restart.run import PEAK, PSS, Start, figures, memory_mb


def test_every_start_has_its_own_names_and_the_peaks_those_that_are_compared() -> None:
    start = Start(ready_s=1.0, ready_cpu_s=2.0, ready_rss_mb=3.0, peak_rss_mb=4.0, pss_mb=5.0)
    assert figures(start, "") == {
        "ready_s": 1.0,
        "ready_cpu_s": 2.0,
        "ready_rss_mb": 3.0,
        "peak_rss_mb": 4.0,
        "pss_mb": 5.0,
    }
    assert figures(start, "empty_")["empty_rss_mb"] == 4.0
    assert "empty_peak_rss_mb" not in figures(start, "empty_")


def test_the_help_says_what_the_compared_figures_mean() -> None:
    shown = CliRunner().invoke(app, ["bench", "restart", "--help"]).stdout
    for name in ("events", "ready_s", "peak_rss_mb", "empty_rss_mb", "journal_mb_per_day"):
        assert f"{name}:" in shown


def test_memory_is_read_of_a_process_that_runs() -> None:
    assert memory_mb(os.getpid(), PEAK) >= memory_mb(os.getpid(), PSS) > 10.0
