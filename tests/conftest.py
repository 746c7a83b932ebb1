"""Settings of all tests: the tier of each, and in continuous integration the same examples every time; log lines."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.tiers import NAMES, tier_of

settings.register_profile("person", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "person")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that bears no tier of its own with that of its place."""
    for item in items:
        tier = tier_of(item.path)
        if tier is not None and not NAMES & {mark.name for mark in item.iter_markers()}:
            item.add_marker(tier)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    """Structured log lines of the test: ``event``, ``log_level`` and fields."""
    with capture_logs() as lines:
        yield lines
