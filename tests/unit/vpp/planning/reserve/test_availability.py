"""Power that could be called now, and whose it is."""

from dataclasses import replace

import numpy as np

from tests.unit.vpp.planning.city_parts import basis, now
from tests.unit.vpp.planning.reserve.test_standing_hours import TERMS
from vpp.domain.standing import StandingHours
from vpp.planning.reserve.availability import available_now


def test_rows_that_could_give_stand_behind_the_power_and_a_longer_call_finds_no_more() -> None:
    short = available_now(basis(), replace(TERMS, longest_call_minutes=30.0), now_s=now().at_s)
    long = available_now(basis(), replace(TERMS, longest_call_minutes=240.0), now_s=now().at_s)
    assert 0.0 < long.power_kw <= short.power_kw * (1.0 + 1e-9)
    assert len(np.unique(long.rows)) == len(long.rows)
    assert (long.row_kw > 0.0).all()
    assert short.row_kw.sum() >= short.power_kw * 0.5


def test_an_area_counts_its_own_rows_only() -> None:
    index = now().index
    area = index.areas[0].id
    found = available_now(basis(), replace(TERMS, area=area), now_s=now().at_s)
    assert index.in_area(area)[found.rows].all()
    assert found.power_kw < available_now(basis(), TERMS, now_s=now().at_s).power_kw


def test_a_call_is_no_longer_than_the_hours_it_lies_in() -> None:
    half = replace(TERMS, hours=(StandingHours(from_hour=13.0, until_hour=13.5),), longest_call_minutes=240.0)
    stated = replace(TERMS, longest_call_minutes=30.0)
    found, as_stated = (available_now(basis(), terms, now_s=now().at_s) for terms in (half, stated))
    assert found.power_kw == as_stated.power_kw > available_now(basis(), TERMS, now_s=now().at_s).power_kw
