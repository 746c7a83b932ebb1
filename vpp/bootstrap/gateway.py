"""Process of ``vpp gateway``: the device links of a shard of the fleet behind the bus."""

import asyncio
import gc
import os
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from adapters.ocpp.central_system.server import OcppLink
from vpp.bootstrap.clocks import guard_of, running_clock
from vpp.bootstrap.links import links_of
from vpp.bootstrap.runner import run
from vpp.bus.gateway.gateway import Gateway
from vpp.bus.transport.fleet_bus import FleetBus, Strangers, checked, first_fleet
from vpp.bus.transport.nats import NatsBus
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError, UnknownIdError
from vpp.ports import Bus, Clock, DeviceLink
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.runtime.clock_guard import ClockGuard
from vpp.runtime.observability import configure_logging

_log = structlog.get_logger(__name__)
_GC_THRESHOLD = 50_000
_FLEET_FILE = "fleet-id"


def run_gateway(settings: Settings) -> None:
    """Run a gateway until Ctrl-C or SIGTERM.

    Raises:
        ConfigurationError: No bus between processes is set, or there is no answer on it.
    """
    if not settings.has_bus:
        raise ConfigurationError("VPP_BUS_URL: a gateway meets its service on a bus; give nats://HOST:PORT")
    configure_logging(json=settings.log_json, level=settings.log_level)
    run(_gateway(settings))


async def _gateway(settings: Settings) -> None:
    async with running_clock(settings) as clock:
        guard = guard_of(clock)
        guarding = asyncio.create_task(_guarded(guard), name="clock")
        try:
            await _serve(settings, clock)
        finally:
            guarding.cancel()


async def _guarded(guard: ClockGuard | None) -> None:
    if guard is not None:
        await guard.run()


async def _serve(settings: Settings, clock: Clock) -> None:
    name = settings.gateway or own_name()
    links = links_of(settings, clock, shared_port=True)
    bus = await NatsBus.at(settings.bus_url, name=f"vpp gateway {name}")
    strangers: Strangers | None = None
    try:
        fleet = await fleet_of(settings, bus)
        strangers = Strangers(bus, fleet)
        await strangers.start()
        gateway = Gateway(
            name=name,
            incarnation=int(SYSTEM_CLOCK.now_s() * 1000.0),
            bus=FleetBus(bus, fleet),
            links=links,
            clock=clock,
            flush_wall_s=settings.gateway_flush_wall_s,
            lost_wall_s=settings.gateway_lost_wall_s,
            remember_default=remembering(links),
            fleet_taken=spare_the_collector,
        )
        _log.info("gateway runs", gateway=name, fleet=fleet, ocpp=settings.ocpp, mqtt=settings.mqtt_url is not None)
        await gateway.run()
    finally:
        if strangers is not None:
            await strangers.close()
        await bus.close()


async def fleet_of(settings: Settings, bus: Bus) -> str:
    """Return the fleet of this gateway: by the settings, as kept in the data folder, or by the first service met.

    Raises:
        ConfigurationError: Services of several fleets are on the bus, and no setting names one of them.
    """
    kept = settings.data_dir / _FLEET_FILE
    if settings.fleet_id is not None:
        return settings.fleet_id
    if kept.is_file():
        fleet = kept.read_text(encoding="ascii").strip()
        _log.info("gateway belongs to a fleet", fleet=fleet, kept_in=str(kept))
        return checked(fleet)
    _log.info("gateway waits for a service to say whose it is", setting="VPP_FLEET_ID")
    fleet = await first_fleet(bus)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    whole = kept.with_name(f"{_FLEET_FILE}.{os.getpid()}")
    whole.write_text(f"{fleet}\n", encoding="ascii")
    whole.replace(kept)
    _log.info("gateway has met its fleet", fleet=fleet, kept_in=str(kept))
    return fleet


def spare_the_collector() -> None:
    """Freeze the fleet's records in the garbage collector: they stay until the process ends.

    A full collection over 200,000 resources (246,000 objects) takes 99 ms of the thread that serves stations, and
    nothing measurable once they are frozen. Young objects are counted in tens of thousands instead of hundreds:
    decoding a burst of messages makes no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 50)


def own_name() -> str:
    """Return a name unique to this process: host and process id."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '-', socket.gethostname())[:48]}-{os.getpid()}"


def remembering(links: Sequence[DeviceLink]) -> Callable[[int, float], None]:
    """Return a function that gives the stations' link default values in force; other links read them from devices."""
    stations = [link for link in links if isinstance(link, OcppLink)]

    def remember(row: int, power_kw: float) -> None:
        for link in stations:
            with suppress(UnknownIdError):  # a row of another protocol
                link.remember_default(row, power_kw)

    return remember
