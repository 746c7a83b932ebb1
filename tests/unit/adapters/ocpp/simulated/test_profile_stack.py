"""The sum of a connector's profiles."""

import math

from adapters.ocpp.simulated.connector import ends_s
from adapters.ocpp.simulated.profile_stack import InstalledProfile, ProfileStack, ProfileValue, Purpose


def profile(
    number: int, purpose: Purpose, power_kw: float, *, level: int = 0, until_s: float = math.inf
) -> InstalledProfile:
    return InstalledProfile(
        id=number,
        purpose=purpose,
        stack_level=level,
        transaction=None,
        from_s=0.0,
        until_s=until_s,
        periods=((0.0, power_kw),),
    )


def test_an_empty_stack_says_nothing() -> None:
    stack = ProfileStack()
    assert stack.default(0.0) is None
    assert stack.dispatch(0.0) is None


def test_the_transaction_s_profile_goes_before_a_higher_default_and_that_before_the_lowest() -> None:
    stack = ProfileStack()
    stack.install(profile(1, Purpose.TX_DEFAULT, 9.0))
    stack.install(profile(2, Purpose.TX_DEFAULT, 8.0, level=1))
    stack.install(profile(3, Purpose.TX, 7.0))
    assert stack.default(0.0) == ProfileValue(9.0, math.inf)
    assert stack.dispatch(0.0) == ProfileValue(7.0, math.inf)
    stack.clear(purpose=Purpose.TX)
    assert stack.dispatch(0.0) == ProfileValue(8.0, math.inf)


def test_a_profile_of_the_same_id_or_place_is_replaced() -> None:
    stack = ProfileStack()
    stack.install(profile(1, Purpose.TX_DEFAULT, 9.0))
    stack.install(profile(2, Purpose.TX_DEFAULT, 5.0))
    assert stack.default(0.0) == ProfileValue(5.0, math.inf)
    stack.install(profile(2, Purpose.TX_DEFAULT, 4.0, level=1))
    assert stack.default(0.0) is None
    assert stack.clear() == 1


def test_a_profile_counts_only_while_it_is_valid() -> None:
    stack = ProfileStack()
    stack.install(profile(1, Purpose.TX_DEFAULT, 9.0, level=1, until_s=100.0))
    assert stack.dispatch(99.0) == ProfileValue(9.0, 100.0)
    assert stack.dispatch(100.0) is None


def test_the_period_that_runs_is_the_one_that_counts() -> None:
    periods = ((10.0, 9.0), (60.0, 5.0))
    installed = InstalledProfile(
        id=1,
        purpose=Purpose.TX,
        stack_level=0,
        transaction=None,
        from_s=100.0,
        until_s=math.inf,
        periods=periods,
    )
    assert math.isnan(installed.power_kw(105.0))
    assert installed.power_kw(110.0) == 9.0
    assert installed.power_kw(160.0) == 5.0


def test_the_station_s_cap_lies_over_everything() -> None:
    stack = ProfileStack()
    stack.install(profile(1, Purpose.TX_DEFAULT, 9.0))
    stack.install(profile(2, Purpose.STATION_MAX, 6.0))
    assert stack.default(0.0) == ProfileValue(6.0, math.inf)


def test_a_profile_ends_with_its_validity_or_with_its_schedule_whichever_comes_first() -> None:
    absolute = {"chargingProfileKind": "Absolute"}
    valid = {"validTo": "1970-01-01T00:05:00Z"}
    assert ends_s(absolute, {}, 100.0) == math.inf
    assert ends_s({**absolute, **valid}, {}, 100.0) == 300.0
    assert ends_s(absolute, {"duration": 60}, 100.0) == 160.0
    assert ends_s({**absolute, **valid}, {"duration": 500}, 100.0) == 300.0
    assert ends_s({"chargingProfileKind": "Recurring"}, {"duration": 60}, 100.0) == math.inf
