"""Whether a station keeps the limits it accepted: what proves it, and what is learnt."""

import pytest

from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.station import limit_compliance
from adapters.ocpp.station.capability_cards import Offline
from tests.conformance.ocpp_bench import EV
from tests.unit.adapters.ocpp.station.parts import Held
from vpp.domain.trouble import Trouble

TX, DEFAULT = ProfilePurpose.TX, ProfilePurpose.TX_DEFAULT


@pytest.fixture
def held() -> Held:
    """Return a station that holds nothing yet."""
    return Held()


def comply(held: Held, power_kw: float, at_s: float) -> None:
    """Take a reading."""
    held.clock.at_s = at_s
    limit_compliance.check(held.station, held.station.points[0], power_kw, at_s)


def test_a_limit_that_is_not_kept_is_a_trouble_and_another_purpose_is_tried(held: Held) -> None:
    held.install(1, 5.0, TX)
    comply(held, 11.0, 1030.0)  # it may take a minute
    assert not held.station.troubles.has(EV, Trouble.IGNORES_LIMITS)
    comply(held, 11.0, 1100.0)
    assert held.station.troubles.has(EV, Trouble.IGNORES_LIMITS)
    assert (held.station.abilities.follows, held.station.abilities.purpose) == (False, DEFAULT)
    comply(held, 5.4, 1200.0)  # within a tenth of it
    assert not held.station.troubles.has(EV, Trouble.IGNORES_LIMITS)


def test_a_reading_about_the_end_of_the_lease_proves_nothing(held: Held) -> None:
    held.install(1, 5.0, TX)
    comply(held, 11.0, 1897.0)
    assert held.station.abilities.follows is None


def test_what_a_station_did_without_a_connection_is_learnt(held: Held) -> None:
    held.install(1, 5.0, DEFAULT)
    held.station.lost_s = 1050.0
    comply(held, 5.0, 1100.0)
    assert held.station.abilities.offline is Offline.KEEPS
    assert held.station.troubles.has(EV, Trouble.KEEPS_LIMIT_OFFLINE)
