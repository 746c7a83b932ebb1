"""Smart charging by the areas of OCTT (1.6 TC_056-TC_067 for a central system, 2.0.1 block K) and of 2.1 (K, Q, R)."""

import math
from contextlib import AsyncExitStack

import pytest

from adapters.ocpp.central_system import server
from adapters.ocpp.messages.ocpp_j import Version, stamp
from adapters.ocpp.profiles import charging_profiles
from adapters.ocpp.profiles.charging_profiles import OperationMode, Period, ProfileDraft, ProfileKind, ProfilePurpose
from adapters.ocpp.profiles.profile_ids import PROBE_PROFILE_ID
from tests.conformance.ocpp_bench import ACCEPTED, EV, V2G, RawStation, Sink, central, clock, setpoints, station
from tests.conformance.test_ocpp_central import begin, body, period
from tests.conformance.test_ocpp_stations import both_ends, connected, last, running
from vpp.domain.errors import InputError
from vpp.domain.session import SessionPromised
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
LATER = ("ocpp2.0.1", "ocpp2.1")
FROM_S = 1_751_392_800.0


def draft(**changes: object) -> ProfileDraft:
    plain = {
        "id": 101,
        "stack_level": 1,
        "purpose": ProfilePurpose.TX_DEFAULT,
        "kind": ProfileKind.ABSOLUTE,
        "periods": (Period(limit_kw=6.0), Period(start_s=60, limit_kw=10.0), Period(start_s=120, limit_kw=8.0)),
        "start_s": FROM_S,
        "duration_s": 300,
        "from_s": FROM_S,
        "to_s": FROM_S + 300.0,
    }
    return ProfileDraft(**{**plain, **changes})


