"""Both our ends of OCPP against each other: simulated stations on a small world, over real sockets."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from itertools import chain

import pytest
from websockets.asyncio.server import ServerConnection, serve

from adapters.ocpp.simulated.stations import OcppStations
from tests.conformance.ocpp_bench import (
    ACCEPTED,
    EV,
    EV2,
    V2G,
    CentralOfOneLine,
    Json,
    Sink,
    World,
    central,
    clock,
    fleet,
    link_of,
    resource,
    setpoints,
)
from tests.patience import PATIENCE_WALL_S
from vpp.domain.device import DeviceResponse, PlugEvent
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.domain.telemetry import Quantity

SPEED = 50.0
VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
INF = math.inf


@asynccontextmanager
async def running(world: World, port: int, **changes: object) -> AsyncIterator[OcppStations]:
    url = f"ws://127.0.0.1:{port}/ocpp"
    stations = OcppStations(**{"url": url, "world": world, "clock": world.clock, **changes})
    task = asyncio.create_task(stations.run())
    try:
        yield stations
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@contextmanager
def both_ends(index_changes: object = None) -> Iterator[tuple[Sink, World]]:
    """Return a sink and a world on one fast clock."""
    yield Sink(), World(fleet() if index_changes is None else index_changes, clock(SPEED))


async def connected(sink: Sink, *rows: int) -> None:
    """Wait until rows are connected and the central system has said all it says at first."""
    await sink.until(lambda: all(sink.values.get((row, Quantity.CONNECTED)) == 1.0 for row in rows))
    await sink.until(lambda: all((row, Quantity.LIMIT_KW) in sink.values for row in rows))


def arrival(world: World, row: int, session: int = 1, **wish: object) -> PlugEvent:
    now_s = world.clock.now_s()
    promise = Promise(**{"energy_kwh": 20.0, "departure_s": float(round(now_s + 36_000.0)), "floor_kwh": 2.0, **wish})
    return PlugEvent(row=row, session=session, plugged=True, at_s=now_s, meter_kwh=100.0, promise=promise)


def departure(world: World, row: int, session: int = 1) -> PlugEvent:
    return PlugEvent(row=row, session=session, plugged=False, at_s=world.clock.now_s(), meter_kwh=100.5)


def last(world: World, row: int, layer: Layer) -> tuple[float, float] | None:
    """Return power and end of what a row was last told on a layer."""
    found = [(power_kw, until_s) for r, at, power_kw, until_s in world.applied if (r, at) == (row, layer)]
    return found[-1] if found else None


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_car_comes_is_metered_promised_and_leaves(version: str) -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port, versions={EV: version}):
            await connected(sink, EV)
            world.power_kw[EV], world.soc[EV] = 7.0, 0.4
            wish = arrival(world, EV, boost=True)
            world.events.append(wish)
            promised = await sink.event(SessionPromised)
            begun = await sink.event(SessionStarted)
            assert (begun.row, begun.meter_kwh) == (EV, pytest.approx(100.0))
            assert promised.session_id == begun.session_id
            assert promised.promise == wish.promise
            assert link.card(EV)["version"] == version
            await sink.until(lambda: sink.values.get((EV, Quantity.POWER_KW)) == pytest.approx(7.0))
            assert await sink.value(EV, Quantity.SOC) == pytest.approx(0.4)
            assert sink.values[EV, Quantity.PLUGGED] == 1.0
            world.power_kw[EV] = 0.0
            world.events.append(departure(world, EV))
            ended = await sink.event(SessionEnded)
            assert (ended.session_id, ended.meter_kwh) == (begun.session_id, pytest.approx(100.5))
            await sink.until(lambda: sink.values[EV, Quantity.PLUGGED] == 0.0)
        assert sink.rejected == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_a_car_wants_is_counted_once_where_it_was_charging_before_anybody_heard(version: str) -> None:
    with both_ends() as (sink, world):
        world.power_kw[EV], world.energy_kwh[EV] = 7.0, 106.0
        async with central(sink, clock=world.clock) as link, running(world, link.port, versions={EV: version}):
            await connected(sink, EV)
            wish = arrival(world, EV)  # at 100 kWh on the register an hour ago, 6 of the 20 promised are given
            world.events.append(replace(wish, at_s=wish.at_s - 3600.0))
            promised = await sink.event(SessionPromised)
            assert sink.values[EV, Quantity.ENERGY_KWH] == pytest.approx(106.0), "the register it counts from"
            assert promised.promise.energy_kwh == pytest.approx(20.0)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_setpoint_reaches_the_device_and_is_released(version: str) -> None:
    with both_ends() as (sink, world):
        async with (
            central(sink, clock=world.clock) as link,
            running(world, link.port, versions={EV: version}) as stations,
        ):
            await connected(sink, EV)
            await world.until(lambda: last(world, EV, Layer.DEFAULT) == (9.0, INF))
            world.events.append(arrival(world, EV))
            await sink.event(SessionPromised)
            until_s = float(round(world.clock.now_s() + 3600.0))
            link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, until_s)))
            assert await sink.outcome(5) == ACCEPTED
            assert last(world, EV, Layer.DISPATCH) == (pytest.approx(6.0), until_s)
            read = await link.device_schedule(EV, 900)
            assert read.power_kw == pytest.approx((6.0,))
            link.send(setpoints((6, EV, Layer.RELEASE, math.nan, INF)))
            assert await sink.outcome(6) == ACCEPTED
            assert last(world, EV, Layer.RELEASE) is not None
            assert stations.profiles_taken[5] == 1
        assert sink.rejected == []


async def test_a_v2g_station_speaks_21_meters_both_ways_and_discharges() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port):
            await connected(sink, V2G)
            assert link.card(V2G)["version"] == "ocpp2.1"
            world.events.append(arrival(world, V2G))
            await sink.event(SessionPromised)
            until_s = world.clock.now_s() + 3600.0
            link.send(setpoints((5, V2G, Layer.DISPATCH, -6.0, until_s), (6, EV, Layer.DEFAULT, 8.0, INF)))
            assert await sink.outcome(5) == ACCEPTED
            applied = last(world, V2G, Layer.DISPATCH)
            assert applied == (pytest.approx(-6.0), pytest.approx(until_s, abs=0.01))
            world.power_kw[V2G] = -6.0
            await sink.until(lambda: sink.values.get((V2G, Quantity.POWER_KW)) == pytest.approx(-6.0))


async def test_versions_are_spread_evenly_over_the_stations() -> None:
    index = fleet(*(resource(n, f"CP{n}/1") for n in range(3, 10)))
    with both_ends(index) as (sink, world):
        async with central(sink, index, clock=world.clock) as link, running(world, link.port) as stations:
            await connected(sink, *range(len(index)))
            assert stations.connected == len(index)
            spoken = [str(link.card(row)["version"]) for row in range(len(index)) if row != V2G]
            assert {version: spoken.count(version) for version in VERSIONS} == dict.fromkeys(VERSIONS, 3)


async def test_a_device_refuses_ignores_and_takes_its_time_as_the_world_has_it() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port):
            await connected(sink, EV)
            until_s = world.clock.now_s() + 3600.0
            world.answer = DeviceResponse(latency_s=5.0, refused=True, ignored=False)
            link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, until_s)))
            assert await sink.outcome(5) == (OutcomeStatus.REJECTED, Reason.REFUSED)
            assert float(str(link.card(EV)["ack_s"])) >= 5.0
            world.answer = replace(world.answer, refused=False, ignored=True)
            link.send(setpoints((6, EV, Layer.DISPATCH, 6.0, until_s)))
            assert await sink.outcome(6) == ACCEPTED
            assert last(world, EV, Layer.DISPATCH) is None


async def test_a_device_without_its_link_is_gone_and_comes_back_with_its_transaction() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port):
            await connected(sink, EV, EV2, V2G)
            world.events.append(arrival(world, EV))
            await sink.event(SessionStarted)
            world.online[EV] = False
            await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 0.0)
            link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, INF)))
            assert await sink.outcome(5) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
            world.online[EV] = True
            await sink.until(lambda: sink.values[EV, Quantity.CONNECTED] == 1.0)
            world.power_kw[EV] = 6.5
            await sink.until(lambda: sink.values.get((EV, Quantity.POWER_KW)) == pytest.approx(6.5))
            assert len([event for event in sink.events if isinstance(event, SessionStarted)]) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_happened_without_a_connection_is_told_afterwards(version: str) -> None:
    with both_ends() as (sink, world):
        world.online[EV] = False
        async with central(sink, clock=world.clock) as link, running(world, link.port, versions={EV: version}):
            await connected(sink, EV2)
            came = arrival(world, EV)
            arrived = replace(came, at_s=came.at_s - 300.0)
            world.events += [arrived, replace(departure(world, EV), at_s=arrived.at_s + 60.0)]
            await world.until(lambda: not world.events)
            world.online[EV] = True
            begun, ended = await sink.event(SessionStarted), await sink.event(SessionEnded)
            assert begun.at_s == pytest.approx(arrived.at_s, abs=1.0)
            assert ended.session_id == begun.session_id
            assert ended.at_s == pytest.approx(arrived.at_s + 60.0, abs=1.0)


async def test_stations_survive_a_restart_of_the_central_system_and_tell_no_start_twice() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link:
            port = link.port
            async with running(world, port) as stations:
                await connected(sink, EV, EV2, V2G)
                world.events += [arrival(world, EV2, session=3), arrival(world, V2G, session=4)]
                await sink.until(lambda: sum(isinstance(event, SessionPromised) for event in sink.events) == 2)
                known = {event.session_id for event in sink.events}
                await link.close()
                again = Sink()
                async with central(again, clock=world.clock, port=port) as second:
                    await connected(again, EV, EV2, V2G)
                    world.power_kw[EV2] = 5.0
                    await again.until(lambda: again.values.get((EV2, Quantity.POWER_KW)) == pytest.approx(5.0))
                    await again.until(lambda: len(again.events) == 2)  # taken up, not begun again
                    assert {event.session_id for event in again.events} == known
                    second.send(setpoints((9, EV2, Layer.DISPATCH, 6.0, world.clock.now_s() + 900.0)))
                    assert await again.outcome(9) == ACCEPTED
                    assert stations.profiles_taken[9] == 1


async def test_a_transaction_s_profile_lapses_with_the_car() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port):
            await connected(sink, EV)
            world.events.append(arrival(world, EV))
            await sink.event(SessionPromised)
            link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, world.clock.now_s() + 3600.0)))
            assert await sink.outcome(5) == ACCEPTED
            world.events.append(departure(world, EV))
            await sink.event(SessionEnded)
            assert last(world, EV, Layer.RELEASE) is not None
            await sink.until(lambda: sink.values[EV, Quantity.LIMIT_KW] == pytest.approx(9.0))


async def test_a_dispatch_before_the_car_outlives_its_transaction() -> None:
    with both_ends() as (sink, world):
        async with central(sink, clock=world.clock) as link, running(world, link.port):
            await connected(sink, EV)
            link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, world.clock.now_s() + 3600.0)))
            assert await sink.outcome(5) == ACCEPTED
            world.events += [arrival(world, EV), departure(world, EV)]
            await sink.event(SessionEnded)
            assert last(world, EV, Layer.RELEASE) is None


async def test_many_stations_connect_and_report_within_seconds() -> None:
    index = fleet(*(resource(n, f"CP{n}/1") for n in range(3, 300)))
    with both_ends(index) as (sink, world):
        world.power_kw[:] = 3.0
        async with central(sink, index, clock=world.clock) as link, running(world, link.port):
            await sink.until(lambda: sum(q == Quantity.POWER_KW for _, q in sink.values) == len(index))
            ids = range(1000, 1000 + len(index))
            until_s = world.clock.now_s() + 3600.0
            link.send(setpoints(*((n, row, Layer.DISPATCH, 5.0, until_s) for row, n in enumerate(ids))))
            await sink.until(lambda: len(sink.told) == len(index))
            assert set(sink.ended.values()) == {ACCEPTED}
            assert sorted(sink.told) == list(ids)


@asynccontextmanager
async def operated(world: World, version: str) -> AsyncIterator[CentralOfOneLine]:
    """Run one simulated station against an operator of the test's own."""
    arrived: asyncio.Future[CentralOfOneLine] = asyncio.get_running_loop().create_future()

    async def talk(socket: ServerConnection) -> None:
        assert socket.subprotocol == version
        operator = CentralOfOneLine(socket)
        arrived.set_result(operator)
        await operator.listen()

    async with serve(talk, "127.0.0.1", 0, subprotocols=list(VERSIONS)) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with running(world, port, versions={EV: version}):
            operator = await asyncio.wait_for(arrived, PATIENCE_WALL_S)
            await operator.hears("StatusNotification")
            yield operator


