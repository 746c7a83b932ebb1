"""Process of ``vpp serve``: address, clock, device links, storage, service and grid links, in this order."""

import asyncio
import socket
from collections.abc import Sequence

from optimizer.heap import keep_freed_memory
from vpp.api.grid_link import HttpGridLink
from vpp.bootstrap.clocks import running_clock
from vpp.bootstrap.grid_links import http_application, listener_at
from vpp.bootstrap.links import service_links
from vpp.bootstrap.runner import run
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store, archive_of
from vpp.config import Settings
from vpp.ports import Clock, DeviceLink
from vpp.runtime.observability import configure_logging


def run_service(settings: Settings) -> None:
    """Run the service until Ctrl-C or SIGTERM."""
    configure_logging(json=settings.log_json, level=settings.log_level)
    keep_freed_memory()
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    # First of all: a second service on the same address must not touch the journal.
    with listener_at(settings.http) as listener:
        async with running_clock(settings) as clock, service_links(settings, clock) as links:
            await _serve_at(listener, settings, clock, links)


async def _serve_at(listener: socket.socket, settings: Settings, clock: Clock, links: Sequence[DeviceLink]) -> None:
    store = Store.open(settings.database_url, spool_mb=settings.spool_mb, archive=settings.archive_place)
    service = Service(settings, store, clock, links)
    archive = archive_of(settings, store.database, clock)
    history = None if archive is None else archive.store
    if archive is not None:
        archive.start(areas=lambda: service.plant.fleet().index.area_code)
    http = HttpGridLink(listener, lambda sink: http_application(service, sink, history))
    try:
        await service.run([http])
    finally:
        await service.close()
        if archive is not None:
            await asyncio.to_thread(archive.close)
        store.close()
