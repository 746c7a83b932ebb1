# ruff: noqa: D102 - short helpers of tests whose names say what they do
"""What stations say is taken for what it means: late, foreign, odd and about something else, over real sockets."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.messages.ocpp_j import stamp
from tests.conformance.ocpp_bench import EV, RawStation, Sink, central, fleet, resource, setpoints, station
from vpp.domain.session import SessionEnded, SessionPromised, SessionStarted
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity
from vpp.domain.trouble import Trouble

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
LATER = ("ocpp2.0.1", "ocpp2.1")
FULL_W = 11_000.0


class HandClock:
    """A clock that tests put forward."""

    def __init__(self) -> None:
        self._now_s = 1_751_392_800.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now_s, tz=UTC)

    def now_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        self._now_s += seconds

    async def sleep_until(self, at_s: float) -> None:
        self._now_s = max(self._now_s, at_s)

    def wall(self, seconds: float) -> float:
        return seconds


@dataclass
class Car:
    """A station of any version with one car, its words built alike for all versions."""

    link: OcppLink
    raw: RawStation
    sink: Sink
    clock: HandClock
    transaction: str = "tx1"
    sequence: int = 0

    @property
    def old(self) -> bool:
        return self.raw.version == "ocpp1.6"

    def stamp(self, ago_s: float = 0.0) -> str:
        return stamp(self.clock.now_s() - ago_s)

    def reading(self, power_w: float | None, energy_wh: float | None, ago_s: float = 0.0, **more: object) -> dict:
        stated = (("Power.Active.Import", power_w), ("Energy.Active.Import.Register", energy_wh))
        samples = [{"measurand": name, "value": self.value(one), **more} for name, one in stated if one is not None]
        return {"timestamp": self.stamp(ago_s), "sampledValue": samples}

    def value(self, number: float) -> object:
        return str(number) if self.old else number

    async def start(self, energy_wh: float | None = 5_000_000.0, *, ago_s: float = 0.0, **more: object) -> list:
        if self.old:
            told = {"connectorId": 1, "idTag": "AB", "meterStart": energy_wh, "timestamp": self.stamp(ago_s)}
            answer = await self.raw.call("StartTransaction", told | more)
            self.transaction = str(answer[2]["transactionId"])
            return answer
        self.sequence = -1
        readings = {} if energy_wh is None else {"meterValue": [self.reading(None, energy_wh, ago_s)]}
        return await self.event("Started", ago_s=ago_s, **({"evse": {"id": 1, "connectorId": 1}} | readings | more))

    async def event(self, kind: str, *, ago_s: float = 0.0, **more: object) -> list:
        self.sequence += 1
        info = {"transactionId": more.pop("transaction", self.transaction), "chargingState": "Charging"}
        told = {"eventType": kind, "timestamp": self.stamp(ago_s), "triggerReason": "Trigger", "seqNo": self.sequence}
        return await self.raw.call("TransactionEvent", told | {"transactionInfo": info} | more)

    async def meter(
        self, power_w: float | None, energy_wh: float | None = None, *, ago_s: float = 0.0, **more: object
    ) -> list:
        reading = [self.reading(power_w, energy_wh, ago_s)]
        if not self.old:
            return await self.event("Updated", ago_s=ago_s, meterValue=reading, **more)
        named = {"transactionId": int(more.pop("transaction", self.transaction))}
        return await self.raw.call("MeterValues", {"connectorId": 1, "meterValue": reading} | named | more)

    async def stop(self, energy_wh: float | None, *, ago_s: float = 0.0, **more: object) -> list:
        if self.old:
            told = {"transactionId": int(self.transaction), "meterStop": energy_wh, "timestamp": self.stamp(ago_s)}
            return await self.raw.call("StopTransaction", told | more)
        readings = {} if energy_wh is None else {"meterValue": [self.reading(None, energy_wh, ago_s)]}
        return await self.event("Ended", ago_s=ago_s, **(readings | more))

    async def status(self, state: str, *, ago_s: float = 0.0, connector: int = 1, port: int = 1) -> list:
        if self.old:
            told = {"connectorId": connector, "errorCode": "NoError", "status": state, "timestamp": self.stamp(ago_s)}
            return await self.raw.call("StatusNotification", told)
        state = "Occupied" if state in ("Preparing", "Charging", "SuspendedEV", "SuspendedEVSE") else state
        told = {"evseId": connector, "connectorId": port, "connectorStatus": state, "timestamp": self.stamp(ago_s)}
        return await self.raw.call("StatusNotification", told)

    async def pause(self) -> None:
        """Say that the station has paused."""
        if self.old:
            await self.status("SuspendedEVSE")
        else:
            info = {"transactionId": self.transaction, "chargingState": "SuspendedEVSE"}
            await self.event("Updated", transactionInfo=info)

    async def known(self) -> dict[Quantity, float]:
        """Return the row once everything said has come in."""
        await self.raw.call("Heartbeat", {})
        self.link._batcher.flush()
        return {quantity: value for (row, quantity), value in self.sink.values.items() if row == EV}

    @property
    def running(self) -> list[str]:
        """Sessions that have begun and not ended."""
        ids: list[str] = []
        for event in self.sink.events:
            if isinstance(event, SessionStarted) and event.session_id not in ids:
                ids.append(event.session_id)
            elif isinstance(event, SessionEnded) and event.session_id in ids:
                ids.remove(event.session_id)
        return ids

    @property
    def own(self) -> str:
        return f"CP1:{self.transaction}"

    def has(self, trouble: Trouble) -> bool:
        return bool(int(self.sink.values.get((EV, Quantity.TROUBLES), 0.0)) >> trouble & 1)


@asynccontextmanager
async def car(version: str, **changes: object) -> AsyncIterator[tuple[OcppLink, Car]]:
    """Connect a station."""
    sink, hand = Sink(), HandClock()
    async with central(sink, clock=hand, settle_wall_s=0.0, **changes) as link, station(link, version=version) as raw:
        yield link, Car(link, raw, sink, hand)


# Late or foreign news.


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_state_does_not_end_what_runs(version: str) -> None:
    async with car(version) as (_, one):
        await one.status("Charging")
        await one.start()
        await one.status("Available", ago_s=7200.0)
        await one.meter(FULL_W, 5_000_100.0)
        assert one.running == [one.own]
        await one.status("Available")
        await one.sink.until(lambda: not one.running)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_state_from_just_before_the_start_does_not_end_it(version: str) -> None:
    async with car(version) as (_, one):
        await one.status("Charging")
        await one.clock.sleep(100.0)
        await one.start()
        await one.status("Available", ago_s=20.0)
        await one.known()
        assert one.running == [one.own]


@pytest.mark.parametrize("named", [9_223_372_036_854_775_807, 2**31, 777])
async def test_a_reading_that_names_an_id_nobody_gave_leaves_the_session(named: int) -> None:
    async with car("ocpp1.6") as (_, one):
        await one.start()
        await one.meter(FULL_W, 5_000_100.0)
        await one.meter(FULL_W, 5_000_200.0, transaction=named)
        await one.meter(FULL_W, 5_000_300.0, transaction=named, ago_s=5000.0)
        await one.meter(FULL_W, 5_000_400.0)
        await one.known()
        assert one.running == [one.own]


@pytest.mark.parametrize("named", [9_223_372_036_854_775_807, 2**31])
async def test_an_id_that_cannot_be_ours_begins_nothing(named: int) -> None:
    async with car("ocpp1.6") as (_, one):
        for _ in range(4):
            await one.meter(FULL_W, 5_000_100.0, transaction=named)
        await one.known()
        assert one.running == []


async def test_an_id_that_live_readings_go_on_naming_replaces_the_running_one() -> None:
    async with car("ocpp1.6") as (_, one):
        await one.start()
        await one.meter(FULL_W)
        for _ in range(4):
            await one.meter(FULL_W, transaction=4711)
            await one.clock.sleep(31.0)
        await one.sink.until(lambda: one.running == ["CP1:4711"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_that_was_ended_wrongly_begins_again_while_the_station_meters_it(version: str) -> None:
    async with car(version) as (_, one):
        await one.start()
        await one.status("Charging")
        await one.status("Available")
        await one.sink.until(lambda: not one.running)
        for _ in range(3):
            await one.clock.sleep(40.0)
            await one.meter(FULL_W, 5_000_500.0)
        await one.sink.until(lambda: one.running == [one.own])
        again = [event for event in one.sink.events if isinstance(event, SessionStarted)]
        assert [event.meter_kwh for event in again] == [5000.0, 5000.0]


@pytest.mark.parametrize("version", LATER)
async def test_a_queue_of_the_last_transaction_does_not_touch_the_next(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(ago_s=0.0)
        await one.clock.sleep(130.0)
        one.transaction = "tx2"
        await one.start()
        await one.meter(FULL_W, 5_001_000.0)
        old = {"transaction": "tx1", "offline": True}
        await one.meter(0.0, 5_000_500.0, ago_s=100.0, **old)
        await one.stop(5_000_600.0, ago_s=90.0, **old)
        await one.meter(FULL_W, 5_001_200.0)
        seen = await one.known()
        assert one.running == ["CP1:tx2"]
        assert seen[Quantity.POWER_KW] == pytest.approx(11.0)


@pytest.mark.parametrize("version", LATER)
async def test_a_start_told_late_is_past_where_another_runs(version: str) -> None:
    async with car(version) as (_, one):
        await one.start()
        await one.meter(FULL_W, 5_000_000.0)
        await one.start(4_990_000.0, ago_s=3600.0, transaction="tx0", offline=True)
        await one.known()
        assert one.running == ["CP1:tx1"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_old_readings_keep_their_time_and_leave_the_register(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(5_000_000.0)
        await one.meter(0.0, 5_010_000.0 - 5_000.0)
        before = await one.known()
        late = {} if one.old else {"offline": True}
        for ago_s in (2400.0, 2100.0, 1800.0):
            await one.meter(FULL_W, 4_999_000.0, ago_s=ago_s, **late)
        after = await one.known()
        assert one.clock.now_s() - one.sink.at_s[EV, Quantity.POWER_KW] > 1700.0  # told as old, for the image to judge
        assert after[Quantity.ENERGY_KWH] == before[Quantity.ENERGY_KWH]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_whole_session_in_a_stop_is_history(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(5_000_000.0)
        await one.meter(FULL_W, 5_000_100.0)
        history = [one.reading(FULL_W, 5_000_000.0 + n, ago_s=3000.0 - 600.0 * n) for n in range(5)]
        name = "transactionData" if one.old else "meterValue"
        await one.stop(5_000_200.0, **{name: history})
        seen = await one.known()
        assert seen[Quantity.POWER_KW] == 0.0
        assert one.clock.now_s() - one.sink.at_s[EV, Quantity.POWER_KW] < 1.0
        assert one.running == []


async def test_a_stop_of_no_id_from_before_the_running_session_is_past() -> None:
    async with car("ocpp1.6") as (_, one):
        await one.start()
        told = {"transactionId": -1, "meterStop": 1000, "timestamp": one.stamp(4000.0)}
        assert (await one.raw.call("StopTransaction", told))[0] == 3
        await one.known()
        assert one.running == [one.own]


# Registers.


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_stop_of_an_unknown_register_ends_with_the_last_known(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(5_000_000.0)
        await one.meter(FULL_W, 5_000_400.0)
        await one.stop(-1 if one.old else None)
        ended = await one.sink.event(SessionEnded)
        assert ended.meter_kwh == pytest.approx(5000.4)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_without_a_register_at_its_start_gets_it_with_the_first_reading(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(-1 if one.old else None)
        await one.meter(FULL_W, 5_000_400.0)
        await one.known()
        started = [event for event in one.sink.events if isinstance(event, SessionStarted)]
        assert math.isnan(started[0].meter_kwh)
        assert started[-1].meter_kwh == pytest.approx(5000.4)
        assert {event.session_id for event in started} == {one.own}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_register_in_the_readings_never_falls_behind_the_start(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(5_000_000.0)
        for wh in (100.0, 400.0, 0.0, 700.0):
            await one.clock.sleep(60.0)
            await one.meter(FULL_W, wh)
        seen = await one.known()
        assert seen[Quantity.ENERGY_KWH] == pytest.approx(5000.6, abs=0.11)


# The right thing.


@pytest.mark.parametrize("version", LATER)
async def test_another_connector_of_the_evse_says_nothing_of_the_car(version: str) -> None:
    async with car(version) as (_, one):
        await one.status("Charging", port=1)
        await one.start()
        await one.status("Available", port=2)
        await one.status("Faulted", port=2)
        seen = await one.known()
        assert one.running == [one.own]
        assert seen[Quantity.PLUGGED] == 1.0
        assert seen.get(Quantity.P_MAX_KW) == 11.0
        await one.status("Available", port=1)
        await one.sink.until(lambda: not one.running)


@pytest.mark.parametrize("version", LATER)
async def test_a_second_connector_that_is_free_ends_nothing_where_no_place_was_named(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(evse={"id": 1})
        await one.status("Available", port=2)
        await one.known()
        assert one.running == [one.own]


async def test_the_evse_need_be_named_once_only() -> None:
    sink, hand = Sink(), HandClock()
    index = fleet(resource(3, "CP1/2"))
    async with central(sink, index, clock=hand, settle_wall_s=0.0) as link, station(link, version="ocpp2.0.1") as raw:
        one = Car(link, raw, sink, hand)
        await one.start(evse={"id": 2, "connectorId": 1})
        await one.meter(7000.0, 5_000_100.0)
        await sink.until(lambda: sink.values.get((3, Quantity.POWER_KW)) == pytest.approx(7.0))
        await one.stop(5_000_200.0)
        await sink.until(lambda: not one.running)
        assert (EV, Quantity.POWER_KW) not in sink.values


@pytest.mark.parametrize("version", LATER)
async def test_availability_comes_by_an_event_as_well(version: str) -> None:
    async with car(version) as (_, one):
        await one.start()
        told = {
            "eventId": 1,
            "timestamp": one.stamp(),
            "trigger": "Delta",
            "actualValue": "Available",
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
            "variable": {"name": "AvailabilityState"},
        }
        payload = {"generatedAt": one.stamp(), "seqNo": 0, "eventData": [told]}
        assert (await one.raw.call("NotifyEvent", payload))[0] == 3
        await one.sink.until(lambda: not one.running)


async def test_the_station_s_own_meter_speaks_for_its_one_connector_until_that_has_one() -> None:
    async with car("ocpp1.6") as (_, one):
        main = {"connectorId": 0, "meterValue": [one.reading(7000.0, None)]}
        await one.raw.call("MeterValues", main)
        assert await one.sink.value(EV, Quantity.POWER_KW) == pytest.approx(7.0)
        await one.raw.call("MeterValues", {"connectorId": 1, "meterValue": [one.reading(3000.0, None)]})
        await one.raw.call("MeterValues", main)
        assert (await one.known())[Quantity.POWER_KW] == pytest.approx(3.0)


# The meter's silence.


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_register_alone_tells_the_power(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(5_000_000.0)
        begun_s, wh = one.clock.now_s(), 0.0
        for _ in range(3):
            await one.clock.sleep(60.0)
            wh = FULL_W * (one.clock.now_s() - begun_s) / 3600.0
            await one.meter(None, round(5_000_000.0 + wh, 1))
        seen = await one.known()
        assert seen[Quantity.POWER_KW] == pytest.approx(11.0, abs=1.0)
        assert one.has(Trouble.POWER_FROM_REGISTER)
        await one.meter(7000.0, round(5_000_000.0 + wh + 10.0, 1))
        await one.sink.until(lambda: not one.has(Trouble.POWER_FROM_REGISTER))
        assert one.sink.values[EV, Quantity.POWER_KW] == pytest.approx(7.0)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_still_register_of_a_paused_station_is_no_power(version: str) -> None:
    async with car(version) as (_, one):
        await one.start(5_000_000.0)
        await one.meter(FULL_W, 5_001_000.0)
        await one.pause()
        for _ in range(3):
            await one.clock.sleep(30.0)
            named = {} if one.old else {"transactionInfo": {"transactionId": one.transaction}}
            await one.meter(None, 5_001_000.0, **named)
        await one.sink.until(lambda: one.sink.values[EV, Quantity.POWER_KW] == 0.0)
        assert one.running == [one.own]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("state", "trouble"), [("Faulted", Trouble.FAULTED), ("Unavailable", Trouble.OUT_OF_SERVICE)])
async def test_what_is_out_of_order_gives_nothing_until_it_says_otherwise(
    version: str, state: str, trouble: Trouble
) -> None:
    async with car(version) as (_, one):
        await one.status("Charging")
        assert await one.sink.value(EV, Quantity.P_MAX_KW) == 11.0
        await one.start()
        await one.status(state)
        await one.sink.until(lambda: one.sink.values[EV, Quantity.P_MAX_KW] == 0.0 and one.has(trouble))
        await one.status("Charging")
        await one.sink.until(lambda: one.sink.values[EV, Quantity.P_MAX_KW] == 11.0 and not one.has(trouble))
        assert one.running == [one.own]


async def test_a_station_out_of_service_as_a_whole_gives_nothing_anywhere() -> None:
    async with car("ocpp1.6") as (_, one):
        await one.status("Unavailable", connector=0)
        await one.sink.until(lambda: one.has(Trouble.OUT_OF_SERVICE))
        assert one.sink.values[EV, Quantity.P_MAX_KW] == 0.0
        await one.status("Available", connector=0)
        await one.sink.until(lambda: not one.has(Trouble.OUT_OF_SERVICE))
        assert one.sink.values[EV, Quantity.P_MAX_KW] == 11.0


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_car_that_sleeps_on_after_a_pause_is_on_the_card_until_it_draws(version: str) -> None:
    async with car(version) as (link, one):
        await one.start()
        await one.meter(FULL_W)
        now_s = one.clock.now_s()
        link.send(setpoints((5, EV, Layer.DISPATCH, 0.0, now_s + 60.0)))
        await one.sink.outcome(5)
        await one.meter(0.0)
        assert "asleep" not in link.card(EV)
        await one.clock.sleep(61.0)
        await one.sink.until(lambda: one.sink.values[EV, Quantity.LIMIT_KW] == 9.0)
        for _ in range(8):
            await one.meter(0.0)
            await one.clock.sleep(50.0)
        await one.sink.until(lambda: one.has(Trouble.DOES_NOT_WAKE))
        assert link.card(EV)["asleep"] is True
        await one.meter(FULL_W)
        await one.sink.until(lambda: not one.has(Trouble.DOES_NOT_WAKE))
        assert "asleep" not in link.card(EV)


# Clocks.


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_slow_clock_is_measured_shown_and_corrected(version: str) -> None:
    async with car(version) as (link, one):
        await one.status("Charging", ago_s=300.0)
        await one.start(ago_s=300.0)
        await one.meter(FULL_W, 5_000_100.0, ago_s=300.0)
        await one.known()
        assert abs(one.clock.now_s() - one.sink.at_s[EV, Quantity.POWER_KW]) < 1.0
        assert link.card(EV)["clock_offset_s"] == pytest.approx(300.0, abs=1.0)
        assert one.has(Trouble.CLOCK_OFF)
        await one.meter(FULL_W, 5_000_100.0)
        await one.sink.until(lambda: not one.has(Trouble.CLOCK_OFF))


async def test_an_honest_station_is_not_struck_by_a_reading_from_about_its_lease_s_end() -> None:
    async with car("ocpp1.6") as (link, one):
        await one.start()
        until_s = one.clock.now_s() + 90.0
        link.send(setpoints((5, EV, Layer.DISPATCH, 5.0, until_s)))
        await one.sink.outcome(5)
        await one.clock.sleep_until(until_s - 4.0)
        await one.meter(FULL_W)
        await one.meter(FULL_W, ago_s=60.0)  # from before the limit had time to work
        assert link.card(EV)["follows_limits"] is None


@pytest.mark.parametrize("version", VERSIONS)
async def test_cosmetic_faults_are_healed_and_counted(version: str) -> None:
    async with car(version) as (_, one):
        await one.start()
        odd = {"reason": ""} if one.old else {"offline": "false"}
        assert (await one.stop(5_000_100.0, vendorField=1, **odd))[0] == 3
        await one.sink.event(SessionEnded)
        assert {"unknown_field"} <= set(one.sink.repaired)
        assert "format" not in one.sink.rejected


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_station_whose_messages_are_refused_is_said_to_be_malformed_until_it_boots(version: str) -> None:
    async with car(version) as (_, one):
        await one.start()
        assert not one.has(Trouble.MALFORMED_MESSAGES)
        assert (await one.raw.call("StatusNotification", {"timestamp": one.stamp()}))[0] == 4
        await one.sink.until(lambda: one.has(Trouble.MALFORMED_MESSAGES))
        await one.raw.boot()
        await one.sink.until(lambda: not one.has(Trouble.MALFORMED_MESSAGES))


@pytest.mark.parametrize("version", LATER)
async def test_a_promise_before_its_session_comes_with_it(version: str) -> None:
    async with car(version) as (_, one):
        needs = {
            "requestedEnergyTransfer": "AC_three_phase",
            "departureTime": one.stamp(-36_000.0),
            "acChargingParameters": {"energyAmount": 18000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230},
        }
        await one.raw.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
        await one.start()
        promised = await one.sink.event(SessionPromised)
        assert promised.promise.energy_kwh == 18.0


async def test_a_register_alone_while_no_car_charges_is_no_trouble() -> None:
    async with car("ocpp1.6") as (_, one):
        for _ in range(5):
            await one.clock.sleep(60.0)
            reading = {"connectorId": 1, "meterValue": [one.reading(None, 5_000_123.4)]}
            await one.raw.call("MeterValues", reading)
        assert (await one.known())[Quantity.POWER_KW] == 0.0
        assert not one.has(Trouble.POWER_FROM_REGISTER)


async def test_a_transaction_runs_at_one_connector() -> None:
    sink, hand = Sink(), HandClock()
    index = fleet(resource(3, "CP1/2"))
    async with central(sink, index, clock=hand, settle_wall_s=0.0) as link, station(link, version="ocpp2.1") as raw:
        one = Car(link, raw, sink, hand)
        await one.start()
        await one.meter(FULL_W, evse={"id": 2, "connectorId": 1})
        await one.start(evse={"id": 2, "connectorId": 1})
        await one.known()
        assert one.running == [one.own]
        await one.stop(5_000_100.0)
        await sink.until(lambda: not one.running)
        assert {event.row for event in sink.events} == {EV}