async def told(raw: RawStation, link: object, action: str, call: object) -> dict:
    """Send an operator's call and return what the station got."""
    raw.asked.clear()
    answer = await server._called(link._session_of(EV), call)
    assert answer.status == "Accepted"
    return await raw.asked_for(action)


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_056_and_k01_a_default_profile_of_several_periods_is_installed(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version) as raw:
        payload = await told(
            raw, link, "SetChargingProfile", charging_profiles.set_profile(link.version(EV), 1, draft())
        )
        profile = body(version, payload)
        assert profile["chargingProfilePurpose"] == "TxDefaultProfile"
        assert [p["limit"] for p in profile["chargingSchedule"]["chargingSchedulePeriod"]] == [6000.0, 10000.0, 8000.0]
        assert "transactionId" not in profile


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_057_a_tx_profile_of_a_running_transaction_states_all_four_times(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        transaction = await begin(raw)
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, clock().now_s() + 600.0)))
        assert await sink.outcome(5) == ACCEPTED
        profile = body(version, await raw.asked_for("SetChargingProfile", 2))
        assert "recurrencyKind" not in profile
        assert profile["chargingProfileKind"] == "Absolute"
        assert {"validFrom", "validTo"} <= profile.keys()
        assert {"duration", "startSchedule"} <= profile["chargingSchedule"].keys()
        assert str(profile["transactionId"]) == transaction


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_057_a_relative_tx_profile_has_no_start(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version) as raw:
        transaction = await begin(raw)
        relative = draft(
            purpose=ProfilePurpose.TX, kind=ProfileKind.RELATIVE, transaction=transaction, from_s=None, to_s=None
        )
        payload = await told(
            raw, link, "SetChargingProfile", charging_profiles.set_profile(link.version(EV), 1, relative)
        )
        assert "startSchedule" not in body(version, payload)["chargingSchedule"]
        assert str(body(version, payload)["transactionId"]) == transaction


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_059_and_k05_a_remote_start_carries_a_profile(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version) as raw:
        relative = draft(purpose=ProfilePurpose.TX, kind=ProfileKind.RELATIVE, start_s=None, from_s=None, to_s=None)
        call = charging_profiles.remote_start(link.version(EV), 1, "CAR1", relative)
        payload = await told(raw, link, call.action, call)
        assert payload["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"
        assert "transactionId" not in payload["chargingProfile"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_066_and_k08_the_composite_schedule_is_asked_for(version: str) -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port, versions={EV: version}):
            await connected(sink, EV)
            assert (await link.device_schedule(EV, 300)).power_kw == pytest.approx((9.0,))


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_067_and_k10_three_profiles_are_cleared_by_id_by_criteria_and_all(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version) as raw:
        known = link.version(EV)
        cap = draft(id=1, purpose=ProfilePurpose.STATION_MAX, stack_level=0)
        for connector, one in ((0, cap), (1, draft(id=2)), (1, draft(id=3, stack_level=2))):
            await told(raw, link, "SetChargingProfile", charging_profiles.set_profile(known, connector, one))
        by_id = await told(raw, link, "ClearChargingProfile", charging_profiles.clear_profiles(known, profile_id=1))
        assert 1 in by_id.values()
        purpose = ProfilePurpose.TX_DEFAULT
        call = charging_profiles.clear_profiles(known, connector=1, purpose=purpose, stack_level=1)
        assert "TxDefaultProfile" in str(await told(raw, link, "ClearChargingProfile", call))
        if version == "ocpp1.6":
            assert await told(raw, link, "ClearChargingProfile", charging_profiles.clear_profiles(known)) == {}


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_067_the_station_s_own_cap_lies_on_connector_0(version: str) -> None:
    with pytest.raises(InputError, match="connector"):
        charging_profiles.set_profile(Version(version), 1, draft(purpose=ProfilePurpose.STATION_MAX))
    call = charging_profiles.set_profile(Version(version), 0, draft(purpose=ProfilePurpose.STATION_MAX))
    word = "ChargePointMaxProfile" if version == "ocpp1.6" else "ChargingStationMaxProfile"
    assert body(version, call.payload)["chargingProfilePurpose"] == word


@pytest.mark.parametrize("version", VERSIONS)
async def test_tc_058_and_k01_a_tx_profile_needs_its_transaction(version: str) -> None:
    with pytest.raises(InputError, match="transaction"):
        charging_profiles.set_profile(Version(version), 1, draft(purpose=ProfilePurpose.TX))
    with pytest.raises(InputError, match="transaction"):
        charging_profiles.set_profile(Version(version), 1, draft(transaction="5"))


@pytest.mark.parametrize("version", VERSIONS)
async def test_k01_a_profile_of_the_same_level_replaces_the_one_before(version: str) -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port, versions={EV: version}):
            await connected(sink, EV)
            until_s = world.clock.now_s() + 3600.0
            for number, power_kw in ((5, 6.0), (6, 5.0)):
                link.send(setpoints((number, EV, Layer.DISPATCH, power_kw, until_s)))
                assert await sink.outcome(number) == ACCEPTED
            assert (await link.device_schedule(EV, 60)).power_kw == pytest.approx((5.0,))


@pytest.mark.parametrize("version", VERSIONS)
async def test_k01_recurring_profiles_repeat_by_the_day_or_week(version: str) -> None:
    daily = draft(kind=ProfileKind.RECURRING, recurrency="Daily")
    assert body(version, charging_profiles.set_profile(Version(version), 1, daily).payload)["recurrencyKind"] == "Daily"
    with pytest.raises(InputError, match="recurr"):
        charging_profiles.set_profile(Version(version), 1, draft(kind=ProfileKind.RECURRING))


@pytest.mark.parametrize("version", LATER)
async def test_k06_k07_what_was_installed_before_an_offline_time_holds_through_it(version: str) -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port, versions={EV: version}):
            await connected(sink, EV)
            link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, world.clock.now_s() + 9000.0)))
            assert await sink.outcome(5) == ACCEPTED
            world.online[EV] = False
            await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 0.0)
            assert last(world, EV, Layer.DISPATCH)[0] == pytest.approx(6.0)
            assert last(world, EV, Layer.RELEASE) is None
            world.online[EV] = True
            await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 1.0)
            assert (await link.device_schedule(EV, 60)).power_kw == pytest.approx((6.0,))


