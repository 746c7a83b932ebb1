"""The tier of every test: fast, process or soak.

A test takes the tier of its file: that of the longest path that begins the file's own. A test or file that bears one of
the three marks keeps it, and a fast test that is run on a database server is among those of processes.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.places import ROOT

TESTS = ROOT / "tests"
TIERS: Mapping[str, str] = {
    "conformance/": "process",
    "fuzz/": "soak",
    "load/": "fast",
    "property/": "soak",
    "story/": "soak",
    "story/test_processes_": "process",
    "unit/": "fast",
}
NAMES = frozenset(TIERS.values())
ORDER = ("story/", "conformance/", "unit/")
"""What begins first: the longest, so that no worker is left alone with them, then what tells most in a minute."""


def tier_of(path: Path) -> str | None:
    """Return the tier a file takes from its place, ``None`` for a place that is not in the table."""
    place = path.relative_to(TESTS).as_posix()
    return max(((len(begin), tier) for begin, tier in TIERS.items() if place.startswith(begin)), default=(0, None))[1]


def tier_of_test(item: pytest.Item) -> str | None:
    """Return the tier a test takes from its file and its parameters."""
    tier = tier_of(item.path)
    case = getattr(item, "callspec", None)
    on_server = case is not None and case.params.get("url") == "postgresql"
    return "process" if tier == "fast" and on_server else tier


def place_in_order(path: Path) -> int:
    """Return when a file's turn is: the number of its place in the order, after all of them for any other place."""
    place = path.relative_to(TESTS).as_posix()
    return next((number for number, begin in enumerate(ORDER) if place.startswith(begin)), len(ORDER))
