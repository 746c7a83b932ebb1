"""The device side composed: a physical model behind simulators of every protocol."""

import asyncio
import csv
import json
import signal
import sys
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog

from adapters.modbus.simulated.devices import ModbusDevices
from adapters.mqtt.simulated.broker import local_broker
from adapters.mqtt.simulated.sites import MqttSites
from adapters.ocpp.central_system.known_stations import place_of
from adapters.ocpp.control.scripts import reserved_profile_id
from adapters.ocpp.simulated.stations import OcppStations
from vpp.bootstrap.clocks import running_clock
from vpp.bootstrap.runner import run
from vpp.config import Settings
from vpp.domain.errors import InputError
from vpp.domain.fleet import FleetIndex
from vpp.domain.request import Direction
from vpp.domain.resource import STORING, Adapter
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, floor_s, instant
from vpp.domain.units import SECONDS_PER_DAY, STEP_S
from vpp.lab.compose.file_limits import lift_limits, most_files
from vpp.lab.compose.fleet_parts import Began, Roll, Tell, run_parts
from vpp.lab.compose.fleet_process import FleetSide, Registration, write_atomically
from vpp.lab.twin.delivery_truth import judge
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.parts import parts_needed, parts_of
from vpp.lab.twin.population.presets import PLANT_KW, demo_fleet
from vpp.lab.twin.population.registration import fleet_to_json
from vpp.lab.twin.population.session_file import FileSessions
from vpp.lab.twin.population.sessions import BuiltinSessions
from vpp.lab.twin.truth import Truth, TruthRecorder
from vpp.ports import Clock, DeviceSimulator
from vpp.runtime.observability import configure_logging

