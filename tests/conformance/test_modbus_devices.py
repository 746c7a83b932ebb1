"""Our Modbus link and our simulated devices over real sockets, with `pysunspec2` as the third party."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from sunspec2.modbus.client import (
    SunSpecModbusClientDeviceTCP,
    SunSpecModbusClientModel,
    SunSpecModbusClientPoint,
)
from sunspec2.modbus.modbus import ModbusClientException

import adapters.modbus
from adapters.modbus import ModbusLink, RegisterMap
from adapters.modbus.simulated.devices import ModbusDevices
from adapters.modbus.simulated.server import Endpoint, WriteTreatment
from tests.conformance.modbus_parts import SPEED, Ear, FastClock, battery, fleet, free_port, pv
from tests.patience import PATIENCE_WALL_S
from vpp.domain.device import DeviceReadings, DeviceResponse, PlugEvent
from vpp.domain.errors import InputError
from vpp.domain.resource import Resource, ResourceClass
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import Quantity
from vpp.fleet.index import FleetIndex

POLL_S = 4.0
ACCEPTED = (OutcomeStatus.ACCEPTED, Reason.NONE)
PV, BATTERY = 0, 1


class _PlainWorld:
    """Devices that follow their dispatch value until its lease ends, then their default."""

    def __init__(self, index: FleetIndex, clock: FastClock) -> None:
        self.index = index
        self.online = np.ones(len(index), dtype=np.bool_)
        self.treatment = DeviceResponse(latency_s=0.2, refused=False, ignored=False)
        self.applied: list[tuple[int, Layer, float, float]] = []
        self._clock = clock
        self._default_kw = np.array([-30.0 if r.resource_class is ResourceClass.PV else 0.0 for r in index.resources])
        self._lease: dict[int, tuple[float, float]] = {}

    def readings(self) -> DeviceReadings:
        now_s = self._clock.now_s()
        power_kw = self._default_kw.copy()
        for row, (kw, until_s) in self._lease.items():
            if until_s > now_s:
                power_kw[row] = kw if row != PV else max(kw, -30.0)
        storing = np.array([r.resource_class is ResourceClass.STORAGE for r in self.index.resources])
        return DeviceReadings(
            at_s=now_s,
            power_kw=power_kw,
            energy_kwh=np.where(storing, 123.456, 0.0),
            soc=np.where(storing, 0.5, math.nan),
            plugged=np.zeros(len(storing), dtype=np.bool_),
            online=self.online.copy(),
            p_min_kw=np.where(storing, -40.0, -30.0),
            p_max_kw=np.where(storing, 45.0, 0.0),
        )

    def response(self, row: int) -> DeviceResponse:
        assert 0 <= row < len(self.index)
        return self.treatment

    def apply(self, row: int, layer: Layer, power_kw: float, until_s: float) -> None:
        self.applied.append((row, layer, power_kw, until_s))
        if layer is Layer.DEFAULT:
            self._default_kw[row] = power_kw
        elif layer is Layer.DISPATCH:
            self._lease[row] = (power_kw, until_s)
        else:
            self._lease.pop(row, None)

    def plug_events(self) -> list[PlugEvent]:
        return []


@dataclass(slots=True, kw_only=True)
class _Stage:
    """World, devices and link on one clock."""

    clock: FastClock
    world: _PlainWorld
    devices: ModbusDevices
    link: ModbusLink
    ear: Ear

    def send(self, *commands: tuple[int, int, Layer, float, float], epoch: int = 1) -> None:
        """Send ``(id, row, layer, power_kw, lease_s)``."""
        ids, rows, layers, power_kw, lease_s = zip(*commands, strict=True)
        self.link.send(
            SetpointBatch(
                ids=np.array(ids, dtype=np.int64),
                rows=np.array(rows, dtype=np.int32),
                layers=np.array(layers, dtype=np.uint8),
                power_kw=np.array(power_kw, dtype=np.float64),
                until_s=self.clock.now_s() + np.array(lease_s, dtype=np.float64),
                epoch=epoch,
            )
        )

    async def tell(
        self, command: int, row: int, layer: Layer, kw: float = math.nan, lease_s: float = math.inf
    ) -> tuple[OutcomeStatus, Reason]:
        self.send((command, row, layer, kw, lease_s))
        return await self.ear.outcome(command)


def _pair(*, shared: bool = False) -> FleetIndex:
    first = free_port()
    host, port = ("127.0.0.1", first) if shared else ("127.0.0.2", free_port("127.0.0.2"))
    return fleet(pv(f"127.0.0.1:{first}/1"), battery(f"{host}:{port}/2"))


@asynccontextmanager
async def _staged(index: FleetIndex, *, base: int = 40000, timeout_s: float = 3.0) -> AsyncIterator[_Stage]:
    clock = FastClock()
    world = _PlainWorld(index, clock)
    devices = ModbusDevices(world=world, clock=clock, base=base)
    link = ModbusLink(clock=clock, poll_s=POLL_S, timeout_s=timeout_s)
    running = asyncio.create_task(devices.run())
    await devices.listening.wait()
    ear = Ear()
    link.assign(index)
    await link.start(ear)
    try:
        yield _Stage(clock=clock, world=world, devices=devices, link=link, ear=ear)
    finally:
        await link.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _scan(resource: Resource) -> SunSpecModbusClientDeviceTCP:
    host, _, rest = resource.address.partition(":")
    port, _, unit = rest.partition("/")
    device = SunSpecModbusClientDeviceTCP(slave_id=int(unit), ipaddr=host, ipport=int(port), timeout=PATIENCE_WALL_S)
    device.scan()
    return device


async def _theirs(resource: Resource) -> SunSpecModbusClientDeviceTCP:
    return await asyncio.to_thread(_scan, resource)


async def test_pysunspec2_reads_our_inverter_and_agrees_with_our_reading() -> None:
    async with _staged(_pair()) as stage:
        await stage.ear.until_connected(PV)
        theirs = await _theirs(stage.world.index.resources[PV])
        ours = stage.link.card(PV)
        assert [n for n in theirs.models if isinstance(n, int)] == ours["models"]
        assert ours["models"] == [1, 103, 120, 121, 122, 123, 160, 701, 702, 704]
        assert theirs.base_addr == ours["base_address"] == 40000
        assert stage.ear.last(PV, Quantity.POWER_KW) == -theirs.DERMeasureAC[0].W.cvalue / 1000.0
        assert theirs.DERMeasureAC[0].W.cvalue == theirs.models[103][0].W.cvalue == 30_000.0
        assert theirs.models[103][0].W_SF.value == 1, "75 kW of headroom in 16 bits"
        assert stage.ear.last(PV, Quantity.P_MIN_KW) == -theirs.status[0].WAval.cvalue / 1000.0
        assert stage.ear.last(PV, Quantity.LIMIT_KW) == -theirs.DERCapacity[0].WMax.cvalue / 1000.0
        assert theirs.mppt[0].N.value == len(theirs.mppt[0].module) == 2
        assert (ours["manufacturer"], ours["serial"]) == (theirs.common[0].Mn.value, theirs.common[0].SN.value)


async def test_pysunspec2_reads_our_battery_and_agrees_with_our_reading() -> None:
    async with _staged(_pair()) as stage:
        await stage.ear.until_connected(BATTERY)
        assert await stage.tell(1, BATTERY, Layer.DEFAULT, 12.5) == ACCEPTED
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.POWER_KW) == 12.5)
        theirs = await _theirs(stage.world.index.resources[BATTERY])
        assert [n for n in theirs.models if isinstance(n, int)] == stage.link.card(BATTERY)["models"]
        assert theirs.DERMeasureAC[0].W.cvalue == theirs.battery[0].W.cvalue == -12_500.0
        assert theirs.DERStorageCapacity[0].SoC.cvalue == theirs.battery[0].SoC.cvalue == 50.0
        assert stage.ear.last(BATTERY, Quantity.SOC) == 0.5
        assert stage.ear.last(BATTERY, Quantity.ENERGY_KWH) == theirs.DERMeasureAC[0].TotWhAbs.value / 1000.0 == 123.456
        assert stage.ear.last(BATTERY, Quantity.P_MAX_KW) == theirs.DERCapacity[0].WChaRteMax.cvalue / 1000.0 == 45.0
        assert (
            stage.ear.last(BATTERY, Quantity.P_MIN_KW) == -theirs.DERCapacity[0].WDisChaRteMax.cvalue / 1000.0 == -40.0
        )
        assert stage.ear.last(BATTERY, Quantity.LIMIT_KW) == -theirs.DERCtlAC[0].WSet.cvalue / 1000.0 == 12.5


@pytest.mark.parametrize("row", [PV, BATTERY])
async def test_pysunspec2_finds_every_point_that_a_model_demands(row: int) -> None:
    async with _staged(_pair()) as stage:
        theirs = await _theirs(stage.world.index.resources[row])
        points = [
            (number, p) for number, held in theirs.models.items() if isinstance(number, int) for p in _points(held)
        ]
        missing = [(number, p.pdef["name"]) for number, p in points if _demanded(p.pdef) and p.value is None]
        assert len(points) > 100
        assert missing == []


def _points(models: list[SunSpecModbusClientModel]) -> list[SunSpecModbusClientPoint]:
    return [point for model in models for point in model.points.values()]


def _demanded(definition: dict[str, object]) -> bool:
    return definition.get("mandatory") == "M" and definition["type"] != "pad"


async def test_pysunspec2_writes_a_setpoint_that_our_battery_obeys() -> None:
    async with _staged(_pair()) as stage:
        theirs = await _theirs(stage.world.index.resources[BATTERY])
        control = theirs.DERCtlAC[0]
        control.WSetEna.value, control.WSet.cvalue, control.WSetRvrtTms.value = 1, 8000.0, 600
        before_s = stage.clock.now_s()
        await asyncio.to_thread(control.write)
        row, layer, power_kw, until_s = stage.world.applied[-1]
        assert (row, layer, power_kw) == (BATTERY, Layer.DISPATCH, -8.0)
        assert before_s + 600 <= until_s <= stage.clock.now_s() + 600


@pytest.mark.parametrize("base", [50000, 0])
async def test_devices_are_found_at_the_other_bases(base: int) -> None:
    async with _staged(_pair(), base=base) as stage:
        await stage.ear.until_connected(PV, BATTERY)
        assert stage.link.card(PV)["base_address"] == base


async def test_a_dispatch_ends_by_itself_at_the_default() -> None:
    async with _staged(_pair()) as stage:
        assert await stage.tell(1, BATTERY, Layer.DEFAULT, 5.0) == ACCEPTED
        assert await stage.tell(2, BATTERY, Layer.DISPATCH, -20.0, 15.0) == ACCEPTED
        assert stage.ear.last(BATTERY, Quantity.LIMIT_KW) == -20.0
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.POWER_KW) == -20.0)
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.LIMIT_KW) == 5.0)
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.POWER_KW) == 5.0)
        assert [layer for _, layer, _, _ in stage.world.applied] == [Layer.DEFAULT, Layer.RELEASE, Layer.DISPATCH]


async def test_a_default_sent_during_a_dispatch_waits_underneath() -> None:
    async with _staged(_pair()) as stage:
        assert await stage.tell(1, BATTERY, Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
        assert await stage.tell(2, BATTERY, Layer.DEFAULT, 7.0) == ACCEPTED
        assert stage.ear.last(BATTERY, Quantity.LIMIT_KW) == -20.0
        assert await stage.tell(3, BATTERY, Layer.RELEASE) == ACCEPTED
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.POWER_KW) == 7.0)
        assert stage.ear.last(BATTERY, Quantity.LIMIT_KW) == 7.0


async def test_an_inverter_is_held_back_and_let_go() -> None:
    async with _staged(_pair()) as stage:
        assert await stage.tell(1, PV, Layer.DISPATCH, -10.0, 600.0) == ACCEPTED
        assert stage.ear.last(PV, Quantity.LIMIT_KW) == -10.0
        await stage.ear.until(lambda: stage.ear.last(PV, Quantity.POWER_KW) == -10.0)
        assert await stage.tell(2, PV, Layer.RELEASE) == ACCEPTED
        assert stage.ear.last(PV, Quantity.LIMIT_KW) == -50.0
        await stage.ear.until(lambda: stage.ear.last(PV, Quantity.POWER_KW) == -30.0)


def test_both_ends_work_on_uvloop_as_the_service_runs_them() -> None:
    async def dispatch() -> None:
        async with _staged(_pair()) as stage:
            assert await stage.tell(1, BATTERY, Layer.DISPATCH, -20.0, 600.0) == ACCEPTED
            await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.POWER_KW) == -20.0)
            stage.world.online[BATTERY] = False
            await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.CONNECTED) == 0.0)

    pytest.importorskip("uvloop").run(dispatch())


async def test_a_restarted_link_finds_the_running_lease_and_leaves_it_alone() -> None:
    async with _staged(_pair()) as stage:
        assert await stage.tell(1, BATTERY, Layer.DISPATCH, -20.0, 6000.0) == ACCEPTED
        await stage.link.close()
        stage.link = ModbusLink(clock=stage.clock, poll_s=POLL_S)
        stage.link.assign(stage.world.index)
        await stage.link.start(stage.ear)
        assert await stage.tell(2, BATTERY, Layer.DEFAULT, 3.0) == ACCEPTED
        assert stage.world.applied[-1][1] is Layer.DEFAULT
        assert stage.ear.last(BATTERY, Quantity.LIMIT_KW) == -20.0


async def test_a_refusal_is_a_rejection_and_a_silent_disregard_looks_accepted() -> None:
    async with _staged(_pair()) as stage:
        stage.world.treatment = DeviceResponse(latency_s=0.2, refused=True, ignored=False)
        assert await stage.tell(1, BATTERY, Layer.DEFAULT, 5.0) == (OutcomeStatus.REJECTED, Reason.REFUSED)
        stage.world.treatment = DeviceResponse(latency_s=0.2, refused=False, ignored=True)
        assert await stage.tell(2, BATTERY, Layer.DEFAULT, 6.0) == ACCEPTED
        assert stage.ear.last(BATTERY, Quantity.LIMIT_KW) == 6.0
        assert stage.world.applied == []


async def test_an_answer_that_comes_too_late_is_a_timeout_and_the_connection_survives() -> None:
    async with _staged(_pair()) as stage:
        await stage.ear.until_connected(BATTERY)
        stage.world.treatment = DeviceResponse(latency_s=1.5 * SPEED, refused=False, ignored=False)
        assert await stage.tell(1, BATTERY, Layer.DEFAULT, 5.0) == (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        stage.world.treatment = DeviceResponse(latency_s=0.2, refused=False, ignored=False)
        assert await stage.tell(2, BATTERY, Layer.DEFAULT, 6.0) == ACCEPTED
        assert stage.ear.history(BATTERY, Quantity.CONNECTED) == [1.0]


async def test_a_newer_instruction_replaces_one_that_has_not_left() -> None:
    async with _staged(_pair()) as stage:
        stage.send((1, BATTERY, Layer.DEFAULT, 1.0, math.inf), (2, BATTERY, Layer.DEFAULT, 2.0, math.inf))
        assert await stage.ear.outcome(1) == (OutcomeStatus.REJECTED, Reason.EXPIRED)
        assert await stage.ear.outcome(2) == ACCEPTED
        assert stage.ear.last(BATTERY, Quantity.LIMIT_KW) == 2.0


async def test_an_ended_lease_an_old_epoch_and_a_foreign_row_are_rejected() -> None:
    async with _staged(_pair()) as stage:
        assert await stage.tell(1, BATTERY, Layer.DISPATCH, 1.0, -1.0) == (OutcomeStatus.REJECTED, Reason.EXPIRED)
        stage.send((2, BATTERY, Layer.DEFAULT, 1.0, math.inf), epoch=5)
        stage.send((3, BATTERY, Layer.DEFAULT, 2.0, math.inf), epoch=4)
        stage.send((4, 77, Layer.DEFAULT, 2.0, math.inf), epoch=5)
        assert await stage.ear.outcome(2) == ACCEPTED
        assert await stage.ear.outcome(3) == (OutcomeStatus.REJECTED, Reason.REFUSED)
        assert await stage.ear.outcome(4) == (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)


async def test_a_device_without_its_link_is_lost_once_found_once_and_unreachable_at_once_meanwhile() -> None:
    async with _staged(_pair()) as stage:
        await stage.ear.until_connected(PV, BATTERY)
        stage.world.online[BATTERY] = False
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.CONNECTED) == 0.0)
        stage.send((1, BATTERY, Layer.DEFAULT, 1.0, math.inf), (2, PV, Layer.DEFAULT, math.nan, math.inf))
        assert await stage.ear.outcome(1) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        assert await stage.ear.outcome(2) == ACCEPTED
        stage.world.online[BATTERY] = True
        await stage.ear.until_connected(BATTERY)
        assert stage.ear.history(BATTERY, Quantity.CONNECTED) == [1.0, 0.0, 1.0]
        assert stage.ear.history(PV, Quantity.CONNECTED) == [1.0]


async def test_a_unit_lost_behind_a_gateway_leaves_its_neighbour_alone() -> None:
    async with _staged(_pair(shared=True)) as stage:
        await stage.ear.until_connected(PV, BATTERY)
        stage.world.online[BATTERY] = False
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.CONNECTED) == 0.0)
        assert await stage.tell(1, PV, Layer.DISPATCH, -10.0, 600.0) == ACCEPTED
        stage.world.online[BATTERY] = True
        await stage.ear.until_connected(BATTERY)
        assert stage.ear.history(PV, Quantity.CONNECTED) == [1.0]


async def test_a_site_where_nobody_listens_is_unreachable_at_once() -> None:
    clock, ear = FastClock(), Ear()
    index = fleet(pv(f"127.0.0.1:{free_port()}/1"))
    link = ModbusLink(clock=clock, poll_s=POLL_S)
    link.assign(index)
    await link.start(ear)
    await ear.until(lambda: ear.history(PV, Quantity.CONNECTED) == [0.0])
    stage = _Stage(clock=clock, world=_PlainWorld(index, clock), devices=None, link=link, ear=ear)  # type: ignore[arg-type] # no device side
    stage.send((1, PV, Layer.RELEASE, math.nan, math.inf))
    link._batcher.flush()
    assert ear.outcomes_by_id == {1: (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)}
    await link.close()


async def test_a_dead_socket_is_a_timeout_and_then_unreachable_at_once() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with _serving(swallow) as port:
        clock, ear = FastClock(), Ear()
        index = fleet(pv(f"127.0.0.1:{port}/1"))
        link = ModbusLink(clock=clock, poll_s=POLL_S, timeout_s=1.0)
        link.assign(index)
        await link.start(ear)
        stage = _Stage(clock=clock, world=_PlainWorld(index, clock), devices=None, link=link, ear=ear)  # type: ignore[arg-type] # no device side
        assert await stage.tell(1, PV, Layer.RELEASE) == (OutcomeStatus.UNREACHABLE, Reason.TIMEOUT)
        assert await stage.tell(2, PV, Layer.RELEASE) == (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        assert ear.history(PV, Quantity.CONNECTED) == [0.0]
        await link.close()


async def test_closing_settles_what_is_outstanding() -> None:
    async with _staged(_pair()) as stage:
        await stage.ear.until_connected(BATTERY)
        stage.world.treatment = DeviceResponse(latency_s=100.0, refused=False, ignored=False)
        stage.send((1, BATTERY, Layer.DEFAULT, 1.0, math.inf))
        await asyncio.sleep(0)
        stage.send((2, BATTERY, Layer.DEFAULT, 2.0, math.inf), (3, PV, Layer.RELEASE, math.nan, math.inf))
        await stage.link.close()
        assert set(stage.ear.outcomes_by_id) == {1, 2, 3}
        assert OutcomeStatus.ACCEPTED not in {status for status, _ in stage.ear.outcomes_by_id.values()}


async def test_bad_frames_do_not_hurt_the_neighbours() -> None:
    async with _staged(_pair(shared=True)) as stage:
        await stage.ear.until_connected(PV, BATTERY)
        _, _, port = stage.world.index.resources[PV].address.split("/")[0].rpartition(":")
        for frame in (
            struct.pack(">HHHBBHH", 1, 0, 0, 1, 3, 0, 1),  # a length that leaves no room for a function
            struct.pack(">HHHBBHH", 1, 0, 9999, 1, 3, 0, 1),  # a length beyond any frame
            struct.pack(">HHHBBHH", 1, 7, 6, 1, 3, 0, 1),  # another protocol
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            assert await _exchange(int(port), frame) == b"", "the connection is closed"
        assert await _exchange(int(port), struct.pack(">HHHBBHH", 5, 0, 6, 99, 3, 0, 1)) == _exception(5, 99, 3, 10)
        assert await _exchange(int(port), struct.pack(">HHHBB", 6, 0, 2, 1, 43)) == _exception(6, 1, 43, 1)
        assert await _exchange(int(port), struct.pack(">HHHBBHH", 7, 0, 6, 1, 3, 3, 1)) == _exception(7, 1, 3, 2)
        assert await _exchange(int(port), struct.pack(">HHHBBHH", 8, 0, 6, 1, 3, 40000, 126)) == _exception(8, 1, 3, 3)
        assert await _exchange(int(port), struct.pack(">HHHBBHH", 9, 0, 6, 1, 6, 40000, 1)) == _exception(9, 1, 6, 2)
        assert await stage.tell(1, PV, Layer.DISPATCH, -10.0, 600.0) == ACCEPTED
        assert stage.ear.history(PV, Quantity.CONNECTED) == [1.0]


async def test_a_value_out_of_range_is_answered_with_illegal_data_value() -> None:
    async with _staged(_pair()) as stage:
        theirs = await _theirs(stage.world.index.resources[PV])
        limit = theirs.DERCtlAC[0].WMaxLimPct
        limit.cvalue = 140.0
        with pytest.raises(ModbusClientException, match="3"):
            await asyncio.to_thread(limit.write)
        assert stage.world.applied == []


async def test_a_link_survives_a_device_that_talks_nonsense() -> None:
    served = asyncio.Event()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(300)
        writer.write(request[:4] + b"\x00\x05" + request[6:7] + b"\x03\x20\x53\x75")  # 32 bytes said, 2 there
        served.set()
        await reader.read()
        writer.close()

    async with _serving(babble) as port, _staged(_pair()) as stage:
        extra = stage.world.index.extended(resources=[pv(f"127.0.0.1:{port}/1", "babbler")])
        stage.link.assign(extra)
        await served.wait()
        await stage.ear.until(lambda: stage.ear.last(2, Quantity.CONNECTED) == 0.0)
        assert await stage.tell(1, BATTERY, Layer.DEFAULT, 4.0) == ACCEPTED


async def test_an_unknown_model_is_passed_over_and_what_is_not_implemented_is_left_out() -> None:
    unit = _BareUnit()
    async with _bare(unit) as port:
        ear, link = Ear(), ModbusLink(clock=FastClock(), poll_s=POLL_S)
        link.assign(fleet(pv(f"127.0.0.1:{port}/7")))
        await link.start(ear)
        await ear.until_connected(PV)
        assert link.card(PV)["models"] == [64999, 103]
        assert ear.history(PV, Quantity.POWER_KW) == []
        unit.show(5 + 14, 1234)
        unit.show(5 + 15, 0xFFFF)
        await ear.until(lambda: abs(ear.last(PV, Quantity.POWER_KW) + 0.1234) < 1e-9)
        await link.close()


async def test_a_device_without_a_sunspec_map_is_not_connected_and_counted() -> None:
    unit = _BareUnit()
    unit.show(0, 0)
    async with _bare(unit) as port:
        ear, link = Ear(), ModbusLink(clock=FastClock(), poll_s=POLL_S)
        link.assign(fleet(pv(f"127.0.0.1:{port}/7")))
        await link.start(ear)
        await ear.until(lambda: ear.last(PV, Quantity.CONNECTED) == 0.0)
        assert "map" in ear.rejected
        assert "no SunSpec map" in str(link.card(PV)["last_words"])
        await link.close()


async def test_what_reads_back_otherwise_is_rejected() -> None:
    unit = _BareUnit(table=dict.fromkeys(range(200, 203), 0))
    unit.deaf = True
    points = [
        {"role": role, "address": 200 + i, "type": "int16", "min": -99.0, "max": 9999.0, "write": True}
        for i, role in enumerate(("setpoint", "default", "timer"))
    ]
    declared = RegisterMap.from_table({"name": "deaf", "points": points}, where="deaf")
    async with _bare(unit) as port:
        clock, ear = FastClock(), Ear()
        index = fleet(replace(battery(f"127.0.0.1:{port}/7#deaf"), id="deaf"))
        link = ModbusLink(clock=clock, poll_s=POLL_S, maps={"deaf": declared})
        link.assign(index)
        await link.start(ear)
        stage = _Stage(clock=clock, world=_PlainWorld(index, clock), devices=None, link=link, ear=ear)  # type: ignore[arg-type] # no device side
        verdict = await stage.tell(1, 0, Layer.DISPATCH, 20.0, 60.0)
        assert verdict == (OutcomeStatus.REJECTED, Reason.READBACK)
        unit.deaf = False
        assert await stage.tell(2, 0, Layer.DISPATCH, 20.0, 60.0) == ACCEPTED
        assert await stage.tell(3, 0, Layer.DISPATCH, 20_000.0, 60.0) == (OutcomeStatus.REJECTED, Reason.UNSUPPORTED)
        assert unit.table == {200: 20, 201: 0, 202: 60}
        await link.close()


async def test_the_shipped_map_moves_a_battery_over_the_wire() -> None:
    path = Path(adapters.modbus.__file__).parent / "devices" / "maps" / "example_meter.toml"
    unit = _BareUnit(table={52: 0, 53: 0, 72: 0, 73: 0, 100: 500, 200: 0, 201: 0, 202: 0})
    async with _bare(unit) as port:
        clock, ear = FastClock(), Ear()
        index = fleet(battery(f"127.0.0.1:{port}/7#meter"))
        with pytest.raises(InputError, match="maps"):
            ModbusLink(clock=clock).assign(index)
        link = ModbusLink(clock=clock, poll_s=POLL_S, maps={"meter": _holding_only(RegisterMap.from_toml(path))})
        link.assign(index)
        await link.start(ear)
        stage = _Stage(clock=clock, world=_PlainWorld(index, clock), devices=None, link=link, ear=ear)  # type: ignore[arg-type] # no device side
        await ear.until(lambda: ear.last(0, Quantity.SOC) == 0.5)
        assert await stage.tell(1, 0, Layer.DEFAULT, -3.0) == ACCEPTED
        assert await stage.tell(2, 0, Layer.DISPATCH, 12.0, 90.0) == ACCEPTED
        assert (unit.table[200], unit.table[201]) == (0x10000 - 120, 30)
        assert await stage.tell(3, 0, Layer.RELEASE) == ACCEPTED
        assert (unit.table[200], unit.table[202]) == (30, 0)
        await link.close()


def _holding_only(declared: RegisterMap) -> RegisterMap:
    """Return the map with every point in the one table the small server has."""
    holding = declared.points[-1].table
    return replace(declared, points=tuple(replace(point, table=holding) for point in declared.points))


@dataclass(slots=True, kw_only=True)
class _BareUnit:
    """Registers in a table: by default an unknown model of one register and a model 103 that implements nothing."""

    table: dict[int, int] = field(default_factory=dict)
    deaf: bool = False

    def __post_init__(self) -> None:
        if not self.table:
            words = [
                0x5375,
                0x6E53,
                64999,
                1,
                42,
                103,
                50,
                *([0xFFFF] * 12),
                0x8000,
                0x8000,
                *([0xFFFF] * 36),
                0xFFFF,
                0,
            ]
            self.table = {40000 + i: word for i, word in enumerate(words)}

    def show(self, offset: int, value: int) -> None:
        self.table[40000 + offset] = value

    def read(self, address: int, count: int) -> bytes:
        return struct.pack(f">{count}H", *(self.table.get(address + i, 0xFFFF) for i in range(count)))

    def write(self, address: int, data: bytes) -> WriteTreatment:
        values = struct.unpack(f">{len(data) // 2}H", data)
        if not self.deaf:
            self.table.update({address + i: value for i, value in enumerate(values)})
        return WriteTreatment(latency_wall_s=0.0, carry_out=lambda: None)


@asynccontextmanager
async def _bare(unit: _BareUnit) -> AsyncIterator[int]:
    endpoint = Endpoint({7: unit})
    server = await asyncio.get_running_loop().create_server(endpoint.connection, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        endpoint.cut()


@asynccontextmanager
async def _serving(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def _exchange(port: int, frame: bytes) -> bytes:
    """Send one frame on a connection of its own and return the answer, empty once the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(frame)
    async with asyncio.timeout(PATIENCE_WALL_S):
        try:
            return await reader.read(300)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


def _exception(transaction: int, unit: int, function: int, code: int) -> bytes:
    return struct.pack(">HHHBBB", transaction, 0, 3, unit, function | 0x80, code)


async def test_an_endpoint_that_somebody_else_dials_is_left_alone_until_it_is_ours_again() -> None:
    index = _pair()
    battery_place = index.resources[BATTERY].address.rpartition("/")[0]
    async with _staged(index) as stage:
        await stage.ear.until_connected(PV, BATTERY)
        stage.link.own(lambda place: place != battery_place)
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.CONNECTED) == 0.0)
        unreachable = (OutcomeStatus.UNREACHABLE, Reason.NOT_CONNECTED)
        assert await stage.tell(1, BATTERY, Layer.DISPATCH, 5.0, 60.0) == unreachable
        assert await stage.tell(2, PV, Layer.DISPATCH, -5.0, 60.0) == ACCEPTED
        stage.link.own(lambda _: True)
        await stage.ear.until(lambda: stage.ear.last(BATTERY, Quantity.CONNECTED) == 1.0)
        assert await stage.tell(3, BATTERY, Layer.DISPATCH, 6.0, 60.0) == ACCEPTED
        assert stage.world.applied[-1][:3] == (BATTERY, Layer.DISPATCH, 6.0)
