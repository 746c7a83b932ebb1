"""Standing commitments of a simulation: a file, or the short form."""

from pathlib import Path

import pytest

from vpp.bootstrap.parts.standing import commitments_in
from vpp.domain.errors import InputError
from vpp.lab.compose.standing_file import standing_file


def test_the_short_form_becomes_a_file_that_the_service_reads(tmp_path: Path) -> None:
    path = standing_file("kw=22000,hours=13-15+20-22,price=300,shortfall=900,call=3,minutes=90,calls=2", tmp_path)
    (found,) = commitments_in(path)
    terms = found.terms
    assert (terms.power_kw, terms.longest_call_minutes, terms.calls_a_day) == (22_000.0, 90.0, 2)
    assert [(hours.from_hour, hours.until_hour) for hours in terms.hours] == [(13.0, 15.0), (20.0, 22.0)]
    assert terms.missing_cny_per_kw_h == pytest.approx(1.2)
    assert standing_file(str(path), tmp_path) == path


@pytest.mark.parametrize("text", ["none.toml", "kw=1,hours=13-15", "kw=x,hours=1-2,price=3", "kw=1,hours=13,price=3"])
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="--standing"):
        standing_file(text, tmp_path)
