"""Settings of all tests: the tier of each, and in continuous integration the same examples every time; log lines."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
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


@pytest.fixture(scope="session", autouse=True)
def _loggers_keep_no_configuration() -> Iterator[None]:
    """A logger that keeps the configuration of its first use would write past what a later test captures."""
    configure = structlog.configure

    def configure_uncached(**settings: Any) -> None:  # noqa: ANN401 - any setting of structlog
        configure(**{**settings, "cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", configure_uncached)
        yield


@pytest.fixture(autouse=True)
def _log_configuration_of_one_test() -> Iterator[None]:
    """A command run within a test sets the level of all loggers; the next test has the usual one."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    """Structured log lines of the test: ``event``, ``log_level`` and fields."""
    with capture_logs() as lines:
        yield lines
