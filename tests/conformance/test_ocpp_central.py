"""The central system against stations that say exactly what a test wants, over real sockets."""

import asyncio
import math
from contextlib import AsyncExitStack

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.ocpp.central_system import sessions
from adapters.ocpp.messages.ocpp_j import stamp
from adapters.ocpp.profiles.profile_ids import command_number, reserved_profile_id
from tests.conformance.ocpp_bench import (
    ACCEPTED,
    EV,
    EV2,
    V2G,
    LoopTime,
    RawStation,
    Sink,
    central,
    clock,
    fleet,
    link_of,
    resource,
    setpoints,
    station,
)
from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import ConflictError, DeviceUnreachableError, UnknownIdError
from vpp.domain.session import SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
INF = math.inf


def started(transaction: str = "tx1", at: str = "2025-07-01T18:00:00Z") -> dict[str, object]:
    """Return a 2.x TransactionEvent Started."""
    return {
        "eventType": "Started",
        "timestamp": at,
        "triggerReason": "CablePluggedIn",
        "seqNo": 0,
        "transactionInfo": {"transactionId": transaction},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [
            {"timestamp": at, "sampledValue": [{"value": 5.0, "unitOfMeasure": {"unit": "kWh"}}]},
        ],
        "idToken": {"idToken": "AB", "type": "Central"},
    }


async def begin(raw: RawStation) -> str:
    """Start a transaction and return its id as a profile names it."""
    if raw.version == "ocpp1.6":
        start = {"connectorId": 1, "idTag": "AB", "meterStart": 5000, "timestamp": "2025-07-01T18:00:00Z"}
        result = await raw.call("StartTransaction", start)
        return str(result[2]["transactionId"])
    result = await raw.call("TransactionEvent", started())
    assert result[2]["idTokenInfo"]["status"] == "Accepted"
    return "tx1"


def body(version: str, payload: dict) -> dict:
    """Return the profile of a SetChargingProfile with its one schedule, alike for all versions."""
    if version == "ocpp1.6":
        profile = dict(payload["csChargingProfiles"])
        profile["id"] = profile.pop("chargingProfileId")
        return profile
    profile = dict(payload["chargingProfile"])
    profile["chargingSchedule"] = profile["chargingSchedule"][0]
    return profile


