"""The 31 real interoperability pains of the field, one by one, over real sockets; each test is named by its pain."""

import asyncio
import base64
import math
import os
from contextlib import AsyncExitStack

import orjson
import pytest
from websockets.asyncio.client import connect

from adapters.kit.websocket.acceptor import Tolerance
from adapters.kit.websocket.frames import CloseCode, Opcode, masked
from adapters.ocpp import OcppLink
from adapters.ocpp.central_system import sessions
from adapters.ocpp.messages.ocpp_j import stamp
from adapters.ocpp.profiles.profile_ids import command_number
from tests.conformance.ocpp_bench import (
    ACCEPTED,
    EV,
    LoopTime,
    RawStation,
    Sink,
    central,
    clock,
    fleet,
    resource,
    setpoints,
    station,
)
from tests.patience import PATIENCE_WALL_S
from vpp.domain.session import SessionEnded, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

INF = math.inf
REFUSED = (OutcomeStatus.REJECTED, Reason.REFUSED)
UNSUPPORTED = (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)


def reading(*sampled: dict, at: str | None = None) -> list[dict]:
    return [{"timestamp": at or stamp(clock().now_s()), "sampledValue": list(sampled)}]


def power(watts: object, **more: object) -> dict:
    return {"measurand": "Power.Active.Import", "unit": "W", "value": str(watts), **more}


async def meter(raw: RawStation, *sampled: dict, **more: object) -> list:
    return await raw.call("MeterValues", {"connectorId": 1, "meterValue": reading(*sampled), **more})


def start(**changes: object) -> dict:
    at = stamp(clock().now_s())
    return {"connectorId": 1, "idTag": "AB", "meterStart": 5000, "timestamp": at, **changes}


async def dispatch(link: OcppLink, sink: Sink, number: int, power_kw: float, lasts_s: float = 900.0) -> tuple:
    link.send(setpoints((number, EV, Layer.DISPATCH, power_kw, clock().now_s() + lasts_s)))
    return await sink.outcome(number)


def last_profile(raw: RawStation) -> dict:
    return [payload for name, payload in raw.asked if name == "SetChargingProfile"][-1]["csChargingProfiles"]


