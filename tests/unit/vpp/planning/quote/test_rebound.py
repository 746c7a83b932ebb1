"""Rebound of batteries that were emptied before their scheduled discharge."""

import numpy as np

from tests.unit.vpp.planning.city_parts import basis, city_draft, expected, now
from vpp.domain.timegrid import instant
from vpp.lab.bench.synthetic_city import NOW_S
from vpp.planning.flexibility.flexibility_basis import FlexibilityBasis
from vpp.planning.flexibility.flexibility_inputs import FlexibilityInputs
from vpp.planning.quote.quote import quote_on


def test_a_battery_that_is_emptied_falls_short_of_its_schedule_and_the_quote_says_so() -> None:
    evening = city_draft(target_kw=30_000.0, start_at=instant(NOW_S + 5.5 * 3600), end_at=instant(NOW_S + 6.5 * 3600))
    answer = quote_on(basis(), evening, committed_kw=np.zeros(192), now=instant(NOW_S))
    resting = FlexibilityBasis.of(FlexibilityInputs.of(now(), forecast=expected()), basis().delivery_ratio)
    rested = quote_on(resting, evening, committed_kw=np.zeros(192), now=instant(NOW_S))
    # From six to eight the plan discharges; with the charge gone that load comes back on top.
    assert max(answer.rebound_kw) > max(rested.rebound_kw)