def period(version: str, payload: dict) -> dict:
    return body(version, payload)["chargingSchedule"]["chargingSchedulePeriod"][0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_boot_is_accepted_and_followed_by_abilities_default_profile_intervals_and_triggers(
    version: str,
) -> None:
    sink = Sink()
    async with central(sink, sample_interval_s=30, boot_interval_s=200) as link, station(link, version=version) as raw:
        answer = await raw.boot()
        assert (answer["status"], answer["interval"]) == ("Accepted", 200)
        default = body(version, await raw.asked_for("SetChargingProfile"))
        assert default["chargingProfilePurpose"] == "TxDefaultProfile"
        assert default["stackLevel"] == 0
        assert default["id"] == reserved_profile_id(1)
        assert "validTo" not in default
        assert await sink.value(EV, Quantity.CONNECTED) == 1.0
        assert await sink.value(EV, Quantity.LIMIT_KW) == 9.0
        asked = str(raw.asked)
        assert "'30'" in asked
        assert "'requestedMessage': 'StatusNotification'" in asked
        card = link.card(EV)
        assert (card["version"], card["vendor"], card["rate_units"]) == (version, "Acme", ["W"])
        assert card["max_stack_level"] == 8


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_dispatch_before_a_transaction_is_a_higher_default_that_expires_by_itself(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        until_s = clock().now_s() + 900.0
        link.send(setpoints((7, EV, Layer.DISPATCH, 5.0, until_s)))
        assert await sink.outcome(7) == ACCEPTED
        profile = body(version, await raw.asked_for("SetChargingProfile", 2))
        assert command_number(profile["id"]) == 7
        assert (profile["chargingProfilePurpose"], profile["stackLevel"]) == ("TxDefaultProfile", 1)
        assert profile["validTo"] == stamp(until_s)
        assert profile["chargingSchedule"]["duration"] >= 900
        assert sink.values[EV, Quantity.LIMIT_KW] == 5.0


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_dispatch_in_a_transaction_is_bound_to_it_and_released_by_its_id(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        transaction = await begin(raw)
        link.send(setpoints((8, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(8) == ACCEPTED
        profile = body(version, await raw.asked_for("SetChargingProfile", 2))
        assert profile["chargingProfilePurpose"] == "TxProfile"
        assert str(profile["transactionId"]) == transaction
        raw.answers["ClearChargingProfile"] = {"status": "Unknown"}
        link.send(setpoints((9, EV, Layer.RELEASE, math.nan, INF)))
        assert await sink.outcome(9) == ACCEPTED
        cleared = await raw.asked_for("ClearChargingProfile")
        assert profile["id"] in cleared.values()
        await sink.until(lambda: sink.values.get((EV, Quantity.LIMIT_KW)) == 9.0)


async def test_a_release_that_knows_no_profile_clears_by_purpose_and_level() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        link.send(setpoints((9, EV, Layer.RELEASE, math.nan, INF)))
        assert await sink.outcome(9) == ACCEPTED
        first, second = [payload for name, payload in raw.asked if name == "ClearChargingProfile"]
        assert first["chargingProfilePurpose"] == "TxProfile"
        assert (second["chargingProfilePurpose"], second["stackLevel"]) == ("TxDefaultProfile", 1)


async def test_a_default_setpoint_replaces_what_lies_underneath_and_comes_back_after_a_reconnection() -> None:
    sink = Sink()
    async with central(sink) as link:
        async with station(link) as raw:
            link.send(setpoints((11, EV, Layer.DEFAULT, 6.5, INF)))
            assert await sink.outcome(11) == ACCEPTED
            profile = body("ocpp1.6", await raw.asked_for("SetChargingProfile", 2))
            assert (profile["chargingProfilePurpose"], profile["stackLevel"]) == ("TxDefaultProfile", 0)
        await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 0.0)
        async with station(link) as raw:
            again = await raw.asked_for("SetChargingProfile")
            assert period("ocpp1.6", again)["limit"] == 6500.0
            assert body("ocpp1.6", again)["id"] == reserved_profile_id(1)


async def test_a_dispatch_value_lapses_here_when_it_lapses_there() -> None:
    sink, fast = Sink(), clock(speed=50.0)
    async with central(sink, clock=fast) as link, station(link):
        link.send(setpoints((8, EV, Layer.DISPATCH, 5.0, fast.now_s() + 30.0)))
        await sink.until(lambda: sink.values.get((EV, Quantity.LIMIT_KW)) == 5.0)
        await sink.until(lambda: sink.values.get((EV, Quantity.LIMIT_KW)) == 9.0)


async def test_an_instruction_whose_lease_is_over_is_not_sent() -> None:
    sink = Sink()
    async with central(sink) as link, station(link):
        link.send(setpoints((8, EV, Layer.DISPATCH, 5.0, clock().now_s() - 1.0)))
        assert await sink.outcome(8) == (OutcomeStatus.REJECTED, Reason.EXPIRED)


async def test_a_newer_setpoint_replaces_one_that_has_not_left() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        until_s = clock().now_s() + 900.0
        raw.answers["SetChargingProfile"] = None
        link.send(setpoints((21, EV, Layer.DISPATCH, 5.0, until_s)))
        await raw.asked_for("SetChargingProfile", 2)
        link.send(setpoints((22, EV, Layer.DISPATCH, 6.0, until_s)))
        link.send(setpoints((23, EV, Layer.DISPATCH, 7.0, until_s)))
        assert await sink.outcome(22) == (OutcomeStatus.REJECTED, Reason.EXPIRED)
        assert 21 not in sink.ended
    assert sink.ended[21] == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
    assert sink.ended[23] == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
    assert sorted(sink.told) == [21, 22, 23]


async def test_an_epoch_below_the_highest_seen_is_refused() -> None:
    sink = Sink()
    async with central(sink) as link, station(link):
        link.send(setpoints((30, EV, Layer.DEFAULT, 8.0, INF), epoch=5))
        link.send(setpoints((31, EV, Layer.DEFAULT, 7.0, INF), epoch=4))
        assert await sink.outcome(31) == (OutcomeStatus.REJECTED, Reason.EXPIRED)
        assert await sink.outcome(30) == ACCEPTED


async def test_what_stations_answer_becomes_the_outcome() -> None:
    sink = Sink()
    until_s = clock().now_s() + 900.0
    async with central(sink) as link, station(link) as raw:
        cases = (
            ({"status": "Rejected"}, Reason.REFUSED),
            ({"status": "NotSupported"}, Reason.UNSUPPORTED),
            ("NotImplemented", Reason.UNSUPPORTED),
            ("InternalError", Reason.PROTOCOL),
            ({"status": "Perhaps"}, Reason.PROTOCOL),
        )
        for number, (answer, reason) in enumerate(cases, start=40):
            raw.answers["SetChargingProfile"] = answer
            link.send(setpoints((number, EV, Layer.DISPATCH, 5.0, until_s)))
            assert await sink.outcome(number) == (OutcomeStatus.REJECTED, reason)
        link.send(setpoints((50, EV2, Layer.DISPATCH, 5.0, until_s)))
        assert await sink.outcome(50) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)


async def test_a_dead_socket_times_out_as_unreachable_and_is_dropped_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink, time = Sink(), LoopTime(monkeypatch)
    async with central(sink, call_timeout_s=5.0) as link, station(link) as raw:
        raw.answers["SetChargingProfile"] = None  # the TCP connection stays open and nobody answers any more
        for number in (60, 61, 62):
            link.send(setpoints((number, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
            await raw.left_unanswered(number - 59)
            time.put_forward(6.0)
            assert await sink.outcome(number) == (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 0.0)


@pytest.mark.parametrize(("version", "unit"), [("ocpp1.6", "Current"), ("ocpp2.0.1", "A"), ("ocpp2.1", "A")])
async def test_a_station_that_takes_amperes_gets_amperes_with_phases(version: str, unit: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version, boot=False) as raw:
        raw.units = unit
        await raw.boot()
        await raw.settled()
        link.send(setpoints((70, EV, Layer.DISPATCH, 6.6, clock().now_s() + 900.0)))
        assert await sink.outcome(70) == ACCEPTED
        payload = await raw.asked_for("SetChargingProfile", 2)
        assert body(version, payload)["chargingSchedule"]["chargingRateUnit"] == "A"
        assert period(version, payload) == {"startPeriod": 0, "limit": 10.0, "numberPhases": 3}  # 6600 / (220 * 3)
        assert sink.values[EV, Quantity.LIMIT_KW] == pytest.approx(6.6)


async def test_a_station_of_unknown_ability_that_rejects_watts_is_asked_once_more_in_amperes() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        raw.answers["GetConfiguration"] = "NotSupported"
        raw.answers["SetChargingProfile"] = {"status": "Rejected"}
        await raw.boot()
        await raw.settled()
        raw.asked.clear()
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(5) == (OutcomeStatus.REJECTED, Reason.REFUSED)
        tried = [body("ocpp1.6", payload) for _, payload in raw.asked]
        assert [profile["chargingSchedule"]["chargingRateUnit"] for profile in tried] == ["W", "A"]


@pytest.mark.parametrize(
    ("asked_kw", "told_w"), [(0.0, 0.0), (0.5, 3960.0), (3.96, 3960.0), (8.0, 8000.0), (99.0, 11000.0)]
)
async def test_nothing_between_zero_and_six_amperes_is_ever_told(asked_kw: float, told_w: float) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        link.send(setpoints((70, EV, Layer.DISPATCH, asked_kw, clock().now_s() + 900.0)))
        assert await sink.outcome(70) == ACCEPTED
        assert period("ocpp1.6", await raw.asked_for("SetChargingProfile", 2))["limit"] == told_w


async def test_a_v2g_station_is_told_a_negative_setpoint_to_discharge() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, "V1", "ocpp2.1") as raw:
        await begin(raw)
        link.send(setpoints((80, V2G, Layer.DISPATCH, -6.0, clock().now_s() + 900.0)))
        assert await sink.outcome(80) == ACCEPTED
        payload = await raw.asked_for("SetChargingProfile", 2)
        assert body("ocpp2.1", payload)["chargingProfilePurpose"] == "TxProfile"
        assert period("ocpp2.1", payload) == {
            "startPeriod": 0,
            "operationMode": "CentralSetpoint",
            "setpoint": -6000.0,
        }
        assert sink.values[V2G, Quantity.LIMIT_KW] == -6.0


async def test_a_station_that_cannot_discharge_is_never_told_to() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, "V1", "ocpp2.0.1"):
        link.send(setpoints((80, V2G, Layer.DISPATCH, -6.0, clock().now_s() + 900.0)))
        assert await sink.outcome(80) == (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_malformed_frame_hurts_nobody(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw, station(link, "CP2") as neighbour:
        await raw.socket.send('[2,"x","Heartbeat",{')
        await raw.socket.send('{"not":"a frame"}')
        await raw.socket.send(b"\x00\x01")
        if version != "ocpp1.6":
            assert (await raw.answer("-1"))[2] == "RpcFrameworkError"
        assert (await raw.call("Heartbeat", {}))[0] == 3
        assert (await neighbour.call("Heartbeat", {}))[0] == 3
        assert sink.rejected == ["json", "frame", "binary"]


async def test_a_call_of_the_wrong_shape_is_answered_under_its_own_id() -> None:
    async with central(Sink()) as link, station(link) as raw:
        await raw.socket.send('[2,"abc","Heartbeat"]')
        assert (await raw.answer("abc"))[2] == "FormationViolation"
        await raw.socket.send('[9,"abd","Heartbeat",{}]')
        assert (await raw.answer("abd"))[0] == 4


@pytest.mark.parametrize(
    ("version", "action", "payload", "code"),
    [
        ("ocpp1.6", "BootNotification", {"chargePointVendor": "A"}, "OccurenceConstraintViolation"),
        (
            "ocpp1.6",
            "StatusNotification",
            {"connectorId": 1, "errorCode": "NoError", "status": "Error"},
            "PropertyConstraintViolation",
        ),
        ("ocpp1.6", "Authorize", {"idTag": {}}, "TypeConstraintViolation"),
        ("ocpp1.6", "NoSuchAction", {}, "NotImplemented"),
        ("ocpp1.6", "../../BootNotification", {}, "NotImplemented"),
        ("ocpp1.6", "SetChargingProfile", {"connectorId": 1}, "OccurenceConstraintViolation"),
        ("ocpp1.6", "ClearCache", {}, "NotSupported"),
        ("ocpp2.0.1", "StatusNotification", {"evseId": 1}, "OccurenceConstraintViolation"),
        ("ocpp2.1", "StatusNotification", {"evseId": 1}, "OccurrenceConstraintViolation"),
        (
            "ocpp2.1",
            "NotifyEVChargingNeeds",
            {"evseId": 0, "chargingNeeds": {"requestedEnergyTransfer": "DC"}},
            "PropertyConstraintViolation",
        ),
    ],
)
async def test_a_schema_violation_is_answered_with_the_version_s_error_code(
    version: str, action: str, payload: dict, code: str
) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        answer = await raw.call(action, payload)
        assert (answer[0], answer[2]) == (4, code)
        assert len(sink.rejected) == 1
        assert (await raw.call("Heartbeat", {}))[0] == 3


async def test_a_repeated_message_id_gets_the_same_answer_and_is_not_served_again() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        start = {"connectorId": 1, "idTag": "AB", "meterStart": 5000, "timestamp": "2025-07-01T18:00:00Z"}
        first = await raw.call("StartTransaction", start, message_id="same")
        assert await raw.call("StartTransaction", start, message_id="same") == first
        # A counter that began anew after a reboot is another message, not a repetition.
        other = await raw.call("StartTransaction", {**start, "timestamp": "2025-07-01T19:00:00Z"}, message_id="same")
        assert other[2]["transactionId"] != first[2]["transactionId"]
        assert len([event for event in sink.events if isinstance(event, SessionStarted)]) == 2


async def test_a_start_replayed_after_a_lost_link_keeps_its_transaction_id() -> None:
    sink = Sink()
    async with central(sink) as link:
        async with station(link) as raw:
            transaction = await begin(raw)
        async with station(link) as raw:
            assert await begin(raw) == transaction
        assert len([event for event in sink.events if isinstance(event, SessionStarted)]) == 1


async def test_the_newest_connection_of_a_station_wins_and_the_late_close_of_the_old_one_changes_nothing() -> None:
    sink = Sink()
    async with central(sink) as link, AsyncExitStack() as stack:
        old = await stack.enter_async_context(station(link))
        new = await stack.enter_async_context(station(link))
        await asyncio.wait_for(old.socket.wait_closed(), PATIENCE_WALL_S)
        link.send(setpoints((90, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(90) == ACCEPTED
        assert (await new.call("Heartbeat", {}))[0] == 3
        assert sink.values[EV, Quantity.CONNECTED] == 1.0


async def test_units_are_read_from_each_sample_and_nonsense_is_dropped_alone() -> None:
    sink = Sink()
    at = stamp(clock().now_s())
    sampled = [
        {"measurand": "Power.Active.Import", "unit": "kW", "value": "7.2"},
        {"measurand": "Power.Active.Export", "unit": "W", "value": "200"},
        {"value": "12500"},  # Energy.Active.Import.Register in Wh by default
        {"measurand": "SoC", "unit": "V", "value": "400"},
        {"measurand": "SoC", "unit": "Percent", "value": ""},
        {"measurand": "Voltage", "unit": "Hz", "value": "50"},
        {"measurand": "Vendor.Mood", "value": "9"},
    ]
    async with central(sink) as link, station(link) as raw:
        answer = await raw.call(
            "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": at, "sampledValue": sampled}]}
        )
        assert answer[0] == 3
        assert await sink.value(EV, Quantity.POWER_KW) == pytest.approx(7.0)
        assert await sink.value(EV, Quantity.ENERGY_KWH) == pytest.approx(12.5)
        assert (EV, Quantity.SOC) not in sink.values
        assert sink.rejected == ["sample"] * 4


async def test_metering_without_a_good_sample_is_still_answered() -> None:
    sink = Sink()
    reading = {"timestamp": "2025-07-01T18:00:00Z", "sampledValue": [{"measurand": "Vendor.Mood", "value": "9"}]}
    async with central(sink) as link, station(link) as raw:
        assert (await raw.call("MeterValues", {"connectorId": 1, "meterValue": [reading]}))[0] == 3
        assert (await raw.call("MeterValues", {"meterValue": [reading]}))[2] == "OccurenceConstraintViolation"


async def test_phases_are_added_up_and_multipliers_obeyed() -> None:
    sink = Sink()
    at = stamp(clock().now_s())
    sampled = [
        {
            "measurand": "Power.Active.Import",
            "phase": phase,
            "value": 2.0,
            "unitOfMeasure": {"unit": "W", "multiplier": 3},
        }
        for phase in ("L1", "L2", "L3")
    ]
    async with central(sink) as link, station(link, version="ocpp2.0.1") as raw:
        await raw.call("MeterValues", {"evseId": 1, "meterValue": [{"timestamp": at, "sampledValue": sampled}]})
        assert await sink.value(EV, Quantity.POWER_KW) == pytest.approx(6.0)


async def test_a_wrong_clock_is_measured_and_old_news_told_from_it() -> None:
    sink = Sink()

    async def age_s(raw: RawStation, at: str) -> float:
        sink.at_s.clear()
        sampled = [{"measurand": "Power.Active.Import", "value": "1000"}]
        await raw.call("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": at, "sampledValue": sampled}]})
        await sink.until(lambda: (EV, Quantity.POWER_KW) in sink.at_s)
        return clock().now_s() - sink.at_s[EV, Quantity.POWER_KW]

    async with central(sink) as link, station(link) as raw:
        assert abs(await age_s(raw, "1970-01-01T00:00:12Z")) < 30.0
        assert abs(await age_s(raw, "2025-07-01T17:55:00Z")) < 30.0  # five minutes slow, as far as anybody knows
        assert link.card(EV)["clock_offset_s"] == pytest.approx(300.0, abs=30.0)
        assert abs(await age_s(raw, "2025-07-01T18:00:00Z")) < 30.0  # not at all: that one was old
        assert abs(await age_s(raw, "2025-07-01T17:58:00Z") - 120.0) < 30.0
        assert link.card(EV)["clock_offset_s"] == pytest.approx(0.0, abs=30.0)


async def test_a_16_session_starts_is_promised_and_ends() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        transaction = await begin(raw)
        data = {"transactionId": int(transaction), "energy_kwh": 20.0, "departure_at": "2025-07-02T07:00:00+08:00"}
        text = orjson.dumps(data).decode()
        transfer = {"vendorId": "org.vpp", "messageId": "DriverPromise", "data": text}
        assert (await raw.call("DataTransfer", transfer))[2] == {"status": "Accepted"}
        assert (await raw.call("DataTransfer", {**transfer, "data": "{"}))[2] == {"status": "Rejected"}
        assert (await raw.call("DataTransfer", {"vendorId": "x"}))[2] == {"status": "UnknownVendorId"}
        stop = {"transactionId": int(transaction), "meterStop": 9000, "timestamp": "2025-07-01T18:01:00Z"}
        await raw.call("StopTransaction", {**stop, "reason": "EVDisconnected"})
        begun, promised, ended = sink.events
        assert isinstance(begun, SessionStarted)
        assert (begun.session_id, begun.row, begun.meter_kwh) == (f"CP1:{transaction}", EV, 5.0)
        assert isinstance(promised, SessionPromised)
        assert promised.promise.energy_kwh == 20.0
        assert isinstance(ended, SessionEnded)
        assert (ended.session_id, ended.meter_kwh) == (f"CP1:{transaction}", 9.0)
        await sink.until(lambda: sink.values.get((EV, Quantity.PLUGGED)) == 0.0)


async def test_a_stop_with_id_minus_one_ends_the_transaction_that_runs() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        transaction = await begin(raw)
        stop = {"transactionId": -1, "meterStop": 9000, "timestamp": "2025-07-01T18:01:00Z"}
        await raw.call("StopTransaction", stop)
        ended = await sink.event(SessionEnded)
        assert ended.session_id == f"CP1:{transaction}"


async def test_a_running_transaction_of_an_earlier_life_is_taken_up() -> None:
    sink = Sink()
    sampled = [{"value": "12500"}]
    async with central(sink) as link, station(link) as raw:
        reading = {"timestamp": "2025-07-01T18:00:00Z", "sampledValue": sampled}
        await raw.call("MeterValues", {"connectorId": 1, "transactionId": 77, "meterValue": [reading]})
        await raw.call("MeterValues", {"connectorId": 1, "transactionId": -1, "meterValue": [reading]})
        begun = await sink.event(SessionStarted)
        assert (begun.session_id, len(sink.events)) == ("CP1:77", 1)


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
async def test_a_2x_session_starts_is_promised_by_its_needs_and_ends(version: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw:
        needs = {
            "requestedEnergyTransfer": "AC_three_phase",
            "departureTime": "2025-07-02T07:00:00Z",
            "acChargingParameters": {"energyAmount": 18000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230},
        }
        answer = await raw.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
        assert answer[2]["status"] == "Processing"  # before its transaction: kept until that begins
        await begin(raw)
        ended = {
            **started(),
            "eventType": "Ended",
            "triggerReason": "EVDeparted",
            "seqNo": 1,
            "transactionInfo": {"transactionId": "tx1", "stoppedReason": "EVDisconnected"},
        }
        del ended["evse"]
        await raw.call("TransactionEvent", ended)
        begun, promised, gone = sink.events
        assert isinstance(begun, SessionStarted)
        assert (begun.session_id, begun.meter_kwh) == ("CP1:tx1", 5.0)
        assert isinstance(promised, SessionPromised)
        assert promised.promise.energy_kwh == 18.0
        assert isinstance(gone, SessionEnded)
        await sink.until(lambda: sink.values.get((EV, Quantity.PLUGGED)) == 0.0)


async def test_v2g_needs_carry_target_floor_and_our_own_fields() -> None:
    sink = Sink()
    needs = {
        "requestedEnergyTransfer": "AC_BPT",
        "departureTime": "2025-07-02T07:00:00Z",
        "v2xChargingParameters": {"evTargetEnergyRequest": 30000, "evMinEnergyRequest": 4000},
    }
    custom = {"vendorId": "org.vpp", "optedOut": True}
    async with central(sink) as link, station(link, "V1", "ocpp2.1") as raw:
        await begin(raw)
        await raw.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs, "customData": custom})
        promised = await sink.event(SessionPromised)
        assert (promised.promise.energy_kwh, promised.promise.floor_kwh) == (30.0, 4.0)
        assert promised.promise.opted_out
        assert not promised.promise.boost


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_composite_schedule_is_read_back_in_whatever_unit_the_station_likes(version: str) -> None:
    sink = Sink()
    periods = [{"startPeriod": 0, "limit": 10.0}, {"startPeriod": 60, "limit": 16.0, "numberPhases": 1}]
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    at = "2025-07-01T18:00:00Z"
    answer: dict[str, object] = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": at,
        "chargingSchedule": schedule,
    }
    if version != "ocpp1.6":
        answer = {"status": "Accepted", "schedule": {**schedule, "evseId": 1, "duration": 900, "scheduleStart": at}}
    async with central(sink) as link, station(link, version=version) as raw:
        raw.answers["GetCompositeSchedule"] = answer
        read = await link.device_schedule(EV, 900)
        assert read.power_kw == pytest.approx((6.6, 3.52))
        assert read.offsets_s == (0.0, 60.0)
        assert stamp(read.start_s) == "2025-07-01T18:00:00.000Z"
        await sink.until(lambda: sink.values.get((EV, Quantity.LIMIT_KW)) == pytest.approx(6.6))
        raw.answers["GetCompositeSchedule"] = {"status": "Rejected"}
        with pytest.raises(ConflictError):
            await link.device_schedule(EV, 900)
        with pytest.raises(DeviceUnreachableError):
            await link.device_schedule(EV2, 900)
        with pytest.raises(UnknownIdError):
            await link.device_schedule(99, 900)


async def test_unknown_stations_and_paths_are_not_found() -> None:
    async with central(Sink()) as link:
        for path in ("ocpp/NOBODY", "other/CP1", "ocpp/"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{link.port}/{path}", subprotocols=["ocpp1.6"])
            assert refused.value.response.status_code == 404


async def test_the_best_version_both_sides_know_is_chosen_and_compression_declined() -> None:
    async with central(Sink()) as link:
        url = f"ws://127.0.0.1:{link.port}/ocpp/CP1"
        offers = {
            ("ocpp1.6", "ocpp2.0.1", "ocpp2.1"): "ocpp2.1",
            ("ocpp2.0", "ocpp1.6", "ocpp2.0.1"): "ocpp2.0.1",
            ("ocpp1.6",): "ocpp1.6",
        }
        for offer, chosen in offers.items():
            async with connect(url, subprotocols=list(offer)) as socket:
                assert socket.subprotocol == chosen
                assert socket.response is not None
                assert "Sec-WebSocket-Extensions" not in socket.response.headers
        async with connect(url, subprotocols=["ocpp1.2"]) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()


async def test_a_station_that_names_no_version_is_taken_for_16() -> None:
    async with central(Sink()) as link, connect(f"ws://127.0.0.1:{link.port}/ocpp/CP1") as socket:
        await socket.send('[2,"1","BootNotification",{"chargePointVendor":"A","chargePointModel":"B"}]')
        assert orjson.loads(await socket.recv())[2]["status"] == "Accepted"


async def test_passwords_are_judged_where_a_judge_is_given() -> None:
    def judge(name: str, password: str | None) -> bool:
        return (name, password) == ("CP1", "secret")

    async with central(Sink(), authenticate=judge) as link:
        for user in ("", "CP1:wrong@", "CP2:secret@"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{user}127.0.0.1:{link.port}/ocpp/CP1", subprotocols=["ocpp1.6"])
            assert refused.value.response.status_code == 401
        async with connect(f"ws://CP1:secret@127.0.0.1:{link.port}/ocpp/CP1", subprotocols=["ocpp1.6"]) as socket:
            assert socket.subprotocol == "ocpp1.6"


async def test_a_station_that_comes_back_without_a_boot_is_connected_at_once() -> None:
    sink = Sink()
    async with central(sink) as link:
        async with station(link):
            await sink.value(EV, Quantity.CONNECTED)
        await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 0.0)
        async with station(link, boot=False) as raw:
            await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 1.0)
            await raw.settled()


async def test_samples_of_many_messages_travel_in_few_batches() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        before = sink.batches
        reading = {
            "timestamp": stamp(clock().now_s()),
            "sampledValue": [{"measurand": "Power.Active.Import", "value": "1"}],
        }
        frames = [[2, f"b{n}", "MeterValues", {"connectorId": 1, "meterValue": [reading]}] for n in range(100)]
        for frame in frames:
            await raw.socket.send(orjson.dumps(frame).decode())
        await raw.answer("b99")
        await sink.until(lambda: sink.samples >= 100)
        assert sink.batches - before < 50


async def test_a_fleet_that_grows_serves_its_new_stations_too() -> None:
    sink = Sink()
    async with central(sink) as link:
        grown = fleet(resource(3, "CP9/1"), resource(4, "CP1/2"))
        async with station(link) as raw:
            link.assign(grown)
            await raw.until(lambda: any(payload.get("connectorId") == 2 for _, payload in raw.asked))
        async with station(link, "CP9"):
            assert await sink.value(3, Quantity.CONNECTED) == 1.0


async def test_what_is_under_way_comes_back_as_unreachable_when_the_link_closes() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        raw.answers["SetChargingProfile"] = None
        until_s = clock().now_s() + 900.0
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, until_s)))
        await raw.asked_for("SetChargingProfile", 2)
        link.send(setpoints((6, EV, Layer.DISPATCH, 6.0, until_s)))
        await link.close()
        assert sink.ended == dict.fromkeys((5, 6), (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED))


