"""Every test file has a tier, and what starts processes or brokers is not among the fast ones."""

import re
from pathlib import Path

import pytest

from tests.tiers import NAMES, TESTS, TIERS, tier_of

FILES = sorted(TESTS.rglob("test_*.py"))
STARTS = re.compile(r"\b(?:NatsServer|local_nats|local_broker|tests\.story\.(?:processes|dispatcher))\b")


def test_every_file_has_a_tier() -> None:
    assert len(FILES) > 200
    assert [str(path) for path in FILES if tier_of(path) not in NAMES] == [], "add their folder to tests/tiers.py"


def test_every_test_bears_one_tier(request: pytest.FixtureRequest) -> None:
    found = [NAMES & {mark.name for mark in item.iter_markers()} for item in request.session.items]
    assert {len(tiers) for tiers in found} == {1}


@pytest.mark.parametrize("begin", TIERS)
def test_a_line_of_the_table_is_about_a_file(begin: str) -> None:
    assert any(path.relative_to(TESTS).as_posix().startswith(begin) for path in FILES)


def test_a_place_that_is_not_in_the_table_has_no_tier() -> None:
    assert tier_of(TESTS / "elsewhere" / "test_x.py") is None


def test_fast_files_start_neither_brokers_nor_services() -> None:
    fast = [path for path in FILES if tier_of(path) == "fast" and path != Path(__file__)]
    assert [str(path) for path in fast if STARTS.search(path.read_text(encoding="utf-8"))] == []
