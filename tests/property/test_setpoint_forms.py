"""Setpoint forms tried after a refusal: few, all different, and none lasts for ever."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.power_units import RateUnit
from adapters.ocpp.profiles.setpoint_forms import WHOLE, Choice, End, SetpointForm, forms

MOST = 24
PURPOSES = (ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT, ProfilePurpose.STATION_MAX)
CHOICES = st.builds(
    Choice,
    purposes=st.permutations(PURPOSES).flatmap(lambda order: st.integers(1, 3).map(lambda n: order[:n])),
    units=st.permutations(tuple(RateUnit)),
    ends=st.permutations(tuple(End)),
    step=st.sampled_from((0.1, WHOLE)),
    setpoint=st.booleans(),
    proven=st.booleans(),
    ceiling=st.booleans(),
)


@given(CHOICES)
def test_the_best_known_comes_first_and_the_others_are_few(choice: Choice) -> None:
    tried = list(forms(choice))
    assert (tried[0].purpose, tried[0].unit, tried[0].end) == (choice.purposes[0], choice.units[0], choice.ends[0])
    assert len(tried) <= MOST
    assert all(way.step == WHOLE or way.unit is RateUnit.A for way in tried[1:])


@given(CHOICES, st.data())
def test_a_station_that_refuses_one_thing_is_given_its_value(choice: Choice, data: st.DataObject) -> None:
    """One purpose, unit or end refused: another is found before everything has been tried."""
    refused = data.draw(st.sampled_from([*choice.purposes, *choice.units, *choice.ends]))
    others = {ProfilePurpose: choice.purposes, RateUnit: choice.units, End: choice.ends}[type(refused)]
    takes = [way for way in forms(choice) if refused not in (way.purpose, way.unit, way.end)]
    assert takes or len(others) == 1


@given(CHOICES, st.data())
def test_a_station_that_takes_one_purpose_in_one_unit_is_given_its_value(choice: Choice, data: st.DataObject) -> None:
    purpose, unit = data.draw(st.sampled_from(choice.purposes)), data.draw(st.sampled_from(choice.units))
    assert any((way.purpose, way.unit) == (purpose, unit) for way in forms(choice))


@given(CHOICES, st.data())
def test_a_station_that_takes_one_purpose_with_one_end_is_given_its_value(choice: Choice, data: st.DataObject) -> None:
    purpose, end = data.draw(st.sampled_from(choice.purposes)), data.draw(st.sampled_from(choice.ends))
    assert any(fits(way, purpose, end) for way in forms(choice))


def fits(way: SetpointForm, purpose: ProfilePurpose, end: End) -> bool:
    return (way.purpose, way.end) == (purpose, end)


def test_amperes_keep_their_decimals_until_these_are_refused() -> None:
    choice = Choice(purposes=PURPOSES[:1], units=(RateUnit.W, RateUnit.A), ends=(End.ALL,), step=0.1)
    assert [way.step for way in forms(choice) if way.unit is RateUnit.A] == [0.1, WHOLE]
