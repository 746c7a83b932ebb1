"""Other forms of a setpoint where a station refuses one, tried and remembered; over real sockets."""

import math
from collections.abc import Callable

import pytest

from adapters.ocpp import OcppLink
from adapters.ocpp.messages.ocpp_j import parse_stamp, stamp
from adapters.ocpp.profiles.charging_profiles import ProfilePurpose
from adapters.ocpp.profiles.profile_ids import profile_id
from tests.conformance.ocpp_bench import (
    ACCEPTED,
    EV,
    EV2,
    Json,
    RawStation,
    Sink,
    central,
    clock,
    fleet,
    resource,
    setpoints,
    station,
)
from tests.conformance.test_ocpp_meaning import HandClock
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble, troubles_of
from vpp.ports import Clock

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
REJECTED = {"status": "Rejected"}
TAKEN = {"status": "Accepted"}


def body(payload: Json) -> Json:
    """Return a profile, its schedule made an object."""
    profile = dict(payload.get("csChargingProfiles") or payload["chargingProfile"])
    schedule = profile["chargingSchedule"]
    profile["schedule"] = schedule if isinstance(schedule, dict) else schedule[0]
    return profile


def profiles(raw: RawStation) -> list[Json]:
    """Return every profile a station was sent, the latest last."""
    return [body(payload) for name, payload in raw.asked if name == "SetChargingProfile"]


def takes(raw: RawStation, rule: Callable[[Json], bool]) -> None:
    """Have a station take the profiles that keep a rule."""
    raw.rules["SetChargingProfile"] = lambda payload: TAKEN if rule(body(payload)) else REJECTED


def purpose_is(*purposes: str) -> Callable[[Json], bool]:
    return lambda profile: profile["chargingProfilePurpose"] in purposes


async def begin(raw: RawStation, transaction: str = "t1") -> None:
    """Have a car begin to charge."""
    at = stamp(clock().now_s())
    if raw.version == "ocpp1.6":
        start = {"connectorId": 1, "idTag": transaction, "meterStart": 5000, "timestamp": at}
        await raw.call("StartTransaction", start)
        return
    event = {"eventType": "Started", "timestamp": at, "triggerReason": "CablePluggedIn", "seqNo": 0}
    await raw.call("TransactionEvent", event | {"transactionInfo": {"transactionId": transaction}, "evse": {"id": 1}})


async def dispatch(link: OcppLink, sink: Sink, number: int, power_kw: float = 5.0, row: int = EV) -> tuple:
    link.send(setpoints((number, row, Layer.DISPATCH, power_kw, clock().now_s() + 900.0)))
    return await sink.outcome(number)


