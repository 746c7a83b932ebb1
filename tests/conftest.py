"""Settings of all tests: the tier of each, and in continuous integration the same examples every time."""

import os

import pytest
from hypothesis import settings

from tests.tiers import NAMES, tier_of

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that bears no tier of its own with that of its place."""
    for item in items:
        tier = tier_of(item.path)
        if tier is not None and not NAMES & {mark.name for mark in item.iter_markers()}:
            item.add_marker(tier)