async def test_a_station_that_connects_and_says_nothing_is_asked_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "BOOT_PATIENCE_WALL_S", 0.05)
    monkeypatch.setattr(sessions, "LEAST_SILENCE_WALL_S", 0.5)
    async with central(Sink(), boot_interval_s=1) as link, station(link, boot=False) as raw:
        assert (await raw.asked_for("TriggerMessage"))["requestedMessage"] == "BootNotification"


async def test_a_connection_without_a_sign_of_life_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, time = Sink(), LoopTime(monkeypatch)
    async with central(sink, boot_interval_s=5) as link, station(link) as raw:
        await sink.value(EV, Quantity.CONNECTED)
        raw.socket.transport.pause_reading()  # so that not even a ping is answered
        async with asyncio.timeout(PATIENCE_WALL_S):
            while sink.values[EV, Quantity.CONNECTED] == 1.0:  # what it has said last may still be under way
                time.put_forward(0.5 * sessions.LEAST_SILENCE_WALL_S)
                await asyncio.sleep(0.1)
        raw.socket.transport.abort()


async def test_a_message_in_fragments_is_put_together() -> None:
    async with central(Sink()) as link, station(link) as raw:
        await raw.socket.send(['[2,"frag","Heart', 'beat",', "{}]"])
        assert (await raw.answer("frag"))[0] == 3


async def test_a_default_of_an_earlier_life_is_put_back() -> None:
    async with central(Sink()) as link:
        link.remember_default(EV, 6.0)
        async with station(link) as raw:
            assert period("ocpp1.6", await raw.asked_for("SetChargingProfile"))["limit"] == 6000.0


async def test_a_card_is_empty_for_a_row_that_is_not_ours() -> None:
    async with central(Sink()) as link:
        assert link.card(99) == {}


def test_a_link_shows_its_port_before_it_listens() -> None:
    assert link_of(port=9000).port == 9000
