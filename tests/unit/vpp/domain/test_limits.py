"""Limits of batteries and promises: what is accepted."""

import math

import pytest

from vpp.domain.errors import InputError
from vpp.domain.limits import UNSTATED, Limits


def test_what_is_stated_stands_and_the_rest_is_left_open() -> None:
    assert Limits(soc_floor=0.3, soc_ceiling=0.3, promise_margin_s=0.0) != UNSTATED
    assert Limits() == UNSTATED


@pytest.mark.parametrize(
    ("stated", "field"),
    [
        ({"soc_floor": -0.1}, "soc_floor"),
        ({"soc_ceiling": 1.1}, "soc_ceiling"),
        ({"soc_floor": math.nan}, "soc_floor"),
        ({"promise_margin_s": -1.0}, "promise_margin_s"),
        ({"wear_cny_per_kwh": math.inf}, "wear_cny_per_kwh"),
        ({"soc_floor": 0.6, "soc_ceiling": 0.5}, "soc_ceiling"),
    ],
)
def test_values_out_of_range_are_refused_by_name(stated: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as refused:
        Limits(**stated)
    assert refused.value.field == field
