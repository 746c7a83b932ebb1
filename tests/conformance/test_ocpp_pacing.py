"""The pace of profiles for one connector: rises wait, next to nothing is not sent, cuts and leases never suffer."""

import math

import pytest

from adapters.ocpp.messages.ocpp_j import parse_stamp
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.profile_ids import profile_id
from tests.conformance.ocpp_bench import ACCEPTED, EV, Sink, central, clock, setpoints, station
from tests.conformance.test_ocpp_ways import profiles
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

SUPERSEDED = (OutcomeStatus.REJECTED, Reason.EXPIRED)
LONG_S = 1e5
"""So long an interval is never over while a test runs."""


def limits(raw: object) -> list[float]:
    """Return the limits of all dispatch profiles, in watts."""
    dispatched = [p for p in profiles(raw) if "validTo" in p]  # type: ignore[arg-type]
    return [p["schedule"]["chargingSchedulePeriod"][0]["limit"] for p in dispatched]


async def test_a_rise_waits_for_its_time_and_the_latest_of_those_that_wait_is_sent() -> None:
    sink, fast = Sink(), clock(speed=15.0)
    async with central(sink, clock=fast, profile_interval_s=30.0) as link, station(link) as raw:
        until_s = fast.now_s() + 9000.0
        for number, power_kw in ((5, 4.0), (6, 5.0), (7, 6.0)):
            link.send(setpoints((number, EV, Layer.DISPATCH, power_kw, until_s)))
            if number == 5:
                assert await sink.outcome(5) == ACCEPTED
        assert await sink.outcome(6) == SUPERSEDED
        assert await sink.outcome(7) == ACCEPTED
        assert limits(raw) == [4000, 6000]
        starts = [parse_stamp(p["validFrom"]) for p in profiles(raw) if "validTo" in p]
        assert starts[1] - starts[0] >= 29.0


async def test_a_cut_never_waits_and_takes_the_place_of_a_rise_that_does() -> None:
    sink = Sink()
    async with central(sink, profile_interval_s=LONG_S) as link, station(link) as raw:
        until_s = clock().now_s() + LONG_S
        for number, power_kw, outcome in ((5, 8.0, ACCEPTED), (6, 9.0, SUPERSEDED), (7, 7.9, ACCEPTED)):
            link.send(setpoints((number, EV, Layer.DISPATCH, power_kw, until_s)))
            if outcome == ACCEPTED:
                assert await sink.outcome(number) == outcome
        assert sink.ended[6] == SUPERSEDED
        assert limits(raw) == [8000, 7900]


async def test_a_release_never_waits() -> None:
    sink = Sink()
    async with central(sink, profile_interval_s=LONG_S) as link, station(link) as raw:
        until_s = clock().now_s() + LONG_S
        link.send(setpoints((5, EV, Layer.DISPATCH, 8.0, until_s)))
        assert await sink.outcome(5) == ACCEPTED
        link.send(setpoints((6, EV, Layer.DISPATCH, 9.0, until_s)))
        link.send(setpoints((7, EV, Layer.RELEASE, math.nan, math.inf)))
        assert (await sink.outcome(6), await sink.outcome(7)) == (SUPERSEDED, ACCEPTED)
        assert await raw.asked_for("ClearChargingProfile") == {"id": profile_id(1, ProfilePurpose.TX_DEFAULT, 1, 5)}


async def test_next_to_nothing_is_accepted_and_not_sent_and_the_lease_is_renewed_in_time() -> None:
    sink, fast = Sink(), clock(speed=50.0)
    async with central(sink, clock=fast, profile_interval_s=10.0) as link, station(link) as raw:
        began_s = fast.now_s()
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, began_s + 300.0)))
        assert await sink.outcome(5) == ACCEPTED
        link.send(setpoints((6, EV, Layer.DISPATCH, 5.1, began_s + 400.0)))
        assert await sink.outcome(6) == ACCEPTED
        assert limits(raw) == [5000]
        assert sink.values[EV, Quantity.LIMIT_KW] == 5.0
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == pytest.approx(5.1))
        renewed = [p for p in profiles(raw) if "validTo" in p][-1]
        assert parse_stamp(renewed["validTo"]) == pytest.approx(began_s + 400.0, abs=1.0)
        assert parse_stamp(renewed["validFrom"]) + 60.0 < began_s + 300.0
        assert sink.told.count(6) == 1


async def test_small_rises_do_not_add_up_to_a_large_one() -> None:
    sink = Sink()
    async with central(sink, profile_interval_s=1e-3) as link, station(link) as raw:
        until_s = clock().now_s() + 900.0
        for number, power_kw in enumerate((5.0, 5.1, 5.2, 5.3), start=5):
            link.send(setpoints((number, EV, Layer.DISPATCH, power_kw, until_s)))
            assert await sink.outcome(number) == ACCEPTED
        assert limits(raw) == [5000, 5300]


async def test_a_rise_is_not_held_beyond_the_end_of_the_lease() -> None:
    sink = Sink()
    async with central(sink, profile_interval_s=LONG_S) as link, station(link) as raw:
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, clock().now_s() + 12.0)))
        assert await sink.outcome(5) == ACCEPTED
        link.send(setpoints((6, EV, Layer.DISPATCH, 5.1, clock().now_s() + 300.0)))
        assert await sink.outcome(6) == ACCEPTED
        assert limits(raw) == [5000, 5100]


async def test_what_waits_comes_back_as_unreachable_when_the_link_goes() -> None:
    sink = Sink()
    async with central(sink, profile_interval_s=LONG_S) as link:
        async with station(link):
            for number, power_kw in ((5, 5.0), (6, 9.0)):
                link.send(setpoints((number, EV, Layer.DISPATCH, power_kw, clock().now_s() + LONG_S)))
            await sink.outcome(5)
        assert await sink.outcome(6) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)


async def test_setpoints_are_not_paced() -> None:
    sink = Sink()
    async with central(sink, profile_interval_s=LONG_S) as link, station(link, "V1", "ocpp2.1") as raw:
        for number, power_kw in ((5, -5.0), (6, 3.0), (7, 3.1)):
            link.send(setpoints((number, 2, Layer.DISPATCH, power_kw, clock().now_s() + LONG_S)))
            assert await sink.outcome(number) == ACCEPTED
        values = [p["schedule"]["chargingSchedulePeriod"][0]["setpoint"] for p in profiles(raw) if "validTo" in p]
        assert values == [-5000, 3000, 3100]


async def test_what_is_in_force_is_not_good_enough_while_something_else_is_under_way() -> None:
    sink = Sink()
    async with central(sink, profile_interval_s=1e-3) as link, station(link) as raw:
        until_s = clock().now_s() + 900.0
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, until_s)))
        assert await sink.outcome(5) == ACCEPTED
        raw.answers["SetChargingProfile"] = None
        link.send(setpoints((6, EV, Layer.DISPATCH, 9.0, until_s)))
        await raw.asked_for("SetChargingProfile", 3)
        link.send(setpoints((7, EV, Layer.DISPATCH, 5.0, until_s)))
        await raw.call("Heartbeat", {})
        assert 7 not in sink.ended
        raw.answers.clear()
        await raw.release(raw.held[-1])
        assert await sink.outcome(7) == ACCEPTED
        assert limits(raw) == [5000, 9000, 5000]