async def troubles(sink: Sink, row: int, expected: set[Trouble]) -> None:
    await sink.until(lambda: set(troubles_of(int(sink.values.get((row, Quantity.TROUBLES), 0)))) == expected)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_station_that_refuses_tx_profiles_is_given_defaults_and_so_are_its_like(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        takes(raw, purpose_is("TxDefaultProfile"))
        await begin(raw)
        assert await dispatch(link, sink, 5) == ACCEPTED
        assert [p["chargingProfilePurpose"] for p in profiles(raw)[1:]] == ["TxProfile", "TxDefaultProfile"]
        assert profiles(raw)[-1]["stackLevel"] == 1
        await troubles(sink, EV, {Trouble.REFUSES_TX_PROFILE})
        assert await dispatch(link, sink, 6, 6.0) == ACCEPTED
        assert len(profiles(raw)) == 4
        async with station(link, "CP2", version) as like:
            await begin(like)
            assert await dispatch(link, sink, 7, row=EV2) == ACCEPTED
            assert [p["chargingProfilePurpose"] for p in profiles(like)] == ["TxDefaultProfile"] * 2


async def test_one_transaction_s_refusal_may_be_an_accident_two_are_a_habit() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        takes(raw, purpose_is("TxDefaultProfile"))
        for number, tries in ((5, 2), (6, 2), (7, 1)):
            await begin(raw, f"car{number}")
            sent = len(profiles(raw))
            assert await dispatch(link, sink, number) == ACCEPTED
            assert len(profiles(raw)) - sent == tries
        raw.rules.clear()
        await begin(raw, "car8")
        assert await dispatch(link, sink, 8) == ACCEPTED
        assert profiles(raw)[-1]["chargingProfilePurpose"] == "TxDefaultProfile"


async def test_a_refusal_by_accident_is_forgotten_with_the_next_transaction() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        takes(raw, purpose_is("TxDefaultProfile"))
        await begin(raw, "car1")
        assert await dispatch(link, sink, 5) == ACCEPTED
        raw.rules.clear()
        await begin(raw, "car2")
        assert await dispatch(link, sink, 6) == ACCEPTED
        assert profiles(raw)[-1]["chargingProfilePurpose"] == "TxProfile"
        await troubles(sink, EV, set())


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_cap_of_the_station_is_the_last_purpose_and_only_where_it_harms_nobody(version: str) -> None:
    sink = Sink()
    cap = "ChargePointMaxProfile" if version == "ocpp1.6" else "ChargingStationMaxProfile"
    async with central(sink) as link, station(link, version=version) as raw:
        takes(raw, purpose_is(cap))
        await begin(raw)
        assert await dispatch(link, sink, 5) == ACCEPTED
        payload = [payload for name, payload in raw.asked if name == "SetChargingProfile"][-1]
        assert payload["connectorId" if version == "ocpp1.6" else "evseId"] == 0
        assert "validTo" in profiles(raw)[-1]
        where = {"connectorId": 2, "errorCode": "NoError", "status": "Charging"}
        if version != "ocpp1.6":
            where = {"evseId": 2, "connectorId": 1, "connectorStatus": "Occupied", "timestamp": stamp(clock().now_s())}
        await raw.call("StatusNotification", where)
        assert (await dispatch(link, sink, 6))[0] is OutcomeStatus.REJECTED


@pytest.mark.parametrize(("unit", "told", "refused"), [("W", 5000, "A"), ("A", 7.5, "W")])
async def test_a_unit_that_is_stated_and_refused_is_followed_by_the_other(unit: str, told: float, refused: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        raw.units = "Current" if refused == "A" else "Power"
        takes(raw, lambda profile: profile["schedule"]["chargingRateUnit"] == unit)
        await raw.boot()
        await raw.settled()
        assert await dispatch(link, sink, 5) == ACCEPTED
        assert profiles(raw)[-1]["schedule"]["chargingSchedulePeriod"][0]["limit"] == told
        assert link.card(EV)["rate_units"][0] == unit
        sent = len(profiles(raw))
        assert await dispatch(link, sink, 6, 6.0) == ACCEPTED
        assert len(profiles(raw)) == sent + 1


async def test_watts_are_whole_always_and_amperes_where_a_fraction_was_refused() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        assert await dispatch(link, sink, 5, 4.3219) == ACCEPTED
        limit = profiles(raw)[-1]["schedule"]["chargingSchedulePeriod"][0]["limit"]
        assert (limit, type(limit)) == (4321, int)
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        raw.units = "Current"
        takes(raw, lambda p: p["schedule"]["chargingSchedulePeriod"][0]["limit"] % 1 == 0)
        await raw.boot()
        await raw.settled()
        for number in (5, 6):
            assert await dispatch(link, sink, number, 5.0) == ACCEPTED
            assert profiles(raw)[-1]["schedule"]["chargingSchedulePeriod"][0]["limit"] == 7
        assert sum(p["schedule"]["chargingSchedulePeriod"][0]["limit"] % 1 != 0 for p in profiles(raw)) == 1
        await troubles(sink, EV, {Trouble.WHOLE_AMPERES_ONLY})


ENDS: dict[str, Callable[[Json], bool]] = {
    "no validity": lambda p: "validTo" not in p,
    "no duration": lambda p: "duration" not in p["schedule"],
    "relative alone": lambda p: p["chargingProfileKind"] == "Relative",
    "no end at all": lambda p: "validTo" not in p and "duration" not in p["schedule"],
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rule", ENDS)
async def test_however_a_station_has_an_end_written_there_always_is_one(version: str, rule: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        takes(raw, ENDS[rule])
        await begin(raw)
        assert await dispatch(link, sink, 5) == ACCEPTED
        profile = profiles(raw)[-1]
        periods = profile["schedule"]["chargingSchedulePeriod"]
        assert "validTo" in profile or "duration" in profile["schedule"] or periods[1]["limit"] == 9000
        if profile["chargingProfileKind"] == "Relative":
            # What a relative schedule counts from differs (1.6: from the transaction's start): nothing depends on it.
            assert len(periods) == 1
            assert not {"startSchedule", "duration"} & set(profile["schedule"])
        sent = len(profiles(raw))
        assert await dispatch(link, sink, 6, 6.0) == ACCEPTED
        assert len(profiles(raw)) == sent + 1


async def test_a_station_of_one_level_that_refuses_tx_profiles_falls_back_to_its_default_by_a_second_period() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        takes(raw, lambda p: p["chargingProfilePurpose"] == "TxDefaultProfile" and p["stackLevel"] == 0)
        await begin(raw)
        assert await dispatch(link, sink, 5) == ACCEPTED
        profile = profiles(raw)[-1]
        assert [p["limit"] for p in profile["schedule"]["chargingSchedulePeriod"]] == [5000, 9000]
        assert "validTo" not in profile
        link.send(setpoints((6, EV, Layer.RELEASE, math.nan, math.inf)))
        assert await sink.outcome(6) == ACCEPTED
        assert [p["limit"] for p in profiles(raw)[-1]["schedule"]["chargingSchedulePeriod"]] == [9000]
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 9.0)


async def test_a_station_that_takes_its_own_cap_alone_is_found_out_though_it_refused_its_default() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        takes(raw, purpose_is("ChargePointMaxProfile"))
        await raw.boot()
        await raw.settled()
        await begin(raw)
        for number in (5, 6):
            assert await dispatch(link, sink, number) == ACCEPTED
        assert profiles(raw)[-1]["chargingProfilePurpose"] == "ChargePointMaxProfile"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_default_that_is_refused_three_times_by_accident_is_given_as_it_was(version: str) -> None:
    sink, refusals = Sink(), [REJECTED] * 3
    async with central(sink) as link, station(link, version=version, boot=False) as raw:
        raw.rules["SetChargingProfile"] = lambda _: refusals.pop() if refusals else TAKEN
        await raw.boot()
        await raw.settled()
        units = [profile["schedule"]["chargingRateUnit"] for profile in profiles(raw)]
        assert units[:4] == ["W"] * 4
        assert "A" not in units


async def test_a_station_that_refuses_everything_is_measured_only_until_it_takes_something() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        takes(raw, lambda _: False)
        await raw.boot()
        await raw.settled()
        await begin(raw)
        assert await dispatch(link, sink, 5) == (OutcomeStatus.REJECTED, Reason.REFUSED)
        assert Trouble.MEASURED_ONLY in troubles_of(int(sink.values[EV, Quantity.TROUBLES]))
        sent = len(profiles(raw))
        assert (await dispatch(link, sink, 6))[0] is OutcomeStatus.REJECTED
        assert len(profiles(raw)) - sent <= 3
        raw.rules.clear()
        assert await dispatch(link, sink, 7) == ACCEPTED
        await troubles(sink, EV, set())


async def test_a_station_that_knows_no_profiles_is_not_asked_again_and_again() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        raw.answers["SetChargingProfile"] = "NotImplemented"
        await raw.boot()
        await raw.settled()
        assert await dispatch(link, sink, 5) == (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)
        assert len(profiles(raw)) == 2
        await troubles(sink, EV, {Trouble.MEASURED_ONLY})


@pytest.mark.parametrize("silence", ["boot", "preparing"])
async def test_no_profile_is_tied_to_a_transaction_that_may_be_dead(silence: str) -> None:
    sink = Sink()
    async with central(sink, settle_wall_s=0.0) as link, station(link) as raw:
        await begin(raw)
        if silence == "boot":
            await raw.boot()
        else:
            await raw.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"})
        assert await dispatch(link, sink, 5) == ACCEPTED
        assert profiles(raw)[-1]["chargingProfilePurpose"] == "TxDefaultProfile"


async def test_a_transaction_that_a_station_names_after_its_boot_runs_on() -> None:
    sink = Sink()
    async with central(sink, settle_wall_s=0.0) as link, station(link) as raw:
        start = {"connectorId": 1, "idTag": "AB", "meterStart": 5000, "timestamp": stamp(clock().now_s())}
        transaction = (await raw.call("StartTransaction", start))[2]["transactionId"]
        await raw.boot()
        sample = {"value": "7000", "measurand": "Power.Active.Import", "unit": "W"}
        reading = {"timestamp": stamp(clock().now_s()), "sampledValue": [sample]}
        values = {"connectorId": 1, "transactionId": transaction, "meterValue": [reading]}
        await raw.call("MeterValues", values)
        assert await dispatch(link, sink, 5) == ACCEPTED
        assert profiles(raw)[-1]["transactionId"] == transaction


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_value_in_force_is_given_again_after_a_boot(version: str) -> None:
    sink = Sink()
    async with central(sink, settle_wall_s=0.0) as link, station(link, version=version) as raw:
        await begin(raw)
        assert await dispatch(link, sink, 5) == ACCEPTED
        sent = len(profiles(raw))
        await raw.boot()
        await raw.until(lambda: any(_limit(p) == 5000 for p in profiles(raw)[sent:]))
        again = next(p for p in profiles(raw)[sent:] if _limit(p) == 5000)
        assert again["chargingProfilePurpose"] == "TxDefaultProfile"
        assert parse_stamp(again["validTo"]) > clock().now_s() + 800.0
        tied = profile_id(1, ProfilePurpose.TX, 0, 5)
        assert tied in (await raw.asked_for("ClearChargingProfile")).values()  # it may have kept what is tied
        assert sink.values[EV, Quantity.LIMIT_KW] == 5.0


async def test_a_value_that_is_refused_after_a_boot_is_in_force_no_more() -> None:
    sink = Sink()
    async with central(sink, settle_wall_s=0.0) as link, station(link) as raw:
        assert await dispatch(link, sink, 5) == ACCEPTED
        takes(raw, lambda p: _limit(p) == 9000)
        await raw.boot()
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 9.0)
        assert sink.told == [5]


def _limit(profile: Json) -> float:
    return float(profile["schedule"]["chargingSchedulePeriod"][0]["limit"])


async def test_a_profile_tied_to_a_transaction_does_not_outlive_the_value_that_replaces_it_by_default() -> None:
    sink = Sink()
    async with central(sink, settle_wall_s=0.0) as link, station(link) as raw:
        await begin(raw)
        assert await dispatch(link, sink, 5) == ACCEPTED
        takes(raw, purpose_is("TxDefaultProfile"))
        assert await dispatch(link, sink, 6, 7.0) == ACCEPTED
        assert await raw.asked_for("ClearChargingProfile") == {"id": profile_id(1, ProfilePurpose.TX, 0, 5)}
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 7.0)


@pytest.mark.parametrize("version", VERSIONS)
async def test_times_are_those_of_the_station_s_own_clock(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        await begin(raw)
        link._known.by_name["CP1"].clock.offset_s = 300.0
        until_s = clock().now_s() + 900.0
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, until_s)))
        assert await sink.outcome(5) == ACCEPTED
        profile = profiles(raw)[-1]
        assert parse_stamp(profile["validTo"]) == pytest.approx(until_s - 300.0, abs=1.0)
        assert parse_stamp(profile["schedule"]["startSchedule"]) <= clock().now_s() - 300.0
        assert profile["schedule"]["duration"] == pytest.approx(960.0, abs=10.0)


