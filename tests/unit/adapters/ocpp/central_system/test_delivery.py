"""Delivery of instructions: one waits per connector and layer, and every one ends exactly once."""

from dataclasses import replace

import pytest

from adapters.ocpp.central_system.delivery import InstructionDelivery, LeaseEnds
from adapters.ocpp.central_system.known_stations import KnownStations
from adapters.ocpp.control.scripts import ACCEPTED, EXPIRED, REFUSED
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.station import installed_profiles
from adapters.ocpp.station.station_records import Command
from adapters.ocpp.station.station_state import StationState
from tests.conformance.ocpp_bench import EV
from tests.unit.adapters.ocpp.station.parts import DEFAULT_KW, Held
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason

DISPATCH = Command(id=1, row=EV, connector=1, layer=Layer.DISPATCH, power_kw=5.0, until_s=1900.0)
GONE, NOT_SENT = (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED), (OutcomeStatus.REJECTED, Reason.EXPIRED)


class Delivered(Held):
    """A delivery to one station that has no session."""

    def __init__(self, least_interval_s: float = 0.0) -> None:
        super().__init__()
        services = self.station.services
        self.known = KnownStations(services.nameplates, services)
        found = self.known.enter("CP1")
        assert found is not None
        self.station: StationState = found
        self.lease_ends = LeaseEnds()
        self.delivery = InstructionDelivery(
            clock=self.clock,  # type: ignore[arg-type]  # the one method that is called
            batcher=self.batcher,
            known=self.known,
            sessions={},
            lease_ends=self.lease_ends,
            least_interval_s=least_interval_s,
            wake=(),
        )

    @property
    def ended(self) -> dict[int, tuple[OutcomeStatus, Reason]]:
        """Return the outcomes so far; none has come twice."""
        self.batcher.flush()
        assert len(self.sink.told) == len(set(self.sink.told))
        return self.sink.ended


@pytest.fixture
def one() -> Delivered:
    """Return a delivery that paces nothing."""
    return Delivered()


def test_a_newer_instruction_replaces_one_of_its_layer_that_has_not_left(one: Delivered) -> None:
    one.delivery.queue(one.station, DISPATCH)
    one.delivery.queue(one.station, replace(DISPATCH, id=2, layer=Layer.DEFAULT))
    one.delivery.queue(one.station, replace(DISPATCH, id=3, layer=Layer.RELEASE))
    assert one.ended == {1: NOT_SENT}
    assert [command.id for command in one.station.pending.values()] == [2, 3]
    one.delivery.drop_pending(one.station)
    assert one.ended == {1: NOT_SENT, 2: GONE, 3: GONE}
    assert not one.station.pending


def test_the_links_own_instructions_have_no_outcome_and_a_refused_restoration_ends_the_value(one: Delivered) -> None:
    one.install(1, 5.0, ProfilePurpose.TX_DEFAULT)
    restored = replace(DISPATCH, quiet=True, again=True)
    for verdict in (ACCEPTED, EXPIRED):
        one.delivery.ended(restored, verdict)
        assert one.limit_kw == 5.0
    one.delivery.ended(restored, REFUSED)
    assert one.limit_kw == DEFAULT_KW
    assert one.ended == {}


def test_what_a_station_holds_is_given_again_after_a_boot_unless_something_newer_waits(one: Delivered) -> None:
    one.install(1, 5.0, ProfilePurpose.TX_DEFAULT)
    one.delivery.restate(one.station)
    (command,) = one.station.pending.values()
    assert (command.again, command.quiet, command.power_kw, command.until_s) == (True, True, 5.0, 1900.0)
    one.delivery.queue(one.station, replace(DISPATCH, id=7))
    one.delivery.restate(one.station)
    assert [waiting.id for waiting in one.station.pending.values()] == [7]


def test_a_lease_ends_by_itself(one: Delivered) -> None:
    one.install(1, 5.0, ProfilePurpose.TX_DEFAULT)
    one.lease_ends.add(1900.0, EV)
    one.clock.at_s = 1899.0
    one.delivery.tick(one.clock.at_s)
    assert installed_profiles.in_force(one.station, EV) is not None
    one.clock.at_s = 1900.0
    one.delivery.tick(one.clock.at_s)
    assert one.limit_kw == DEFAULT_KW


def test_a_rise_waits_its_interval_and_one_within_the_dead_band_is_as_good_as_taken() -> None:
    one = Delivered(least_interval_s=60.0)
    one.install(1, 5.0, ProfilePurpose.TX_DEFAULT)
    one.delivery.queue(one.station, replace(DISPATCH, id=2, power_kw=5.1))
    assert one.ended == {2: (OutcomeStatus.ACCEPTED, Reason.NONE)}
    one.delivery.queue(one.station, replace(DISPATCH, id=3, power_kw=8.0))
    assert not one.station.pending
    one.clock.at_s = 1060.0
    one.delivery.tick(one.clock.at_s)
    assert [command.id for command in one.station.pending.values()] == [3]


def test_a_row_waits_once_for_the_end_of_its_lease_however_often_that_is_renewed(one: Delivered) -> None:
    for renewal in range(100):
        one.clock.at_s = 1000.0 + renewal
        one.install(renewal + 1, 5.0, ProfilePurpose.TX_DEFAULT)
        one.lease_ends.add(one.clock.at_s + 900.0, EV)
    assert len(one.lease_ends) == 1
    for at_s in (1900.0, 1998.0):  # the first lease, and a moment before the last
        one.clock.at_s = at_s
        one.delivery.tick(at_s)
        assert installed_profiles.in_force(one.station, EV) is not None
        assert len(one.lease_ends) == 1
    one.clock.at_s = 1999.0
    one.delivery.tick(1999.0)
    assert (one.limit_kw, len(one.lease_ends)) == (DEFAULT_KW, 0)
