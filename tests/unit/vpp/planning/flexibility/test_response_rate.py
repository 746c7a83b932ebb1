"""Response rates learned by cohort."""

from dataclasses import replace

import numpy as np

from tests.unit.vpp.planning.city_parts import made, now
from vpp.domain.resource import CHARGING, ResourceClass
from vpp.lab.bench.synthetic_city import NOW_S
from vpp.planning.flexibility.response_rate import PRIOR_RATIO, ResponseRates


def test_a_cohort_that_does_as_told_is_trusted_more_than_one_that_does_not() -> None:
    index, record = made().index, ResponseRates()
    rows = np.flatnonzero(index.is_class(*CHARGING) & now().connected & (now().quality == 0))
    told = np.full(len(index), np.nan)
    told[rows] = 3.0
    good = index.operator_code[rows] == index.operator_code[rows[0]]
    power = now().power_kw.copy()
    power[rows] = np.where(good, 3.0, 7.0)
    for cycle in range(4):
        record.observe(replace(now(), at_s=NOW_S + 100.0 * cycle, power_kw=power), told)
    ratio = record.ratio(index, {})
    assert ratio[rows[good]].min() > PRIOR_RATIO > ratio[rows[~good]].max()
    idle = np.flatnonzero(index.is_class(ResourceClass.HVAC))
    np.testing.assert_allclose(ratio[idle], PRIOR_RATIO)


def test_a_quote_on_the_fleet_of_before_is_answered_while_the_record_goes_on_with_the_fleet_that_has_grown() -> None:
    index, record = made().index, ResponseRates()
    before = index.first(resources=len(index) - 3)
    record.observe(now(), np.full(len(index), 3.0))
    assert record.ratio(before, {}).tolist() == record.ratio(index, {})[:-3].tolist()
    record.observe(now(), np.full(len(index), 3.0))