class Plain:
    """A TCP connection that says whatever bytes a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def refused(cls, port: int, *lines: str, path: str = "/ocpp/CP1") -> "tuple[Plain, str]":
        """Send a request of the usual head and ``lines``; return the connection and the response's head."""
        self = cls(*await asyncio.open_connection("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        usual = (f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket", f"Sec-WebSocket-Key: {key}")
        self.writer.write("\r\n".join((*usual, "Sec-WebSocket-Version: 13", *lines, "", "")).encode())
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_WALL_S)
        return self, head.decode()

    def say(self, message: object, *, reserved: int = 0) -> None:
        """Send a text message, with reserved bits set if any are given."""
        frame = bytearray(masked(Opcode.TEXT, orjson.dumps(message), b"\1\2\3\4"))
        frame[0] |= reserved
        self.writer.write(bytes(frame))

    async def hear(self, kind: Opcode = Opcode.TEXT) -> bytes:
        """Return the content of the next message of a kind."""
        while True:
            head = await asyncio.wait_for(self.reader.readexactly(2), PATIENCE_WALL_S)
            size = head[1]
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            payload = await self.reader.readexactly(size)
            if head[0] & 0x0F == kind:
                return payload

    async def answer(self, message_id: str) -> list:
        """Return the frame that answers a CALL."""
        while True:
            message = orjson.loads(await self.hear())
            if message[0] in (3, 4) and message[1] == message_id:
                return message

    async def end(self) -> bytes:
        """Return everything until the other side closes."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE_WALL_S)

    def close(self) -> None:
        """Leave."""
        self.writer.close()


UPGRADE = ("Connection: Upgrade", "Sec-WebSocket-Protocol: ocpp1.6")
BOOT = [2, "boot", "BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"}]


async def test_pain_01_a_profile_accepted_without_a_transaction_is_not_a_tx_profile() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        assert await dispatch(link, sink, 5, 6.0) == ACCEPTED
        assert last_profile(raw)["chargingProfilePurpose"] == "TxDefaultProfile"
        assert "transactionId" not in last_profile(raw)
        await raw.call("StartTransaction", start())
        assert await dispatch(link, sink, 6, 6.0) == ACCEPTED
        assert last_profile(raw)["chargingProfilePurpose"] == "TxProfile"


async def test_pain_02_a_station_that_draws_more_than_it_accepted_is_marked_on_its_card() -> None:
    sink, fast = Sink(), clock(speed=200.0)
    async with central(sink, clock=fast) as link, station(link) as raw:
        link.send(setpoints((5, EV, Layer.DISPATCH, 4.6, fast.now_s() + 9000.0)))
        assert await sink.outcome(5) == ACCEPTED
        await fast.sleep(70.0)
        await raw.call("MeterValues", {"connectorId": 1, "meterValue": reading(power(7900), at=stamp(fast.now_s()))})
        assert link.card(EV)["follows_limits"] is False
        await raw.call("MeterValues", {"connectorId": 1, "meterValue": reading(power(4500), at=stamp(fast.now_s()))})
        assert link.card(EV)["follows_limits"] is True


async def test_pain_03_a_station_that_rejects_zero_is_found_out_and_not_asked_for_it() -> None:
    sink = Sink()
    async with central(sink, control_test=True) as link, station(link, boot=False) as raw:

        def has_zero(payload: dict) -> dict:
            periods = payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
            return {"status": "Rejected" if any(p["limit"] == 0 for p in periods) else "Accepted"}

        raw.rules["SetChargingProfile"] = has_zero
        await raw.boot()
        await raw.settled()
        assert link.card(EV)["zero_allowed"] is False
        assert await dispatch(link, sink, 5, 0.0) == UNSUPPORTED
        assert await dispatch(link, sink, 6, 4.0) == ACCEPTED


async def test_pain_04_a_station_that_rejects_its_own_maximum_stack_level_is_used_below_it() -> None:
    sink = Sink()
    async with central(sink, control_test=True) as link, station(link, boot=False) as raw:
        rules = {1: {"status": "Rejected"}, 0: {"status": "Accepted"}}
        raw.rules["SetChargingProfile"] = lambda payload: rules[payload["csChargingProfiles"]["stackLevel"]]
        await raw.boot()
        await raw.settled()
        assert link.card(EV)["max_stack_level"] == 0
        assert await dispatch(link, sink, 5, 5.0) == UNSUPPORTED  # it would replace the default underneath
        await raw.call("StartTransaction", start())
        assert await dispatch(link, sink, 6, 5.0) == ACCEPTED
        assert last_profile(raw)["stackLevel"] == 0


async def test_pain_05_a_station_of_stack_level_0_keeps_its_default() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        entry = {"key": "ChargeProfileMaxStackLevel", "readonly": True, "value": "0"}
        raw.answers["GetConfiguration"] = {"configurationKey": [entry]}
        await raw.boot()
        await raw.settled()
        assert await dispatch(link, sink, 5, 5.0) == UNSUPPORTED


async def test_pain_06_a_station_that_rejects_every_profile_is_a_refusal_and_no_more() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        raw.answers["SetChargingProfile"] = {"status": "Rejected"}
        await raw.boot()
        await raw.settled()
        assert await dispatch(link, sink, 5, 5.0) == REFUSED
        assert (await raw.call("Heartbeat", {}))[0] == 3


async def test_pain_07_a_station_of_watts_only_is_found_out_without_being_told() -> None:
    sink = Sink()
    async with central(sink, control_test=True) as link, station(link, boot=False) as raw:
        raw.answers["GetConfiguration"] = "NotSupported"
        raw.rules["SetChargingProfile"] = lambda payload: only(payload, "W")
        await raw.boot()
        await raw.settled()
        assert await dispatch(link, sink, 5, 6.6) == ACCEPTED
        assert link.card(EV)["rate_units"][0] == "W"


async def test_pain_08_a_station_of_amperes_only_is_found_out_without_being_told() -> None:
    sink = Sink()
    async with central(sink, control_test=True) as link, station(link, boot=False) as raw:
        raw.answers["GetConfiguration"] = "NotSupported"
        raw.rules["SetChargingProfile"] = lambda payload: only(payload, "A")
        await raw.boot()
        await raw.settled()
        assert await dispatch(link, sink, 5, 6.6) == ACCEPTED
        assert last_profile(raw)["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 10.0
        assert (link.card(EV)["rate_units"], link.card(EV)["tested"]) == (["A"], True)


def only(payload: dict, unit: str) -> dict:
    told = payload["csChargingProfiles"]["chargingSchedule"]["chargingRateUnit"]
    return {"status": "Accepted" if told == unit else "Rejected"}


async def test_pain_09_a_composite_in_another_unit_than_asked_for_is_understood() -> None:
    async with central(Sink()) as link, station(link) as raw:
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
        raw.answers["GetCompositeSchedule"] = {"status": "Accepted", "chargingSchedule": schedule}
        assert (await link.device_schedule(EV, 60)).power_kw == pytest.approx((6.6,))


async def test_pain_10_amperes_carry_the_number_of_phases_and_watts_need_none() -> None:
    index = fleet(resource(3, "ONE/1", phases=1, p_max_kw=7.0, floor_kw=1.32))
    for unit, period in (("Current", {"limit": 10.0, "numberPhases": 1}), ("Power", {"limit": 2200.0})):
        sink = Sink()
        async with central(sink, index) as link, station(link, "ONE", boot=False) as raw:
            raw.units = unit
            await raw.boot()
            await raw.settled()
            link.send(setpoints((5, 3, Layer.DISPATCH, 2.2, clock().now_s() + 900.0)))
            assert await sink.outcome(5) == ACCEPTED
            assert last_profile(raw)["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, **period}]


async def test_pain_11_a_station_is_never_asked_to_switch_phases() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        raw.units = "Current"
        await raw.boot()
        await raw.settled()
        for number, power_kw in ((5, 4.0), (6, 9.0)):
            assert await dispatch(link, sink, number, power_kw) == ACCEPTED
            assert last_profile(raw)["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] == 3


async def test_pain_12_empty_values_and_a_state_of_charge_in_volts_are_dropped_alone() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        soc = {"measurand": "SoC", "unit": "V", "value": "390"}
        assert (await meter(raw, {"measurand": "Power.Active.Import", "value": ""}, soc, power(500, phase="L1")))[
            0
        ] == 3
        assert await sink.value(EV, Quantity.POWER_KW) == pytest.approx(0.5)
        assert sink.rejected == ["sample", "sample"]


async def test_pain_13_meter_values_of_transaction_minus_one_are_of_none() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        for transaction in (-1, 0):
            assert (await meter(raw, power(500), transactionId=transaction))[0] == 3
        assert await sink.value(EV, Quantity.POWER_KW) == 0.5
        assert sink.events == []


@pytest.mark.parametrize("transaction", [-1, 0])
async def test_pain_14_a_stop_of_minus_one_or_zero_after_an_offline_start_ends_what_runs(transaction: int) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        begun = await raw.call("StartTransaction", start())
        stop = {"transactionId": transaction, "meterStop": 9000, "timestamp": stamp(clock().now_s())}
        assert (await raw.call("StopTransaction", stop))[0] == 3
        ended = await sink.event(SessionEnded)
        assert ended.session_id == f"CP1:{begun[2]['transactionId']}"


async def test_pain_15_a_stop_whose_start_was_lost_is_told_as_an_end() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        stop = {"transactionId": 4711, "meterStop": 9000, "timestamp": stamp(clock().now_s())}
        assert (await raw.call("StopTransaction", stop))[0] == 3
        ended = await sink.event(SessionEnded)
        assert (ended.session_id, ended.row, ended.meter_kwh) == ("CP1:4711", EV, 9.0)


async def test_pain_16_the_same_start_told_to_two_central_systems_has_one_transaction_id() -> None:
    told, ids = start(), []
    for _ in range(2):
        async with central(Sink()) as link, station(link) as raw:
            ids += [(await raw.call("StartTransaction", told))[2]["transactionId"] for _ in range(2)]
            other = await raw.call("StartTransaction", {**told, "meterStart": 6000})
            assert other[2]["transactionId"] != ids[0]
    assert len(set(ids)) == 1
    assert 0 < ids[0] < 2**31


async def test_pain_16_a_stopped_clock_does_not_make_two_cars_one() -> None:
    told = start(timestamp="1970-01-01T00:00:12Z")
    async with central(Sink()) as link, station(link) as raw:
        first = (await raw.call("StartTransaction", told))[2]["transactionId"]
        stop = {"transactionId": first, "meterStop": 5000, "timestamp": "1970-01-01T00:01:00Z"}
        await raw.call("StopTransaction", stop)
        assert (await raw.call("StartTransaction", told))[2]["transactionId"] != first


async def test_pain_17_a_dead_socket_does_not_keep_the_new_one_out_nor_does_its_late_close_end_it() -> None:
    sink = Sink()
    async with central(sink) as link:
        dead, head = await Plain.refused(link.port, *UPGRADE)
        assert " 101 " in head
        dead.say(BOOT)
        await dead.answer("boot")
        async with station(link) as raw:  # the old one neither closes nor answers
            dead.close()
            assert await dispatch(link, sink, 5, 5.0) == ACCEPTED
            assert (await raw.call("Heartbeat", {}))[0] == 3
            assert sink.values[EV, Quantity.CONNECTED] == 1.0


async def test_pain_18_a_half_closed_connection_is_a_closed_one() -> None:
    sink = Sink()
    async with central(sink) as link:
        half, _ = await Plain.refused(link.port, *UPGRADE)
        half.say(BOOT)
        await half.answer("boot")
        await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 1.0)
        half.writer.write_eof()
        await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 0.0)
        half.close()


async def test_pain_19_a_station_that_heartbeats_but_answers_no_call_is_made_to_reconnect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink, time = Sink(), LoopTime(monkeypatch)
    async with central(sink, call_timeout_s=5.0) as link, station(link) as raw:
        raw.answers["SetChargingProfile"] = None
        for number in (5, 6, 7):
            link.send(setpoints((number, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
            await raw.left_unanswered(number - 4)
            time.put_forward(6.0)
            assert await sink.outcome(number) == (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
            if number < 7:
                assert (await raw.call("Heartbeat", {}))[0] == 3
        await asyncio.wait_for(raw.socket.wait_closed(), PATIENCE_WALL_S)
        assert "unanswered" in sink.rejected


async def test_pain_20_a_station_that_knows_no_pong_lives_on_by_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, time = Sink(), LoopTime(monkeypatch)
    async with central(sink, boot_interval_s=1) as link:
        mute, _ = await Plain.refused(link.port, *UPGRADE)
        mute.say(BOOT)
        await mute.answer("boot")
        for number in range(4):  # longer than the limit; pings come and are not answered
            time.put_forward(0.5 * sessions.LEAST_SILENCE_WALL_S)
            await mute.hear(Opcode.PING)
            mute.say([2, f"h{number}", "Heartbeat", {}])
            await mute.answer(f"h{number}")
        assert sink.values[EV, Quantity.CONNECTED] == 1.0
        time.put_forward(sessions.LEAST_SILENCE_WALL_S)
        await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 0.0)
        mute.close()


async def test_pain_20_pings_of_a_station_are_answered_and_count_as_life() -> None:
    async with (
        central(Sink()) as link,
        connect(f"ws://127.0.0.1:{link.port}/ocpp/CP1", subprotocols=["ocpp1.6"]) as one,
    ):
        pong = await one.ping(b"still here")
        assert await asyncio.wait_for(pong, PATIENCE_WALL_S) > 0.0


async def test_pain_21_a_station_that_reconnects_again_and_again_is_served_each_time() -> None:
    sink = Sink()
    async with central(sink) as link:
        for _ in range(20):
            async with station(link, boot=False) as raw:
                await raw.boot()
        async with station(link):
            assert await dispatch(link, sink, 5, 5.0) == ACCEPTED


async def test_pain_22_reserved_bits_without_an_extension_are_looked_through_and_counted() -> None:
    sink = Sink()
    async with central(sink) as link:
        odd, _ = await Plain.refused(link.port, *UPGRADE)
        odd.say(BOOT, reserved=0x40)
        assert (await odd.answer("boot"))[2]["status"] == "Accepted"
        assert sink.rejected == ["reserved_bits"]
        odd.close()


async def test_pain_22_reserved_bits_close_the_connection_where_policy_has_it() -> None:
    async with central(Sink(), tolerance=Tolerance(reserved_bits=False)) as link:
        odd, _ = await Plain.refused(link.port, *UPGRADE)
        odd.say(BOOT, reserved=0x40)
        assert (await odd.end())[-2:] == CloseCode.PROTOCOL_ERROR.to_bytes(2, "big")
        odd.close()


async def test_pain_23_a_missing_subprotocol_is_taken_for_16_unless_policy_forbids_it() -> None:
    async with central(Sink()) as link:
        old, head = await Plain.refused(link.port, "Connection: Upgrade")
        assert "101" in head
        assert "Sec-WebSocket-Protocol" not in head
        old.say(BOOT)
        assert (await old.answer("boot"))[2]["status"] == "Accepted"
        old.close()
    async with central(Sink(), tolerance=Tolerance(missing_subprotocol=False)) as link:
        old, _ = await Plain.refused(link.port, "Connection: Upgrade")
        assert (await old.end())[-2:] == CloseCode.PROTOCOL_ERROR.to_bytes(2, "big")
        old.close()


async def test_pain_23_a_missing_connection_header_is_overlooked_unless_policy_forbids_it() -> None:
    for tolerated, status in ((True, "101"), (False, "400")):
        async with central(Sink(), tolerance=Tolerance(missing_connection=tolerated)) as link:
            one, head = await Plain.refused(link.port, "Sec-WebSocket-Protocol: ocpp1.6")
            assert head.split(" ")[1] == status
            one.close()


async def test_pain_23_a_short_16_probe_before_201_leaves_the_201_session_alone() -> None:
    sink = Sink()
    async with central(sink) as link, AsyncExitStack() as stack:
        await stack.enter_async_context(connect(f"ws://127.0.0.1:{link.port}/ocpp/CP1", subprotocols=["ocpp1.6"]))
        raw = await stack.enter_async_context(station(link, version="ocpp2.0.1"))
        assert link.card(EV)["version"] == "ocpp2.0.1"
        assert await dispatch(link, sink, 5, 5.0) == ACCEPTED
        assert command_number(raw.asked[-1][1]["chargingProfile"]["id"]) == 5


async def test_pain_24_a_burst_of_one_message_id_is_served_once() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        frame = orjson.dumps([2, "again", "StartTransaction", start()]).decode()
        for _ in range(5):
            await raw.socket.send(frame)
        await raw.call("Heartbeat", {})
        assert len([event for event in sink.events if isinstance(event, SessionStarted)]) == 1


async def test_pain_24_a_retry_under_a_new_id_is_the_same_transaction() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        told = start()
        first = await raw.call("StartTransaction", told, message_id="one")
        second = await raw.call("StartTransaction", told, message_id="two")
        assert first[2] == second[2]
        assert len(sink.events) == 1


async def test_pain_25_over_long_strings_are_cut_and_strange_words_refused_by_name() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        boot = {"chargePointVendor": "V" * 21, "chargePointModel": "M"}
        assert (await raw.call("BootNotification", boot))[2]["status"] == "Accepted"
        assert link.card(EV)["vendor"] == "V" * 20
        assert sink.repaired == ["too_long"]
        error = {"connectorId": 1, "errorCode": "NoError", "status": "Error"}
        assert (await raw.call("StatusNotification", error))[2] == "PropertyConstraintViolation"
        assert (await raw.call("Heartbeat", {}))[0] == 3


async def test_pain_25_strange_units_and_measurands_cost_their_own_sample_only() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        hertz = {"measurand": "Frequency", "unit": "Hz", "value": "50"}
        assert (await meter(raw, hertz, {"measurand": "Vendor.Mood", "value": "9"}, power(700)))[0] == 3
        assert await sink.value(EV, Quantity.POWER_KW) == pytest.approx(0.7)
        assert sink.rejected == ["sample", "sample"]


async def test_pain_25_broken_escapes_are_counted_and_the_connection_lives() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        await raw.socket.send('[2,"x","Authorize",{"idTag":"\\ud800"}]')
        await raw.socket.send('[2,"y","Authorize",{"idTag":"\\q"}]')
        assert (await raw.call("Heartbeat", {}))[0] == 3
        assert len(sink.rejected) == 2


async def test_pain_25_a_configuration_value_of_the_wrong_type_is_read_as_it_is_meant() -> None:
    sink = Sink()
    async with central(sink) as link, station(link, boot=False) as raw:
        entry = {"key": "ChargeProfileMaxStackLevel", "readonly": True, "value": 8}
        raw.answers["GetConfiguration"] = {"configurationKey": [entry]}
        await raw.boot()
        await raw.settled()
        assert link.card(EV)["max_stack_level"] == 8
        assert sink.repaired == ["text"]
        assert await dispatch(link, sink, 5, 5.0) == ACCEPTED


@pytest.mark.parametrize("at", ["1970-01-01T00:00:12Z", "2025-07-02T02:00:00Z", "yesterday", "2025-07-01T18:00:00"])
async def test_pain_26_an_insane_clock_is_not_believed_and_its_values_are_kept(at: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        assert (await raw.call("MeterValues", {"connectorId": 1, "meterValue": reading(power(700), at=at)}))[0] == 3
        await sink.value(EV, Quantity.POWER_KW)
        assert abs(sink.at_s[EV, Quantity.POWER_KW] - clock().now_s()) < 60.0


async def test_pain_27_a_station_that_drops_the_line_on_a_profile_is_unreachable_and_may_come_back() -> None:
    sink = Sink()
    async with central(sink) as link:
        async with station(link) as raw:
            raw.answers["SetChargingProfile"] = None
            link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
            await raw.asked_for("SetChargingProfile", 2)
            raw.socket.transport.abort()
            assert await sink.outcome(5) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        async with station(link):
            assert await dispatch(link, sink, 6, 5.0) == ACCEPTED


async def test_pain_28_settings_that_are_rejected_or_not_answered_do_not_stop_the_rest() -> None:
    sink = Sink()
    for answer in ({"status": "Rejected"}, "InternalError"):
        async with central(sink) as link, station(link, boot=False) as raw:
            raw.answers["ChangeConfiguration"] = answer
            await raw.boot()
            await raw.settled()
            sink.ended.clear()
            assert await dispatch(link, sink, 5, 5.0) == ACCEPTED


async def test_pain_29_two_central_systems_on_one_port_share_the_stations() -> None:
    index = fleet(*(resource(n, f"CP{n}/1") for n in range(3, 40)))
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(central(Sink(), index, reuse_port=True))
        two = await stack.enter_async_context(central(Sink(), index, reuse_port=True, port=one.port))
        for n in range(3, 40):
            url = f"ws://127.0.0.1:{one.port}/ocpp/CP{n}"
            socket = await stack.enter_async_context(connect(url, subprotocols=["ocpp1.6"]))
            await socket.send(orjson.dumps(BOOT).decode())
            await socket.recv()
        assert one.connected + two.connected == 37
        assert min(one.connected, two.connected) > 0


async def test_pain_29_a_session_that_has_moved_to_another_process_ends_without_a_loss_being_told() -> None:
    sink, told = Sink(), []
    async with central(sink, on_session=lambda *news: told.append(news)) as link, station(link) as raw:
        name, epoch, began = told[0]
        assert (name, began) == ("CP1", True)
        link.superseded("CP1", epoch)  # not newer: nothing happens
        assert (await raw.call("Heartbeat", {}))[0] == 3
        link.superseded("CP1", epoch + 1)
        await asyncio.wait_for(raw.socket.wait_closed(), PATIENCE_WALL_S)
        assert sink.values[EV, Quantity.CONNECTED] == 1.0
        assert link.card(EV)["connected"] is False


async def test_pain_30_never_more_than_one_call_is_outstanding() -> None:
    index = fleet(resource(3, "CP1/2"), resource(4, "CP1/3"))
    sink = Sink()
    async with central(sink, index) as link, station(link) as raw:
        raw.answers["SetChargingProfile"] = None
        before = len(raw.asked)
        until_s = clock().now_s() + 900.0
        link.send(setpoints(*((n, row, Layer.DISPATCH, 5.0, until_s) for n, row in ((5, EV), (6, 3), (7, 4)))))
        await raw.until(lambda: len(raw.asked) > before)
        await raw.call("Heartbeat", {})
        assert len(raw.asked) == before + 1


async def test_pain_31_a_register_that_runs_backwards_and_a_stop_of_any_id_harm_nobody() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        await raw.call("StartTransaction", start())
        assert (await meter(raw, {"value": "-5000"}, power(700)))[0] == 3
        stop = {"transactionId": 999, "meterStop": -1, "timestamp": stamp(clock().now_s())}
        assert (await raw.call("StopTransaction", stop))[0] == 3
        assert await dispatch(link, sink, 5, 5.0) == ACCEPTED
        assert last_profile(raw)["chargingProfilePurpose"] == "TxProfile"  # the car is still there


async def test_pain_31_of_repeated_json_keys_the_last_counts() -> None:
    async with central(Sink()) as link, station(link) as raw:
        await raw.socket.send('[2,"k","Authorize",{"idTag":"A","idTag":"B"}]')
        assert (await raw.answer("k"))[0] == 3
