"""``vpp fleet``: a physical model behind simulators of every protocol, in one process or several."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import structlog

from adapters.modbus.simulated.devices import ModbusDevices
from adapters.mqtt.simulated.broker import local_broker
from adapters.mqtt.simulated.sites import MqttSites
from adapters.ocpp.simulated.stations import OcppStations
from vpp.bootstrap.clocks import running_clock
from vpp.bootstrap.runner import run
from vpp.config import Settings
from vpp.domain.errors import InputError
from vpp.domain.request import Direction
from vpp.domain.timegrid import floor_s
from vpp.domain.units import SECONDS_PER_DAY, STEP_S
from vpp.fleet.index import FleetIndex
from vpp.lab.compose.file_limits import lift_limits, most_files
from vpp.lab.compose.fleet_parts import ConnectionCount, Registered, Report, run_parts
from vpp.lab.compose.fleet_process import FleetSide, Registration, write_atomically
from vpp.lab.compose.input_files import InputFiles
from vpp.lab.twin.delivery_truth import judge
from vpp.lab.twin.environment.world_file import KIND_WORLD
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.population.parts import parts_needed, parts_of
from vpp.lab.twin.population.presets import FleetSize, demo_fleet
from vpp.lab.twin.population.registration import fleet_to_json
from vpp.lab.twin.population.sessions import BuiltinSessions
from vpp.lab.twin.revenue_meters import history_grid
from vpp.lab.twin.truth import Truth, TruthRecorder, final_defaults_kw
from vpp.ports import Clock, DeviceSimulator
from vpp.runtime.observability import configure_logging

_log = structlog.get_logger(__name__)
_PREROLL_STEP_S = 60.0
_REPORT_WALL_S = 3.0
_STATIONS_PER_SOURCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """Options of ``vpp fleet``; see its ``--help``.

    Attributes:
        size: Numbers of devices.
        inputs: Sessions and weather in place of the built-in ones.
        processes: Number of processes; as few as possible if ``None``.
    """

    size: FleetSize
    inputs: InputFiles
    seed: int
    history_days: int
    modbus_port: int
    drop_ratio: float
    truth: Path | None
    processes: int | None = None


def run_fleet(settings: Settings, options: FleetOptions) -> None:
    """Simulate a fleet until Ctrl-C or SIGTERM.

    Raises:
        InputError: The fleet does not fit into so many processes, or the ground truth is asked of several.
        ConfigurationError: The service does not answer or refuses the fleet, or one of several processes has ended.
    """
    configure_logging(json=settings.log_json, level=settings.log_level)
    lift_limits()
    index = _index(settings, options)
    count = _processes(options, index)

    async def introduce() -> None:
        async with _registration(settings) as registration:
            await registration.wait_until_alive()
            await registration.connect(fleet_to_json(index))

    if count == 1:
        count_log = ConnectionCount()
        run(_fleet(settings, options, index, part=0, registered=introduce, report=partial(_log_count, count_log)))
        return
    parts = parts_of(index, count)

    async def serve(part: int, registered: Registered, report: Report) -> None:
        await _fleet(settings, options, parts[part], part=part, registered=registered, report=report)

    run_parts(count, serve, introduce)


def broker(directory: Path) -> AbstractAsyncContextManager[str]:
    """Return an MQTT broker as a context; entering yields its URL."""
    return local_broker(directory=directory)


def judge_truth(path: Path, *, start_at: datetime, end_at: datetime, target_kw: float) -> dict[str, float]:
    """Return the true delivery of a cut of net load from what ``vpp fleet --truth`` wrote."""
    return judge(
        Truth.load(path),
        start_s=start_at.timestamp(),
        end_s=end_at.timestamp(),
        target_kw=target_kw,
        direction=Direction.UP,
    )


def commands_file(truth: Path) -> Path:
    """Return the file in which ``vpp fleet --truth`` counts accepted command ids: ``{"ocpp": {id: count}, "mqtt": …}``.

    Modbus has no room for an id.
    """
    return truth.with_suffix(".commands.json")


def _index(settings: Settings, options: FleetOptions) -> FleetIndex:
    size = options.size
    return demo_fleet(
        stations=size.stations,
        inverters=size.inverters,
        batteries=size.batteries,
        v2g=size.v2g,
        sites=size.sites if settings.mqtt_url else 0,
        plant_kw=size.plant_kw,
        modbus_port=options.modbus_port,
    )


def _processes(options: FleetOptions, index: FleetIndex) -> int:
    needed = parts_needed(index, most_files())
    count = options.processes or needed
    if count < needed:
        raise InputError("--processes", str(count), f"at least {needed} for {len(index):,} devices here")
    if count > 1 and options.truth is not None:
        raise InputError("--truth", str(options.truth), f"a fleet of one process; this one is of {count}")
    return count


def _registration(settings: Settings) -> Registration:
    return Registration(f"http://{settings.http}", settings.api_token)


def _log_count(count: ConnectionCount, connected: int, stations: int) -> None:
    count.update(0, connected, stations)
    count.log(asyncio.get_running_loop().time())


async def _fleet(
    settings: Settings, options: FleetOptions, index: FleetIndex, *, part: int, registered: Registered, report: Report
) -> None:
    """Simulate a fleet or one part of it until cancelled, from when ``registered`` returns."""
    async with running_clock(settings) as clock:
        await _simulate(settings, options, index, clock, part=part, registered=registered, report=report)


async def _simulate(
    settings: Settings,
    options: FleetOptions,
    index: FleetIndex,
    clock: Clock,
    *,
    part: int,
    registered: Registered,
    report: Report,
) -> None:
    twin = _twin(options, index, clock)
    history = history_grid(days=options.history_days, until_s=clock.now_s())
    await registered()
    if history.count:
        async with _registration(settings) as registration:
            await registration.import_history(history, [r.id for r in index.resources], twin.read(history))
    recorder = TruthRecorder(twin, installed_kw=final_defaults_kw(index))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _drop_some, twin, options)
    simulators = _simulators(settings, twin, clock, part)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(FleetSide(recorder, simulators, clock).run())
            group.create_task(_report_connections(simulators, report))
    finally:
        if options.truth:
            recorder.write(options.truth)
            write_atomically(commands_file(options.truth), json.dumps(_accepted_ids(simulators)))


def _twin(options: FleetOptions, index: FleetIndex, clock: Clock) -> Twin:
    start_s = floor_s(clock.now_s(), STEP_S) - options.history_days * SECONDS_PER_DAY
    sessions = options.inputs.read_sessions(options.seed)
    if sessions is not None and sessions.skipped:
        _log.warning("sessions left out", rows=sessions.skipped.total(), first=sessions.problems[0])
    twin = Twin(
        index,
        seed=options.seed,
        start_s=start_s,
        sessions=sessions or BuiltinSessions(options.seed),
        weather=options.inputs.read_weather(),
        world=KIND_WORLD,  # sockets and processes are what such a run is about
    )
    twin.advance(clock.now_s(), step_s=_PREROLL_STEP_S)
    return twin


async def _report_connections(simulators: Sequence[DeviceSimulator], report: Report) -> None:
    stations = [simulator for simulator in simulators if isinstance(simulator, OcppStations)]
    while True:
        report(sum(one.connected for one in stations), sum(len(one) for one in stations))
        await asyncio.sleep(_REPORT_WALL_S)


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
    """Return addresses to connect from: several on the loopback for a large fleet, as each has ports for 28,000 only.

    Where 127.0.0.0/8 is not available as a whole (macOS), and for another machine, the system chooses.
    """
    if host != "127.0.0.1" or sys.platform != "linux" or (count <= _STATIONS_PER_SOURCE and not part):
        return []
    return [f"127.0.{part}.{10 + turn}" for turn in range(-(-count // _STATIONS_PER_SOURCE))]


def _accepted_ids(simulators: Sequence[DeviceSimulator]) -> dict[str, dict[int, int]]:
    """Return by protocol how often each command was accepted, without the profiles links install themselves."""
    accepted: dict[str, dict[int, int]] = {}
    for simulator in simulators:
        match simulator:
            case OcppStations():
                accepted["ocpp"] = dict(simulator.profiles_taken)
            case MqttSites():
                accepted["mqtt"] = dict(simulator.commands_received)
    return accepted


def _drop_some(twin: Twin, options: FleetOptions) -> None:
    """Cut off a share of the devices for good, always the same ones for one seed."""
    count = len(twin.index)
    rows = np.random.default_rng(options.seed).choice(count, size=round(options.drop_ratio * count), replace=False)
    twin.drop(rows.astype(np.int32))
    _log.warning("devices killed", count=len(rows))