async def test_a_station_that_knows_no_profile_to_clear_is_given_its_default_in_that_place() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        await begin(raw)
        assert await dispatch(link, sink, 5) == ACCEPTED
        raw.answers["ClearChargingProfile"] = {"status": "Unknown"}
        link.send(setpoints((6, EV, Layer.RELEASE, math.nan, math.inf)))
        assert await sink.outcome(6) == ACCEPTED
        over = profiles(raw)[-1]
        assert (over["chargingProfilePurpose"], over["stackLevel"], _limit(over)) == ("TxProfile", 0, 9000)


async def test_a_dc_post_of_amperes_only_is_given_no_phases_and_no_more_than_its_ceiling_at_any_voltage() -> None:
    sink = Sink()
    index = fleet(resource(3, "DC/1", p_max_kw=150.0, floor_kw=0.0, default_kw=150.0))
    async with central(sink, index) as link, station(link, "DC", boot=False) as raw:
        raw.units = "Current"
        await raw.boot()
        await raw.settled()
        assert await dispatch(link, sink, 5, 50.0, row=3) == ACCEPTED
        periods = [p["schedule"]["chargingSchedulePeriod"] for p in profiles(raw)]
        assert periods == [[{"startPeriod": 0, "limit": 750}], [{"startPeriod": 0, "limit": 50}]]
        asked = [p["value"] for name, p in raw.asked if name == "ChangeConfiguration"]
        assert any("Voltage" in value for value in asked)
        volts = {"value": "400", "measurand": "Voltage", "unit": "V"}
        watts = {"value": "20000", "measurand": "Power.Active.Import", "unit": "W"}
        reading = {"timestamp": stamp(clock().now_s()), "sampledValue": [watts, volts]}
        await raw.call("MeterValues", {"connectorId": 1, "meterValue": [reading]})
        assert await dispatch(link, sink, 6, 44.0, row=3) == ACCEPTED
        assert profiles(raw)[-1]["schedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 100}]


@pytest.mark.parametrize(("watts", "keeps"), [(5000, True), (9000, False)])
async def test_a_limit_that_outlasts_the_link_is_a_trouble_that_is_seen_at_the_return(watts: int, keeps: bool) -> None:  # noqa: FBT001
    sink, fast = Sink(), clock(speed=200.0)
    async with central(sink, clock=fast, settle_wall_s=0.0) as link:
        async with station(link):
            link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, fast.now_s() + 90_000.0)))
            assert await sink.outcome(5) == ACCEPTED
        await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 0.0)
        await fast.sleep(70.0)
        async with station(link, boot=False) as raw:
            await metered(raw, fast, watts)
            await troubles(sink, EV, {Trouble.KEEPS_LIMIT_OFFLINE} if keeps else set())


