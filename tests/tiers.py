"""The tier of every test file: fast, process or soak.

A file takes the tier of the longest path that begins its own;
a test or file that bears one of the three marks keeps it.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.places import ROOT

TESTS = ROOT / "tests"
TIERS: Mapping[str, str] = {
    "conformance/": "process",
    "fuzz/": "soak",
    "load/": "fast",
    "property/": "fast",
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


def place_in_order(path: Path) -> int:
    """Return when a file's turn is: the number of its place in the order, after all of them for any other place."""
    place = path.relative_to(TESTS).as_posix()
    return next((number for number, begin in enumerate(ORDER) if place.startswith(begin)), len(ORDER))
