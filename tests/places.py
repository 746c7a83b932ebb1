"""Folders that tests read: the project's own and, where it is present, what is shared with it."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""Of the project."""
SHARED = ROOT.parent / "shared"
"""Reference instances, field cases and public data; tests that use them skip where it is absent."""
FIXTURES = ROOT / "tests" / "fixtures"