async def metered(raw: RawStation, now: Clock, watts: float) -> None:
    """Say what a car draws."""
    sample = {"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}
    reading = {"timestamp": stamp(now.now_s()), "sampledValue": [sample]}
    await raw.call("MeterValues", {"connectorId": 1, "meterValue": [reading]})


async def test_an_honest_station_is_not_struck_for_power_around_the_end_of_its_lease() -> None:
    sink, hand = Sink(), HandClock()
    async with central(sink, clock=hand) as link, station(link) as raw:
        until_s = hand.now_s() + 100.0
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, until_s)))
        assert await sink.outcome(5) == ACCEPTED
        await hand.sleep_until(until_s - 2.0)
        await metered(raw, hand, 9000.0)
        assert link.card(EV)["follows_limits"] is None


async def test_a_limit_that_is_accepted_and_not_kept_is_given_by_the_other_purpose_next() -> None:
    sink, fast = Sink(), clock(speed=200.0)
    async with central(sink, clock=fast) as link, station(link) as raw:
        await begin(raw)
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, fast.now_s() + 90_000.0)))
        assert await sink.outcome(5) == ACCEPTED
        await fast.sleep(70.0)
        await metered(raw, fast, 9000.0)
        await troubles(sink, EV, {Trouble.IGNORES_LIMITS})
        link.send(setpoints((6, EV, Layer.DISPATCH, 5.0, fast.now_s() + 90_000.0)))
        assert await sink.outcome(6) == ACCEPTED
        assert [p["chargingProfilePurpose"] for p in profiles(raw)[1:]] == ["TxProfile", "TxDefaultProfile"]
        await fast.sleep(70.0)
        await metered(raw, fast, 4900.0)
        await troubles(sink, EV, set())


