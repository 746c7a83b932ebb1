"""Tables of the figures on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_TABLES = ("blocks", "levels", "directions", "lengths", "day_types", "laws", "ages")
_FIGURES = ("p10_kept", "p50_kept", "p90_exceeded")
_SHOWN = (
    "days",
    "calls",
    "windows",
    "sold_to_oracle_ratio",
    "worst_block_p10_kept_ratio",
    "true_accuracy_mean",
    "true_accuracy_p5_quarter",
    "settled_minus_true_points",
    "promises_broken_per_10000",
    "caps_broken",
)


def show(console: Console, body: Mapping[str, Any]) -> None:
    """Print the figures, then one table for each way of telling windows apart, if there are any."""
    for table in _tables(body):
        console.print(table)
    hindsight = body["hindsight"]
    console.print(
        f"p10 kept in {hindsight['calls']} calls by truth {_percent(hindsight['p10_kept_by_truth_ratio'])}, "
        f"in windows like them by hindsight {_percent(hindsight['p10_kept_by_hindsight_ratio'])}"
    )


def _tables(body: Mapping[str, Any]) -> Iterator[Table]:
    whole = Table("figure", "value", "nine in ten draws of days")
    for name in _FIGURES:
        low, high = body[f"{name}_interval"]
        whole.add_row(f"{name}_ratio", _percent(body[f"{name}_ratio"]), f"{_percent(low)} to {_percent(high)}")
    for name in _SHOWN:
        whole.add_row(name, "-" if body[name] is None else f"{body[name]:g}", "")
    yield whole
    for name in _TABLES:
        if body[name]:
            yield _table(body[name])


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    keys = [key for key in rows[0] if key not in {"windows", "days"} and isinstance(rows[0][key], str)]
    table = Table(*keys, "windows", "p10 kept", "p50 kept", "p90 exceeded", "sold to oracle")
    for row in rows:
        low, high = row["p10_kept_interval"]
        table.add_row(
            *(str(row[key]) for key in keys),
            f"{row['windows']:,}",
            f"{_percent(row['p10_kept_ratio'])} ({_percent(low)} to {_percent(high)})",
            *(_percent(row[f"{name}_ratio"]) for name in _FIGURES[1:]),
            _percent(row["sold_to_oracle_ratio"]),
        )
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