@pytest.mark.parametrize("version", LATER)
async def test_k09_installed_profiles_are_asked_for_and_reported_in_parts(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version) as raw:
        await told(raw, link, "GetChargingProfiles", charging_profiles.get_profiles(link.version(EV), 7, 1))
        one = body(version, charging_profiles.set_profile(link.version(EV), 1, draft()).payload)
        one["chargingSchedule"] = [one["chargingSchedule"]]
        report = {"requestId": 7, "chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [one], "tbc": True}
        assert (await raw.call("ReportChargingProfiles", report))[2] == {}


@pytest.mark.parametrize("version", LATER)
async def test_k11_to_k14_limits_from_outside_are_taken_note_of(version: str) -> None:
    async with central(Sink()) as link, station(link, version=version) as raw:
        limit = {"chargingLimit": {"chargingLimitSource": "EMS"}, "evseId": 1}
        assert (await raw.call("NotifyChargingLimit", limit))[2] == {}
        assert (await raw.call("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1}))[2] == {}


@pytest.mark.parametrize("version", LATER)
async def test_k15_to_k17_charging_needs_become_a_promise_and_their_renegotiation_another(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        await begin(raw)
        for energy_wh in (18_000, 9_000):
            needs = {
                "requestedEnergyTransfer": "AC_three_phase",
                "departureTime": stamp(clock().now_s() + 36_000.0),
                "acChargingParameters": {
                    "energyAmount": energy_wh,
                    "evMinCurrent": 6,
                    "evMaxCurrent": 16,
                    "evMaxVoltage": 230,
                },
            }
            answer = await raw.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
            assert answer[2]["status"] == "Processing"
        promised = [event.promise.energy_kwh for event in sink.events if isinstance(event, SessionPromised)]
        assert promised == [18.0, 9.0]
        schedule = {"timeBase": stamp(clock().now_s()), "evseId": 1}
        schedule["chargingSchedule"] = {
            "id": 1,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6000.0}],
        }
        assert (await raw.call("NotifyEVChargingSchedule", schedule))[2]["status"] == "Accepted"


# OCPP 2.1, block Q: bidirectional.

MODES = {
    OperationMode.IDLE: Period(mode=OperationMode.IDLE),
    OperationMode.CHARGING_ONLY: Period(mode=OperationMode.CHARGING_ONLY, limit_kw=7.0),
    OperationMode.CENTRAL_SETPOINT: Period(
        mode=OperationMode.CENTRAL_SETPOINT, setpoint_kw=-6.0, limit_kw=11.0, discharge_limit_kw=-10.0
    ),
    OperationMode.EXTERNAL_SETPOINT: Period(
        mode=OperationMode.EXTERNAL_SETPOINT, limit_kw=11.0, discharge_limit_kw=-5.0
    ),
    OperationMode.EXTERNAL_LIMITS: Period(mode=OperationMode.EXTERNAL_LIMITS),
    OperationMode.CENTRAL_FREQUENCY: Period(mode=OperationMode.CENTRAL_FREQUENCY, setpoint_kw=0.0),
    OperationMode.LOCAL_FREQUENCY: Period(
        mode=OperationMode.LOCAL_FREQUENCY, freq_watt=((49.8, -5.0), (50.0, 0.0), (50.2, 5.0))
    ),
    OperationMode.LOCAL_LOAD_BALANCING: Period(
        mode=OperationMode.LOCAL_LOAD_BALANCING, limit_kw=8.0, discharge_limit_kw=-8.0
    ),
}


@pytest.mark.parametrize("mode", list(OperationMode))
def test_every_operation_mode_is_written_as_the_schema_has_it(mode: OperationMode) -> None:
    call = charging_profiles.set_profile(Version.V21, 1, draft(periods=(MODES[mode],)))
    written = period("ocpp2.1", call.payload)
    assert written["operationMode"] == mode.value
    stated = MODES[mode]
    powers_kw = {"setpoint": stated.setpoint_kw, "limit": stated.limit_kw, "dischargeLimit": stated.discharge_limit_kw}
    watts = {name: 1000.0 * kw for name, kw in powers_kw.items() if math.isfinite(kw)}
    assert {name: written[name] for name in powers_kw if name in written} == watts


@pytest.mark.parametrize(
    "wrong",
    [
        Period(mode=OperationMode.CENTRAL_SETPOINT, limit_kw=5.0),
        Period(mode=OperationMode.IDLE, limit_kw=5.0),
        Period(mode=OperationMode.CHARGING_ONLY, discharge_limit_kw=-5.0),
        Period(mode=OperationMode.LOCAL_FREQUENCY),
        Period(limit_kw=-1.0),
        Period(limit_kw=1.0, discharge_limit_kw=1.0),
    ],
)
def test_an_operation_mode_with_the_wrong_values_is_an_input_error(wrong: Period) -> None:
    with pytest.raises(InputError):
        charging_profiles.set_profile(Version.V21, 1, draft(periods=(wrong,)))


@pytest.mark.parametrize("version", [Version.V16, Version.V201])
def test_older_versions_know_neither_setpoints_nor_dynamic_profiles(version: Version) -> None:
    with pytest.raises(InputError):
        charging_profiles.set_profile(version, 1, draft(periods=(MODES[OperationMode.CENTRAL_SETPOINT],)))
    with pytest.raises(InputError):
        charging_profiles.set_profile(version, 1, draft(kind=ProfileKind.DYNAMIC))


async def test_a_dynamic_dispatch_value_is_updated_in_place_while_its_lease_stays() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock, dynamic=True) as link, running(world, link.port) as stations:
            await connected(sink, V2G)
            until_s = world.clock.now_s() + 3600.0
            for number, power_kw in ((5, -6.0), (6, 4.0), (7, -2.0)):
                link.send(setpoints((number, V2G, Layer.DISPATCH, power_kw, until_s)))
                assert await sink.outcome(number) == ACCEPTED
                assert last(world, V2G, Layer.DISPATCH)[0] == pytest.approx(power_kw)
            assert (stations.profiles_taken[5], stations.profiles_taken[6]) == (1, 0)
            link.send(setpoints((8, V2G, Layer.DISPATCH, -2.0, until_s + 900.0)))
            assert await sink.outcome(8) == ACCEPTED
            assert stations.profiles_taken[8] == 1  # another end is another profile
            link.send(setpoints((9, V2G, Layer.RELEASE, math.nan, math.inf)))
            assert await sink.outcome(9) == ACCEPTED
            assert last(world, V2G, Layer.RELEASE) is not None


async def test_a_station_that_pulls_a_dynamic_schedule_hears_the_value_in_force() -> None:
    sink = Sink()
    async with central(sink, dynamic=True) as link, station(link, "V1", "ocpp2.1") as raw:
        link.send(setpoints((5, V2G, Layer.DISPATCH, -6.0, clock().now_s() + 900.0)))
        assert await sink.outcome(5) == ACCEPTED
        held = raw.asked[-1][1]["chargingProfile"]["id"]
        answer = await raw.call("PullDynamicScheduleUpdate", {"chargingProfileId": held})
        assert answer[2] == {"status": "Accepted", "scheduleUpdate": {"setpoint": -6000.0}}
        assert (await raw.call("PullDynamicScheduleUpdate", {"chargingProfileId": held + 1}))[2]["status"] == "Rejected"


async def test_a_dispatch_value_lapses_after_its_longest_time_offline() -> None:
    with both_ends() as (sink, world):
        async with (
            central(sink, clock=world.clock, max_offline_s=60) as link,
            running(world, link.port, sample_interval_s=5.0),
        ):
            await connected(sink, V2G)
            link.send(setpoints((5, V2G, Layer.DISPATCH, -6.0, world.clock.now_s() + 90_000.0)))
            assert await sink.outcome(5) == ACCEPTED
            world.online[V2G] = False
            await world.until(lambda: last(world, V2G, Layer.RELEASE) is not None)


# OCPP 2.1, block R: grid functions.


async def test_starts_and_stops_of_grid_functions_are_on_the_card_and_say_what_they_supersede() -> None:
    async with central(Sink()) as link, station(link, "V1", "ocpp2.1") as raw:
        at = stamp(clock().now_s())
        for payload in (
            {"controlId": "limit-1", "started": True, "timestamp": at},
            {"controlId": "limit-2", "started": True, "timestamp": at, "supersededIds": ["limit-1"]},
        ):
            assert (await raw.call("NotifyDERStartStop", payload))[2] == {}
        known = link.card(V2G)["grid_functions"]
        assert known["limit-1"]["isSuperseded"] is True
        assert known["limit-2"] == {"active": True, "at": at}
        await raw.call("NotifyDERStartStop", {"controlId": "limit-2", "started": False, "timestamp": at})
        assert link.card(V2G)["grid_functions"]["limit-2"]["active"] is False


async def test_alarms_of_grid_functions_are_on_the_card_until_they_end() -> None:
    async with central(Sink()) as link, station(link, "V1", "ocpp2.1") as raw:
        alarm = {"controlType": "HVMustTrip", "gridEventFault": "OverVoltage", "timestamp": stamp(clock().now_s())}
        assert (await raw.call("NotifyDERAlarm", alarm))[2] == {}
        assert link.card(V2G)["grid_functions"]["HVMustTrip"]["alarm"] == "OverVoltage"
        await raw.call("NotifyDERAlarm", {**alarm, "alarmEnded": True})
        assert link.card(V2G)["grid_functions"]["HVMustTrip"]["alarm"] is None


async def test_grid_functions_are_unknown_before_21() -> None:
    async with central(Sink()) as link, station(link, version="ocpp2.0.1") as raw:
        alarm = {"controlType": "HVMustTrip", "timestamp": stamp(clock().now_s())}
        assert (await raw.call("NotifyDERAlarm", alarm))[2] == "NotImplemented"


# Capability cards.


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_control_test_fills_a_card_and_takes_its_probe_away(version: str) -> None:
    sink = Sink()
    async with central(sink, control_test=True) as link, station(link, version=version) as raw:
        card = link.card(EV)
        assert (card["tested"], card["zero_allowed"], card["step"]) == (True, True, 0.1)
        cleared = str(await raw.asked_for("ClearChargingProfile"))
        probes = [payload for name, payload in raw.asked if name == "SetChargingProfile"][1:]
        assert all(str(body(version, probe)["id"]) in cleared for probe in probes)
        assert {period(version, probe)["limit"] for probe in probes} == {9000.0}  # nobody is moved


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_make_is_tested_once_and_its_like_are_believed_to_be_alike(version: str) -> None:
    sink = Sink()
    async with central(sink, control_test=True) as link, AsyncExitStack() as stack:
        await stack.enter_async_context(station(link, version=version))
        second = await stack.enter_async_context(station(link, "CP2", version))
        assert "ClearChargingProfile" not in {name for name, _ in second.asked}
        assert link.card(1)["tested"] is True


def probes(raw: RawStation) -> list[dict]:
    return [
        b
        for name, asked in raw.asked
        if name == "SetChargingProfile" and (b := body(raw.version, asked))["id"] == PROBE_PROFILE_ID
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_probe_left_by_a_broken_test_is_removed_at_the_return(version: str) -> None:
    async with central(Sink(), control_test=True) as link, AsyncExitStack() as stack:
        async with station(link, version=version, boot=False) as broken:
            broken.rules["SetChargingProfile"] = lambda _: None if probes(broken) else {"status": "Accepted"}
            await broken.boot()
            await broken.until(lambda: bool(probes(broken)))
        await stack.enter_async_context(station(link, "CP2", version))
        assert link.card(EV)["tested"] is False, "the make is known by another now"
        back = await stack.enter_async_context(station(link, version=version))
        assert not probes(back)
        assert str(PROBE_PROFILE_ID) in str(await back.asked_for("ClearChargingProfile"))


async def test_a_probe_forgotten_at_a_station_lapses_soon_after_its_odd_period_begins() -> None:
    async with central(Sink(), control_test=True) as link, station(link) as raw:
        schedules = [probe["chargingSchedule"] for probe in probes(raw)]
        odd = [(schedule, period) for schedule in schedules for period in schedule["chargingSchedulePeriod"][1:]]
        assert odd
        assert all(86_400 <= period["startPeriod"] < schedule["duration"] <= 86_500 for schedule, period in odd)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_default_is_given_again_where_a_probe_took_its_place(version: str) -> None:
    async with central(Sink(), control_test=True) as link, station(link, version=version, boot=False) as raw:

        def lowest_only(payload: dict) -> dict:
            return {"status": "Accepted" if body(version, payload)["stackLevel"] == 0 else "Rejected"}

        raw.rules["SetChargingProfile"] = lowest_only
        await raw.boot()
        await raw.settled()
        assert link.card(EV)["tested"] is True
        actions = [name for name, _ in raw.asked]
        cleared = len(actions) - actions[::-1].index("ClearChargingProfile")
        installed = [payload for name, payload in raw.asked[cleared:] if name == "SetChargingProfile"]
        assert [body(version, payload)["stackLevel"] for payload in installed] == [0]


async def test_a_station_of_whole_amperes_is_told_whole_amperes() -> None:
    sink = Sink()
    async with central(sink, control_test=True) as link, station(link, boot=False) as raw:
        raw.units = "Current"

        def whole(payload: dict) -> dict:
            limits = [p["limit"] for p in body("ocpp1.6", payload)["chargingSchedule"]["chargingSchedulePeriod"]]
            return {"status": "Accepted" if all(limit == int(limit) for limit in limits) else "Rejected"}

        raw.rules["SetChargingProfile"] = whole
        await raw.boot()
        await raw.settled()
        assert link.card(EV)["step"] == 1.0
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(5) == ACCEPTED
        assert period("ocpp1.6", (await raw.asked_for("SetChargingProfile", count(raw))))["limit"] == 7.0


def count(raw: RawStation) -> int:
    return sum(name == "SetChargingProfile" for name, _ in raw.asked)


async def test_another_firmware_voids_what_was_known() -> None:
    async with central(Sink(), control_test=True) as link, station(link) as raw:
        assert link.card(EV)["tested"] is True
        about = {"chargePointVendor": "Acme", "chargePointModel": "One", "firmwareVersion": "2"}
        raw.answers["SetChargingProfile"] = {"status": "Rejected"}
        await raw.call("BootNotification", about)
        assert link.card(EV)["tested"] is False


async def test_offline_behaviour_is_seen_at_the_return() -> None:
    for watts, behaviour in ((6000, "keeps"), (9000, "falls_back")):
        sink, fast = Sink(), clock(speed=200.0)
        async with central(sink, clock=fast) as link:
            async with station(link):
                link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, fast.now_s() + 90_000.0)))
                assert await sink.outcome(5) == ACCEPTED
            await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 0.0)  # noqa: B023 - awaited here
            await fast.sleep(70.0)
            async with station(link) as raw:
                power = {"measurand": "Power.Active.Import", "value": str(watts)}
                reading = {"timestamp": stamp(fast.now_s()), "sampledValue": [power]}
                await raw.call("MeterValues", {"connectorId": 1, "meterValue": [reading]})
                assert link.card(EV)["offline_behaviour"] == behaviour
