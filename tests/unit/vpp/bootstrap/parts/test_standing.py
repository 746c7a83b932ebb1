"""Standing commitments out of a file: as over the API, and refused by field and value."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from vpp.bootstrap.parts.standing import commitments_in
from vpp.domain.errors import ConfigurationError

GOOD = """
[[commitment]]
id = "noon"
power_kw = 1000
availability_cny_per_mw_h = "120.50"
from_at = 2026-07-01T00:00:00+08:00
[[commitment.hours]]
from_hour = 13
until_hour = 15
months = [7, 8]
day_types = ["workday"]

[[commitment]]
power_kw = 5.5
availability_cny_per_mw_h = 80
shortfall_cny_per_mw_h = 300
"""


def test_a_file_states_commitments_as_the_api_does(tmp_path: Path) -> None:
    path = tmp_path / "standing.toml"
    path.write_text(GOOD, encoding="utf-8")
    noon, day = commitments_in(path)
    assert (noon.id, day.id) == ("noon", "settings-2")
    assert noon.terms.availability_cny_per_mw_h == Decimal("120.50") == noon.terms.shortfall_cny_per_mw_h
    assert noon.terms.from_at == datetime(2026, 6, 30, 16, tzinfo=UTC)
    assert noon.terms.hours[0].day_types == {"workday"}
    assert day.terms.hours[0].length_h == 24.0
    assert day.holds_at(noon.terms.from_at)
    assert commitments_in(None) == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[commitment]]\npower_kw = 0\navailability_cny_per_mw_h = 1", "commitment 1 power_kw"),
        ("[[commitment]]\npower_kw = 1", "commitment 1 availability_cny_per_mw_h"),
        ("[[commitment]]\npower_kw = 1\navailability_cny_per_mw_h = 1\nprice = 2", "commitment 1 price"),
        ("[[commitments]]\npower_kw = 1", "tables"),
        ('[[commitment]]\nid = "a"\npower_kw = 1\navailability_cny_per_mw_h = 1\n' * 2, "commitment.id"),
        ("[[commitment]]\npower_kw = 1\navailability_cny_per_mw_h = 1\nfrom_at = 2026-07-01T00:00:00", "from_at"),
        ("commitment = 3", "tables"),
        ("power_kw =", "Invalid value"),
    ],
)
def test_a_file_that_makes_no_sense_names_the_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "standing.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"VPP_STANDING_COMMITMENTS .*{named}"):
        commitments_in(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"VPP_STANDING_COMMITMENTS .*none\.toml"):
        commitments_in(tmp_path / "none.toml")
