"""Messages nobody expects: they cost their sender something, and no neighbour."""

import math

import orjson
import pytest
from structlog.typing import EventDict

from adapters.kit.websocket import acceptor
from adapters.kit.websocket.connection import CRASHED
from adapters.kit.websocket.frames import MAX_MESSAGE_BYTES
from adapters.ocpp.central_system import session
from adapters.ocpp.control.instructions import carry_out
from adapters.ocpp.control.scripts import Script
from adapters.ocpp.messages.healing import is_too_much
from adapters.ocpp.messages.ocpp_j import Version
from adapters.ocpp.station.station_records import Command
from adapters.ocpp.station.station_state import StationState
from tests.conformance.ocpp_bench import EV, EV2, Sink, central, clock, link_of, setpoints, station
from tests.fuzz.ocpp_ground import dialled
from vpp.application.loops.device_plane import STANDING_STILL_WALL_S, DevicePlane
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity
from vpp.ports import LiveLink

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("depth", [100, 1500, 40_000])
async def test_deep_nesting_is_refused_under_its_own_id_and_costs_no_neighbour_a_thing(
    version: str, depth: int
) -> None:
    sink = Sink()
    async with central(sink) as link, station(link, version=version) as raw, station(link, "CP2") as neighbour:
        lists, objects = "[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth
        await raw.socket.send('[2,"deep","DataTransfer",{"vendorId":"A","data":' + lists + "}]")
        assert (await raw.answer("deep"))[0] == 4
        await raw.socket.send('[2,"deeper","Heartbeat",' + objects + "]")
        assert (await raw.answer("deeper"))[0] == 4
        await raw.socket.send(lists)
        assert (await raw.call("Heartbeat", {}))[0] == 3
        assert (await neighbour.call("Heartbeat", {}))[0] == 3
        assert len(sink.rejected) == 3
        assert CRASHED not in sink.rejected


async def test_an_exception_nobody_expected_cuts_that_connection_alone_and_is_counted_and_logged_by_name(
    monkeypatch: pytest.MonkeyPatch, logs: list[EventDict]
) -> None:
    def fail(self: session.Session, *_: object) -> dict[str, object]:
        raise ZeroDivisionError(self.station.id)

    sink = Sink()
    async with central(sink) as link, station(link) as raw, station(link, "CP2") as neighbour:
        monkeypatch.setattr(session.Session, "serve", fail)
        await raw.socket.send('[2,"x","DataTransfer",{"vendorId":"A"}]')
        await raw.socket.wait_closed()
        await sink.until(lambda: sink.values.get((EV, Quantity.CONNECTED)) == 0.0)
        monkeypatch.undo()
        assert (await neighbour.call("Heartbeat", {}))[0] == 3
        assert sink.rejected == [CRASHED]
        errors = [line for line in logs if line["log_level"] == "error"]
        assert [(line["event"], line["peer"]) for line in errors] == [("unexpected exception, connection cut", "CP1")]
        async with station(link) as again:
            assert (await again.call("Heartbeat", {}))[0] == 3


