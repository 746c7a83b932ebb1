"""Progress lines, sums over processes and the final report of the load tests."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def say(line: str) -> None:
    """Write a line of progress to standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def total(replies: Sequence[Mapping[str, Any]], name: str) -> float:
    """Return the sum of a figure over processes."""
    return float(sum(reply[name] for reply in replies))


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the figures: one JSON object, or a table."""
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    for name, value in figures.items():
        sys.stdout.write(f"{name:36} {value}\n")
