"""Ids of charging profiles: their layout, which the integrator's reference states."""

import pytest

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.nameplates import LAST_CONNECTOR
from adapters.ocpp.profiles.profile_ids import (
    COMMANDS_A_PLACE,
    OWN_DEFAULT,
    PROBE_PROFILE_ID,
    RESTATED,
    WAKING,
    command_number,
    profile_id,
    reserved_profile_id,
)

TX, TX_DEFAULT, CAP = ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT, ProfilePurpose.STATION_MAX


@pytest.mark.parametrize(
    ("connector", "purpose", "level", "place"),
    [(1, TX, 0, 4), (1, TX_DEFAULT, 0, 5), (1, TX_DEFAULT, 1, 6), (1, CAP, 0, 7), (2, TX, 0, 8), (126, CAP, 0, 507)],
)
def test_an_id_is_a_place_and_the_low_bits_of_the_command(
    connector: int, purpose: ProfilePurpose, level: int, place: int
) -> None:
    assert profile_id(connector, purpose, level, 7) == place * 2**22 + 7
    assert profile_id(connector, purpose, level, 7 + COMMANDS_A_PLACE) == place * 2**22 + 7
    assert profile_id(connector, purpose, level, 2**40) < 2**31 - 1001


@pytest.mark.parametrize("own", [RESTATED, WAKING])
def test_the_links_own_profiles_are_told_from_those_of_commands(own: int) -> None:
    number = profile_id(1, TX_DEFAULT, 1, own)
    assert command_number(number) == own
    assert all(
        profile_id(1, TX_DEFAULT, 1, i) != number for i in (1, COMMANDS_A_PLACE, COMMANDS_A_PLACE + 1, 2**63 - 1)
    )


def test_the_last_connectors_default_has_an_id_above_that_of_the_control_test() -> None:
    assert profile_id(LAST_CONNECTOR, TX_DEFAULT, 0, OWN_DEFAULT) > PROBE_PROFILE_ID == 2**31 - 1001


def test_the_links_own_default_keeps_its_id() -> None:
    assert profile_id(1, TX_DEFAULT, 0, OWN_DEFAULT) == reserved_profile_id(1) == 2**31 - 2
    assert command_number(reserved_profile_id(1)) == OWN_DEFAULT