@pytest.mark.parametrize(
    "answer",
    [
        '[4,"ID"]',
        "[4,ID]",
        "[4]",
        "[3]",
        '[4,"ID",null]',
        '[4,"ID",5,{},[]]',
        "[4,null]",
        '[4,"",""]',
        '[4,"-1","GenericError","",{}]',
        '[3,"ID"]',
        '[3,"ID",null]',
        '[3,"ID",[]]',
        '[3,"ID","Accepted"]',
        '[3,"ID",{"status":5}]',
        '[3,"ID",{"status":"Perhaps"}]',
        '[3,null,{"status":"Accepted"}]',
        '[3,"ID",{"status":"Accepted"}',
        '[4,"ID","GenericError',
        '[3,"ID",' + "[" * 1500 + "]" * 1500 + "]",
        '[3,"ID",' + "[" * 50 + "]" * 50 + "]",
        '[3,"ID",{"status":"Rejected","x":' + "[" * 50 + "]" * 50 + "}]",
    ],
)
async def test_a_malformed_answer_is_a_refusal_at_once_and_the_link_stays(answer: str) -> None:
    sink = Sink()
    async with central(sink, call_timeout_s=600.0) as link, station(link) as raw:
        raw.odd["SetChargingProfile"] = answer
        link.send(setpoints((1, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(1) == (OutcomeStatus.REJECTED, Reason.PROTOCOL)
        assert (await raw.call("Heartbeat", {}))[0] == 3
        raw.odd.clear()
        link.send(setpoints((2, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(2) == (OutcomeStatus.ACCEPTED, Reason.NONE)


@pytest.mark.parametrize(
    "answer", ["[3,ID,{}]".replace("{}", '{"status":"Accepted"}'), '[3,"ID",{"status":"Accepted"},{}]']
)
async def test_an_answer_that_says_accepted_is_one_whatever_it_wears(answer: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        raw.odd["SetChargingProfile"] = answer
        link.send(setpoints((1, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(1) == (OutcomeStatus.ACCEPTED, Reason.NONE)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": "Accepted", "statusInfo": None}, "unknown_field"),
        ({"status": "Accepted", "vendor": {"a": 1}}, "unknown_field"),
        ({"status": " accepted"}, "word"),
    ],
)
async def test_a_yes_with_a_cosmetic_fault_is_a_yes(answer: dict[str, object], kind: str) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        raw.answers["SetChargingProfile"] = answer
        link.send(setpoints((1, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(1) == (OutcomeStatus.ACCEPTED, Reason.NONE)
        assert sink.repaired == [kind]


@pytest.mark.parametrize("answer", [{}, {"status": None}, {"status": ""}, {"status": "Perhaps"}, {"state": "Accepted"}])
async def test_a_yes_that_was_not_said_is_none(answer: dict[str, object]) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        raw.answers["SetChargingProfile"] = answer
        link.send(setpoints((1, EV, Layer.DISPATCH, 5.0, clock().now_s() + 900.0)))
        assert await sink.outcome(1) == (OutcomeStatus.REJECTED, Reason.PROTOCOL)


async def test_a_call_whose_id_is_a_number_is_served_under_that_number() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as raw:
        await raw.socket.send('[2,17,"Heartbeat",{}]')
        assert (await raw.answer(17))[0] == 3  # type: ignore[arg-type]  # the very number
        await raw.socket.send('[2,"18","Heartbeat",null]')
        assert (await raw.answer("18"))[0] == 3
        assert sink.repaired == ["frame", "null"]
        assert sink.rejected == []


async def test_the_age_of_the_last_turn_is_told_while_the_link_runs_and_unknown_before_and_after() -> None:
    link = link_of()
    assert isinstance(link, LiveLink)
    assert math.isnan(link.age_wall_s())
    async with central(Sink()) as running, station(running):
        assert 0.0 <= running.age_wall_s() < STANDING_STILL_WALL_S
        plane = DevicePlane([running], None, clock())  # type: ignore[arg-type]  # no samples
        assert plane.all_turn()
        assert running._server is not None
        running._server.context.poller._pulse.served -= 2.0 * STANDING_STILL_WALL_S
        assert not plane.all_turn()
    assert math.isnan(running.age_wall_s())


@pytest.mark.parametrize("filler", ["{}", "null", '{"timestamp":1}', "[[]]"])
async def test_a_message_of_nothing_but_faults_is_not_mended_and_a_stop_is_taken_without_them(filler: str) -> None:
    many = ",".join([filler] * (240_000 // (len(filler) + 1)))
    sink = Sink()
    async with central(sink) as link, station(link) as raw, station(link, "CP2") as neighbour:
        await raw.socket.send('[2,"many","MeterValues",{"connectorId":1,"meterValue":[' + many + "]}]")
        assert (await raw.answer("many"))[0] == 4
        stop = '"transactionId":7,"meterStop":1,"timestamp":"2025-07-01T18:00:00Z","reason":null'
        await raw.socket.send('[2,"stop","StopTransaction",{' + stop + ',"transactionData":[' + many + "]}]")
        assert (await raw.answer("stop"))[0] == 3
        assert (await neighbour.call("Heartbeat", {}))[0] == 3
        assert sink.rejected.count("too_many") == 2
        assert len(sink.rejected) < 10


def test_what_a_busy_day_holds_is_not_too_much_to_mend() -> None:
    sampled = [{"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW", "context": "Sample.Periodic"}] * 6
    reading = orjson.dumps({"timestamp": "2025-07-01T18:00:00Z", "sampledValue": sampled})
    fit = MAX_MESSAGE_BYTES // len(reading)
    assert not is_too_much(b"[" + b",".join([reading] * fit) + b"]")


async def test_an_instruction_whose_carrying_out_fails_comes_back_once_and_costs_its_own_station_alone(
    monkeypatch: pytest.MonkeyPatch, logs: list[EventDict]
) -> None:
    def fail(_: object, charger: StationState, command: Command) -> Script:
        if charger.id == "CP1":
            raise ZeroDivisionError(command.id)
        return (yield from carry_out(_, charger, command))  # type: ignore[arg-type]

    monkeypatch.setattr(session, "carry_out", fail)
    sink = Sink()
    async with central(sink) as link, station(link) as raw, station(link, "CP2"):
        until_s = clock().now_s() + 900.0
        link.send(setpoints((1, EV, Layer.DISPATCH, 5.0, until_s), (2, EV2, Layer.DISPATCH, 5.0, until_s)))
        assert await sink.outcome(1) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        assert await sink.outcome(2) == (OutcomeStatus.ACCEPTED, Reason.NONE)
        await raw.socket.wait_closed()
        assert sink.told.count(1) == 1
        assert sink.rejected == [CRASHED]
        assert len([line for line in logs if line["log_level"] == "error"]) == 1


async def test_a_crash_that_is_brought_about_again_and_again_fills_no_log(
    monkeypatch: pytest.MonkeyPatch, logs: list[EventDict]
) -> None:
    def fail(*_: object) -> dict[str, object]:
        raise ZeroDivisionError

    sink = Sink()
    async with central(sink) as link:
        monkeypatch.setattr(session.Session, "serve", fail)
        for number in range(40):
            async with station(link, boot=False) as raw:
                await raw.socket.send('[2,"x","DataTransfer",{"vendorId":"A"}]')
                await raw.socket.wait_closed()
            assert len(sink.rejected) == number + 1
        assert len([line for line in logs if line["log_level"] == "error"]) < 40


async def test_ids_that_are_none_are_answered_and_not_kept() -> None:
    async with central(Sink()) as link, station(link) as raw:
        endless = "i" * 200_000
        for _ in range(2):
            assert (await raw.call("DataTransfer", {"vendorId": "A"}, endless))[0] == 3
        recent = link._sessions.get("CP1")._recent or {}
        assert endless not in recent


async def test_a_handshake_that_ends_in_an_exception_costs_its_own_connection_alone_and_fills_no_log(
    monkeypatch: pytest.MonkeyPatch, logs: list[EventDict]
) -> None:
    def fail(*_: object) -> bool:
        raise ZeroDivisionError

    sink = Sink()
    async with central(sink, authenticate=lambda *_: True) as link, station(link) as here:
        monkeypatch.setattr(acceptor.Acceptor, "_is_genuine", fail)
        for number in range(40):
            line = await dialled(link.port)
            assert not await line.upgrade("CP2", Version.V16)
            line.close()
            assert sink.rejected == [CRASHED] * (number + 1)
        monkeypatch.undo()
        assert (await here.call("Heartbeat", {}))[0] == 3
        assert 0 < len([line for line in logs if line["log_level"] == "error"]) < 40
        async with station(link, "CP2") as late:
            assert (await late.call("Heartbeat", {}))[0] == 3
