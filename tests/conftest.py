"""Settings of all tests: the tier of each, and in continuous integration the same examples every time; log lines."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.tiers import NAMES, place_in_order, tier_of_test

settings.register_profile("person", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "person")


USUAL_ADDITIONS_S = 0.035
"""CPU time of a million additions in a loop where these tests were written, at full speed."""
SLOW_RATIO = 3.0
_BEGAN_WALL_S = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--minutes``, after which no further test begins."""
    parser.addoption("--minutes", type=float, default=None, help="skip, with that reason, what has not begun by then")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what comes too late: a run that is cut off says nothing at all."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - _BEGAN_WALL_S > 60.0 * minutes:
        pytest.skip(f"not begun within {minutes:g} minutes on this machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order, mark each that bears no tier of its own, and leave variants out on slow cores."""
    items.sort(key=lambda item: place_in_order(item.path))
    slowness = _slowness()
    for item in items:
        if slowness > SLOW_RATIO and item.get_closest_marker("variant"):
            item.add_marker(
                pytest.mark.skip(reason=f"a variant, left out on cores {slowness:.0f} times slower than usual")
            )
        tier = tier_of_test(item)
        if tier is not None and not NAMES & {mark.name for mark in item.iter_markers()}:
            item.add_marker(tier)


def _slowness() -> float:
    """Return how many times slower this machine's cores are than usual, by the CPU time of a loop."""
    began_s, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - began_s) / USUAL_ADDITIONS_S


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