_log = structlog.get_logger(__name__)
_PREROLL_STEP_S = 60.0
_ROLL_WALL_S = 3.0
_STATIONS_PER_SOURCE = 10_000
Content = TypeVar("Content")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What ``vpp fleet`` simulates; see its ``--help``.

    Attributes:
        plant_kw: What the smallest plant may be cut by.
        processes: Over how many processes; as few as will do if ``None``.
    """

    stations: int
    inverters: int
    batteries: int
    v2g: int
    sites: int
    sessions: Path | None
    weather: Path | None
    seed: int
    history_days: int
    modbus_port: int
    drop_ratio: float
    truth: Path | None
    plant_kw: float = PLANT_KW
    processes: int | None = None


def run_fleet(settings: Settings, plan: FleetPlan) -> None:
    """Simulate a fleet until Ctrl-C or SIGTERM.

    Raises:
        InputError: It does not fit into so many processes, or what really happened is asked of several.
        ConfigurationError: The service is not there or refuses the fleet, or a process of several has ended.
    """
    configure_logging(json=settings.log_json, level=settings.log_level)
    lift_limits()
    index = _index(settings, plan)
    count = _processes(plan, index)

    async def introduce() -> None:
        async with _registration(settings) as registration:
            await registration.wait_until_alive()
            await registration.connect(fleet_to_json(index))

    if count == 1:
        roll = Roll()
        run(_fleet(settings, plan, index, part=0, began=introduce, tell=partial(_say, roll)))
        return
    parts = parts_of(index, count)

    async def serve(part: int, began: Began, tell: Tell) -> None:
        await _fleet(settings, plan, parts[part], part=part, began=began, tell=tell)

    run_parts(count, serve, introduce)


def broker(directory: Path) -> AbstractAsyncContextManager[str]:
    """Return a real MQTT broker as a context; entering yields its URL."""
    return local_broker(directory=directory)


def judge_truth(path: Path, *, start_at: datetime, end_at: datetime, target_kw: float) -> dict[str, float]:
    """Return the verdict on a cut of net load from what ``vpp fleet --truth`` wrote."""
    return judge(
        Truth.load(path),
        start_s=start_at.timestamp(),
        end_s=end_at.timestamp(),
        target_kw=target_kw,
        direction=Direction.UP,
    )


def commands_file(truth: Path) -> Path:
    """Return where ``vpp fleet --truth`` says how often command ids were taken: ``{"ocpp": {id: count}, "mqtt": …}``.

    Modbus has no room for an id.
    """
    return truth.with_suffix(".commands.json")


def _index(settings: Settings, plan: FleetPlan) -> FleetIndex:
    return demo_fleet(
        stations=plan.stations,
        inverters=plan.inverters,
        batteries=plan.batteries,
        v2g=plan.v2g,
        sites=plan.sites if settings.mqtt_url else 0,
        plant_kw=plan.plant_kw,
        modbus_port=plan.modbus_port,
    )


def _processes(plan: FleetPlan, index: FleetIndex) -> int:
    needed = parts_needed(index, most_files())
    count = plan.processes or needed
    if count < needed:
        raise InputError("--processes", str(count), f"at least {needed} for {len(index):,} devices here")
    if count > 1 and plan.truth is not None:
        raise InputError("--truth", str(plan.truth), f"a fleet of one process; this one is of {count}")
    return count


def _registration(settings: Settings) -> Registration:
    return Registration(f"http://{settings.http}", settings.api_token)


def _say(roll: Roll, connected: int, stations: int) -> None:
    roll.take(0, connected, stations)
    roll.say(asyncio.get_running_loop().time())


async def _fleet(
    settings: Settings, plan: FleetPlan, index: FleetIndex, *, part: int, began: Began, tell: Tell
) -> None:
    """Simulate a fleet or one part of it until cancelled, from when ``began`` returns."""
    async with running_clock(settings) as clock:
        await _simulate(settings, plan, index, clock, part=part, began=began, tell=tell)


async def _simulate(
    settings: Settings, plan: FleetPlan, index: FleetIndex, clock: Clock, *, part: int, began: Began, tell: Tell
) -> None:
    twin = _twin(plan, index, clock)
    history = _history_grid(plan, clock)
    await began()
    if history.count:
        async with _registration(settings) as registration:
            await registration.import_history(history, [r.id for r in index.resources], twin.read(history))
    recorder = TruthRecorder(twin, installed_kw=_installed_kw(index))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _drop_some, twin, plan)
    simulators = _simulators(settings, twin, clock, part)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(FleetSide(recorder, simulators, clock).run())
            group.create_task(_call_the_roll(simulators, tell))
    finally:
        if plan.truth:
            recorder.write(plan.truth)
            write_atomically(commands_file(plan.truth), json.dumps(_taken(simulators, index)))


def _twin(plan: FleetPlan, index: FleetIndex, clock: Clock) -> Twin:
    start_s = floor_s(clock.now_s(), STEP_S) - plan.history_days * SECONDS_PER_DAY
    weather = _read("--weather", plan.weather, Weather.from_epw) or Weather.builtin()
    sessions = _read("--sessions", plan.sessions, lambda path: FileSessions(path, seed=plan.seed))
    if sessions is not None and sessions.skipped:
        _log.warning("sessions left out", rows=sessions.skipped.total(), first=sessions.problems[0])
    twin = Twin(
        index, seed=plan.seed, start_s=start_s, sessions=sessions or BuiltinSessions(plan.seed), weather=weather
    )
    twin.advance(clock.now_s(), step_s=_PREROLL_STEP_S)
    return twin


def _read(option: str, path: Path | None, reader: Callable[[Path], Content]) -> Content | None:
    """Return what ``reader`` makes of a file that a user named, ``None`` where none was named.

    Raises:
        InputError: The file is no text, or a broken archive.
    """
    if path is None:
        return None
    try:
        return reader(path)
    except (UnicodeError, csv.Error, EOFError, zlib.error) as error:
        raise InputError(option, str(path), f"a text file, as it is or gzipped ({error})") from error


def _history_grid(plan: FleetPlan, clock: Clock) -> TimeGrid:
    end_s = floor_s(clock.now_s(), STEP_S)
    start_s = end_s - plan.history_days * SECONDS_PER_DAY
    return TimeGrid(start_at=instant(start_s), count=int((end_s - start_s) // STEP_S))


async def _call_the_roll(simulators: Sequence[DeviceSimulator], tell: Tell) -> None:
    stations = [simulator for simulator in simulators if isinstance(simulator, OcppStations)]
    while True:
        tell(sum(one.connected for one in stations), sum(len(one) for one in stations))
        await asyncio.sleep(_ROLL_WALL_S)


def _simulators(settings: Settings, twin: Twin, clock: Clock, part: int) -> list[DeviceSimulator]:
    simulators: list[DeviceSimulator] = [
        OcppStations(
            url=f"ws://{settings.ocpp}/ocpp",
            world=twin,
            clock=clock,
            sample_interval_s=settings.sample_s,
            sources=_sources(settings.ocpp.rpartition(":")[0], len(twin.index), part),
        ),
        ModbusDevices(world=twin, clock=clock),
    ]
    if settings.mqtt_url:
        simulators.append(MqttSites(url=settings.mqtt_url, world=twin, clock=clock, report_s=settings.sample_s))
    return simulators


def _sources(host: str, count: int, part: int) -> list[str]:
    """Return addresses to connect from: on the loopback more than one for a crowd, as each has ports for 28,000 only.

    Where the whole of 127.0.0.0/8 is not ours (macOS), and towards another machine, it is the system's choice.
    """
    if host != "127.0.0.1" or sys.platform != "linux" or (count <= _STATIONS_PER_SOURCE and not part):
        return []
    return [f"127.0.{part}.{10 + turn}" for turn in range(-(-count // _STATIONS_PER_SOURCE))]


def _taken(simulators: Sequence[DeviceSimulator], index: FleetIndex) -> dict[str, dict[int, int]]:
    """Return by protocol how often each command id was taken, without what links install of their own accord."""
    own = {reserved_profile_id(place_of(r)[1]) for r in index.resources if r.adapter is Adapter.OCPP}
    taken: dict[str, dict[int, int]] = {}
    for simulator in simulators:
        match simulator:
            case OcppStations():
                taken["ocpp"] = {i: count for i, count in simulator.profiles_taken.items() if i not in own}
            case MqttSites():
                taken["mqtt"] = dict(simulator.commands_received)
    return taken


def _installed_kw(index: FleetIndex) -> FloatArray:
    """Return the defaults that must be back at the end; the plan may leave storage and V2G on any other."""
    return np.where(index.is_class(*STORING), np.nan, index.nameplate.default_kw)


def _drop_some(twin: Twin, plan: FleetPlan) -> None:
    """Kill a share of the devices for good, always the same ones for one seed."""
    count = len(twin.index)
    rows = np.random.default_rng(plan.seed).choice(count, size=round(plan.drop_ratio * count), replace=False)
    twin.drop(rows.astype(np.int32))
    _log.warning("devices killed", count=len(rows))