def lone_world() -> World:
    index = fleet()
    return World(replace(index, resources=index.resources[:1]), clock(SPEED))


async def test_a_16_station_answers_all_an_operator_may_ask() -> None:
    world = lone_world()
    async with operated(world, "ocpp1.6") as operator:
        world.events.append(arrival(world, EV))
        await operator.hears("StartTransaction")
        await operator.hears("DataTransfer", vendorId="org.vpp")
        answer = await operator.ask("GetConfiguration", {"key": ["NumberOfConnectors", "Nonsense"]})
        assert answer[2] == {
            "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "1"}],
            "unknownKey": ["Nonsense"],
        }
        changes = {
            ("MeterValueSampleInterval", "30"): "Accepted",
            ("MeterValueSampleInterval", "soon"): "Rejected",
            ("ChargeProfileMaxStackLevel", "3"): "Rejected",
            ("Nonsense", "1"): "NotSupported",
        }
        for (key, value), status in changes.items():
            assert await operator.status("ChangeConfiguration", {"key": key, "value": value}) == status
        for message in ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification"):
            operator.heard.clear()
            assert await operator.status("TriggerMessage", {"requestedMessage": message}) == "Accepted"
            await operator.hears(message)
        assert (
            await operator.status("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
            == "NotImplemented"
        )
        asks = {"requestedMessage": "StatusNotification", "connectorId": 9}
        assert await operator.status("TriggerMessage", asks) == "Rejected"
        assert (await operator.ask("Reset", {"type": "Soft"}))[2] == "NotSupported"
        assert (await operator.ask("Reset", {}))[2] == "OccurenceConstraintViolation"
        assert await operator.status("RemoteStartTransaction", {"idTag": "X"}) == "Rejected"
        assert await operator.status("RemoteStopTransaction", {"transactionId": 1}) == "Rejected"
        assert await operator.status("RemoteStopTransaction", {"transactionId": 4711}) == "Accepted"
        await operator.hears("StopTransaction", reason="Remote")
        assert last(world, EV, Layer.DISPATCH) == (0.0, INF)
        operator.heard.clear()
        assert await operator.status("RemoteStartTransaction", {"idTag": "X", "connectorId": 1}) == "Accepted"
        await operator.hears("StartTransaction")


async def test_a_2x_station_answers_all_an_operator_may_ask() -> None:
    world = lone_world()
    async with operated(world, "ocpp2.0.1") as operator:
        world.events.append(arrival(world, EV))
        begun = await operator.hears("TransactionEvent", eventType="Started")
        await operator.hears("NotifyEVChargingNeeds", evseId=1)
        transaction = begun["transactionInfo"]["transactionId"]
        wanted = [
            {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": name}}
            for name in ("RateUnit", "Nonsense")
        ]
        answer = await operator.ask("GetVariables", {"getVariableData": wanted})
        results = answer[2]["getVariableResult"]
        assert [result["attributeStatus"] for result in results] == ["Accepted", "UnknownVariable"]
        changes = [
            ("SampledDataCtrlr", "TxUpdatedInterval", "30", "Accepted"),
            ("SampledDataCtrlr", "TxUpdatedInterval", "soon", "Rejected"),
            ("SmartChargingCtrlr", "RateUnit", "W", "Rejected"),
            ("Nonsense", "X", "1", "UnknownVariable"),
        ]
        data = [
            {"component": {"name": c}, "variable": {"name": v}, "attributeValue": value} for c, v, value, _ in changes
        ]
        answer = await operator.ask("SetVariables", {"setVariableData": data})
        results = answer[2]["setVariableResult"]
        assert [result["attributeStatus"] for result in results] == [status for *_, status in changes]
        for message in ("BootNotification", "Heartbeat", "TransactionEvent", "StatusNotification"):
            operator.heard.clear()
            assert await operator.status("TriggerMessage", {"requestedMessage": message}) == "Accepted"
            await operator.hears(message)
        assert await operator.status("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}) == "NotImplemented"
        assert (await operator.ask("Reset", {"type": "Immediate"}))[2] == "NotSupported"
        assert await operator.status("RequestStopTransaction", {"transactionId": transaction}) == "Accepted"
        ended = await operator.hears("TransactionEvent", eventType="Ended")
        assert ended["transactionInfo"]["stoppedReason"] == "Remote"
        token = {"idToken": "X", "type": "Central"}
        start = {"idToken": token, "remoteStartId": 1, "evseId": 1}
        operator.heard.clear()
        assert await operator.status("RequestStartTransaction", start) == "Accepted"
        again = await operator.hears("TransactionEvent", eventType="Started")
        assert again["transactionInfo"]["transactionId"] != transaction
        assert await operator.status("RequestStartTransaction", start) == "Rejected"


def profile_16(number: int, purpose: str, level: int, limit: float, **more: object) -> Json:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
        **more,
    }


async def test_a_station_stacks_profiles_as_the_standard_says() -> None:
    world = lone_world()
    async with operated(world, "ocpp1.6") as operator:

        async def put(profile: Json, connector: int = 1) -> object:
            return await operator.status(
                "SetChargingProfile", {"connectorId": connector, "csChargingProfiles": profile}
            )

        async def in_force_a() -> float:
            asks = {"connectorId": 1, "duration": 60, "chargingRateUnit": "A"}
            schedule = (await operator.ask("GetCompositeSchedule", asks))[2]["chargingSchedule"]
            return float(schedule["chargingSchedulePeriod"][0]["limit"])

        assert await put(profile_16(1, "TxProfile", 0, 10.0)) == "Rejected"  # no transaction yet
        assert await put(profile_16(2, "TxDefaultProfile", 0, 14.0), connector=0) == "Accepted"
        assert await put(profile_16(2, "TxDefaultProfile", 0, 14.0), connector=7) == "Rejected"
        assert await in_force_a() == 14.0
        world.events.append(arrival(world, EV))
        await operator.hears("DataTransfer")
        assert await put(profile_16(3, "TxDefaultProfile", 1, 12.0)) == "Accepted"
        assert await put(profile_16(4, "TxProfile", 0, 10.0, transactionId=99)) == "Rejected"
        assert await put(profile_16(4, "TxProfile", 0, 10.0, transactionId=4711)) == "Accepted"
        assert await in_force_a() == 10.0
        assert await put(profile_16(5, "ChargePointMaxProfile", 0, 8.0), connector=0) == "Accepted"
        assert await in_force_a() == 8.0
        gone = {"connectorId": 1, "chargingProfilePurpose": "TxProfile", "stackLevel": 0}
        assert await operator.status("ClearChargingProfile", {"id": 5}) == "Accepted"
        assert await operator.status("ClearChargingProfile", gone) == "Accepted"
        assert await operator.status("ClearChargingProfile", gone) == "Unknown"
        assert await in_force_a() == 12.0
        assert last(world, EV, Layer.DISPATCH) == (pytest.approx(7.92), INF)
        assert await operator.status("ClearChargingProfile", {}) == "Accepted"
        assert last(world, EV, Layer.RELEASE) is not None
        assert last(world, EV, Layer.DEFAULT) == (11.0, INF)


async def test_a_profile_whose_time_is_over_counts_no_more() -> None:
    world = lone_world()
    async with operated(world, "ocpp1.6") as operator:
        profile = profile_16(3, "TxDefaultProfile", 1, 12.0, validTo="2025-07-01T18:00:00Z")
        asks: Json = {"connectorId": 1, "csChargingProfiles": profile}
        assert await operator.status("SetChargingProfile", asks) == "Accepted"
        assert not list(chain.from_iterable(world.applied))


def test_links_are_named_after_their_protocol() -> None:
    assert link_of().name == "ocpp"
