"""Verdict of the demo: accepted against true delivery, and the contribution of every class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.console import Console
from rich.table import Table

LEAST_ACCURACY = 0.98
_LEAST_ACCEPTED_RATIO = 0.8
_MUST_BE_ZERO = ("promises_broken", "cap_violations", "setpoints_unaccounted", "limits_not_restored")
_CARS = ("ev", "v2g")


def summarise(
    request: Mapping[str, Any],
    performance: Mapping[str, Any],
    commands: Mapping[str, int],
    truth: Mapping[str, Any],
    *,
    resources: int,
) -> dict[str, float]:
    """Return the figures of a run by their public names.

    Args:
        request: The settled request as the API shows it.
        performance: Its measurement.
        commands: What became of every setpoint.
        truth: True delivery, as ``judge_truth`` returns it.
        resources: Devices registered.
    """
    return {
        "quoted_p50_kw": min(request["quote"]["deliverable_kw"]["p50"]),
        "accepted_kw": request["accepted_kw"],
        "delivered_mean_kw": performance["delivered_mean_kw"],
        "accuracy_ratio": performance["accuracy_ratio"],
        "accuracy_true_ratio": truth["accuracy_true_ratio"],
        "worst_interval_accuracy_ratio": performance["worst_interval_accuracy_ratio"],
        "cars_share_ratio": cars_share(truth["class_delivered_kw"]),
        "promises_broken": truth["promises_broken"],
        "cap_violations": truth["cap_violations"],
        "setpoints_sent": commands["sent"],
        "setpoints_confirmed": commands["confirmed"],
        "setpoints_unaccounted": commands["unaccounted"],
        "limits_not_restored": truth["limits_not_restored"],
        "rebound_peak_kw": performance["rebound_peak_kw"],
        "resources": resources,
    }


def cars_share(class_kw: Mapping[str, float]) -> float:
    """Return the share of chargers and V2G in the energy delivered, NaN where nothing was."""
    total_kw = sum(class_kw.values())
    return sum(class_kw.get(name, 0.0) for name in _CARS) / total_kw if total_kw > 0.0 else float("nan")


def failed_checks(summary: Mapping[str, float]) -> list[str]:
    """Return the checks that failed, as text; empty if none did."""
    ratios = ("accuracy_ratio", "accuracy_true_ratio")
    failed = [
        f"{name} {summary[name]:.4f} is below {LEAST_ACCURACY}"
        for name in ratios
        if not summary[name] >= LEAST_ACCURACY
    ]
    if not summary["accepted_kw"] >= _LEAST_ACCEPTED_RATIO * summary["quoted_p50_kw"]:
        failed.append(f"accepted {summary['accepted_kw']} kW is less than 80 % of the quote")
    return failed + [f"{name} is {summary[name]}, not 0" for name in _MUST_BE_ZERO if summary[name] != 0]


def print_verdict(
    console: Console,
    summary: Mapping[str, float],
    contributions: list[tuple[str, float, float]],
    failed: list[str],
    out: Path,
) -> None:
    """Print figures, contributions and verdict."""
    for name, value in summary.items():
        console.print(f"  {name:32} {_shown(name, value):>10}")
    table = Table("contribution", "by meters, kW", "in truth, kW", box=None)
    for name, metered_kw, true_kw in contributions:
        table.add_row(name, f"{metered_kw:,.0f}", f"{true_kw:,.0f}")
    console.print(table)
    console.print(f"report: {out / 'report.html'}")
    for line in failed:
        console.print(f"[red]not kept:[/] {line}")
    if not failed:
        console.print("[green]what was accepted was delivered, and every promise kept[/]")


def class_contributions(performance: Mapping[str, Any], truth: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return class, metered and true mean power over the hold in kW, the greatest first."""
    metered, true = performance["class_delivered_kw"], truth["class_delivered_kw"]
    names = {name for name in (*metered, *true) if abs(true.get(name, 0.0)) + abs(metered.get(name) or 0.0) > 0.0}
    rows = [(name, float(metered.get(name) or 0.0), float(true.get(name, 0.0))) for name in names]
    return sorted(rows, key=lambda row: -row[2])


def with_contributions(page: str, contributions: list[tuple[str, float, float]]) -> str:
    """Return the report's page with a table of metered and true contributions by class at its end."""
    rows = Markup().join(
        Markup('<tr><th scope="row">{}</th><td class="n">{:,.0f}</td><td class="n">{:,.0f}</td></tr>').format(*row)
        for row in contributions
    )
    section = Markup(
        '<section><h2>Contribution by class</h2><table><thead><tr><th scope="col">Class</th>'
        '<th scope="col" class="n">by meters, kW</th><th scope="col" class="n">in truth, kW</th></tr></thead>'
        "<tbody>{}</tbody></table><p>Means over the hold. The second column is the simulated fleet's own"
        " counterfactual, which the service never sees.</p></section>"
    ).format(rows)
    head, end, tail = page.rpartition("</main>" if "</main>" in page else "</body>")
    return f"{head}{section}{end}{tail}"


def _shown(name: str, value: float) -> str:
    if name.endswith("_ratio"):
        return f"{value:.4f}"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