@pytest.mark.parametrize("answer", [REJECTED, "NotImplemented", "InternalError"])
async def test_a_station_that_clears_no_profiles_is_released_by_its_default_in_that_place(answer: Json | str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        assert await dispatch(link, sink, 5) == ACCEPTED
        raw.answers["ClearChargingProfile"] = answer
        link.send(setpoints((6, EV, Layer.RELEASE, math.nan, math.inf)))
        assert await sink.outcome(6) == ACCEPTED
        assert (profiles(raw)[-1]["stackLevel"], _limit(profiles(raw)[-1])) == (1, 9000)
        await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == 9.0)


async def test_a_release_that_cannot_be_had_in_any_way_is_a_refusal() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        assert await dispatch(link, sink, 5) == ACCEPTED
        for action in ("ClearChargingProfile", "SetChargingProfile"):
            raw.answers[action] = REJECTED
        link.send(setpoints((6, EV, Layer.RELEASE, math.nan, math.inf)))
        assert (await sink.outcome(6))[0] is OutcomeStatus.REJECTED
        assert sink.values[EV, Quantity.LIMIT_KW] == 5.0


@pytest.mark.parametrize("version", VERSIONS)
async def test_amperes_without_phases_are_given_where_naming_them_is_refused(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version, boot=False) as raw:
        raw.units = "Current" if version == "ocpp1.6" else "A"
        takes(raw, lambda p: "numberPhases" not in p["schedule"]["chargingSchedulePeriod"][0])
        await raw.boot()
        await raw.settled()
        sent = len(profiles(raw))
        for number in (5, 6):
            assert await dispatch(link, sink, number) == ACCEPTED
        assert [p["schedule"]["chargingRateUnit"] for p in profiles(raw)[sent:]] == ["A", "A"]
