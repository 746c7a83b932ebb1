"""What a station holds: the tied value first, the other beneath, the default at the bottom, and each end reported."""

import pytest

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.profile_ids import command_number
from adapters.ocpp.station import installed_profiles
from tests.conformance.ocpp_bench import EV
from tests.unit.adapters.ocpp.station.parts import DEFAULT_KW, Held

TX, DEFAULT = ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT


@pytest.fixture
def held() -> Held:
    """Return a station that holds nothing yet."""
    return Held()


def test_the_tied_value_goes_before_the_other_and_the_default_beneath_both(held: Held) -> None:
    assert installed_profiles.in_force(held.station, EV) is None
    held.install(1, 5.0, DEFAULT)
    held.install(2, 3.0, TX)
    assert (held.limit_kw, held.leases) == (3.0, [(1900.0, EV), (1900.0, EV)])
    tied, other = installed_profiles.at_row(held.station, EV)
    assert (command_number(tied.profile_id), command_number(other.profile_id)) == (2, 1)
    assert installed_profiles.by_connector(held.station) == {1: tied}
    installed_profiles.drop(held.station, EV, tied)
    assert held.limit_kw == 5.0
    installed_profiles.clear(held.station, EV)
    assert held.limit_kw == DEFAULT_KW
    assert not installed_profiles.by_connector(held.station)
    installed_profiles.record_default(held.station, EV, 6.0)
    assert held.limit_kw == 6.0


def test_a_value_ends_with_its_lease_and_not_before(held: Held) -> None:
    held.install(1, 5.0, DEFAULT)
    held.clock.at_s = 1899.0
    installed_profiles.expire(held.station, EV)
    assert held.limit_kw == 5.0
    held.clock.at_s = 1900.0
    installed_profiles.expire(held.station, EV)
    assert held.limit_kw == DEFAULT_KW


def test_a_restored_value_is_as_old_as_it_was_and_an_updated_one_is_new(held: Held) -> None:
    held.install(1, 5.0, DEFAULT, dynamic=True)
    held.clock.at_s = 1100.0
    held.install(2, 5.0, DEFAULT, again=True, dynamic=True)
    restored = installed_profiles.in_force(held.station, EV)
    assert restored is not None
    assert (restored.since_s, command_number(restored.profile_id)) == (1000.0, 2)
    held.clock.at_s = 1200.0
    installed_profiles.update(held.station, EV, 4.0, tied=False)
    updated = installed_profiles.in_force(held.station, EV)
    assert updated is not None
    assert (updated.since_s, updated.power_kw, held.limit_kw) == (1200.0, 4.0, 4.0)
    assert restored.power_kw == 5.0  # replaced, never changed


def test_what_is_not_there_cannot_be_removed(held: Held) -> None:
    held.install(1, 5.0, DEFAULT)
    assert not installed_profiles.remove(held.station, EV, tied=True)
    assert installed_profiles.remove(held.station, EV, tied=False)
    assert not installed_profiles.remove(held.station, EV, tied=False)
