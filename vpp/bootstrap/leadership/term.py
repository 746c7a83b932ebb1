"""Term of a leader: a service from the moment it may lead until it ends, fails or is deposed."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from fastapi import FastAPI

from optimizer.heap import give_back_freed_memory
from vpp.api.grid_link import HttpGridLink
from vpp.bootstrap.grid_links import http_application
from vpp.bootstrap.leadership.following import Followed
from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.bootstrap.links import service_links
from vpp.bootstrap.record.anchor import anchor_of
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store, archive_of
from vpp.config import Settings
from vpp.dispatch.warmup import warm_up
from vpp.domain.errors import DeposedError
from vpp.ports import Clock, DeviceLink, GridSink
from vpp.runtime.lease_keeper import LeaseKeeper
from vpp.storage.leadership import fence
from vpp.storage.telemetry.archive import TelemetryArchive


class Term:
    """Runs the service of a leader.

    Args:
        settings: Of this process.
        clock: The only source of time.
        address: Where HTTP is served.
        lease: Held by this process; ``None`` where nobody else can open the database.
        followed: Returns what this process has read while it stood by; blocks.
        begun: Called as soon as the service answers HTTP.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        address: HttpAddress,
        *,
        lease: LeaseKeeper | None = None,
        followed: Callable[[], Followed] = Followed,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings, self._clock, self._address = settings, clock, address
        self._lease, self._followed, self._begun = lease, followed, begun

    async def run(self) -> None:
        """Lead until cancelled, until the service ends or fails, or until another process leads.

        Raises:
            DeposedError: Another process leads.
        """
        lost = asyncio.Event()
        if self._lease is not None:
            self._lease.start(partial(asyncio.get_running_loop().call_soon_threadsafe, lost.set))
        try:
            async with service_links(self._settings, self._clock) as links:
                await self._serve(links, lost)
        except Exception as error:
            # Whoever is deposed may find a sequence number taken before the lease.
            if self._lease is not None and await asyncio.to_thread(self._lease.is_lost):
                raise DeposedError(f"another service leads: {error}") from error
            raise
        finally:
            if self._lease is not None:
                await asyncio.to_thread(self._lease.close)

    async def _serve(self, links: Sequence[DeviceLink], lost: asyncio.Event) -> None:
        settings = self._settings
        async with contextlib.AsyncExitStack() as closing:
            # A schema is only ever migrated by whoever holds the lease.
            store = await asyncio.to_thread(
                Store.open, settings.database_url, spool_mb=settings.spool_mb, archive=settings.archive_place
            )
            closing.callback(store.close)
            if self._lease is not None:
                fence(store.database, self._lease.epoch)
            service = await asyncio.to_thread(self._led, store, links)
            # Full collections over a city's members would stop every loop for a second each; unfrozen at the end of
            # the term, so that a leader that was deposed does not keep them.
            gc.freeze()
            closing.callback(gc.unfreeze)
            archive = archive_of(settings, store.database, self._clock)
            if archive is not None:
                archive.start(areas=lambda: service.plant.fleet().index.area_code, may_write=self._holds)
                closing.push_async_callback(asyncio.to_thread, archive.close)
            closing.push_async_callback(service.close)
            http = HttpGridLink(self._address.shared(), lambda sink: self._application(service, sink, archive))
            await _until_lost(service.run([http]), lost)

    def _led(self, store: Store, links: Sequence[DeviceLink]) -> Service:
        """Return the service, restored to the journal's end; blocks.

        The fast loop's kernels are compiled or loaded first: compiled at the first ramp they would stop every loop.
        """
        warm_up()
        anchor = anchor_of(self._settings, store.database)
        followed = self._followed()
        service = Service(self._settings, store, self._clock, links, anchor=anchor, index=followed.index)
        epoch = None if self._lease is None else self._lease.epoch
        service.lead(epoch, holds=self._holds, ahead=followed.state)
        del followed
        give_back_freed_memory()  # a restart reads once what is as large as the fleet
        return service

    def _holds(self) -> bool:
        return self._lease is None or self._lease.holds()

    def _application(self, service: Service, sink: GridSink, archive: TelemetryArchive | None) -> FastAPI:
        self._begun()
        return http_application(service, sink, None if archive is None else archive.store)


async def _until_lost(running: Coroutine[object, object, None], lost: asyncio.Event) -> None:
    """Run a service; raises DeposedError as soon as its lease is lost."""
    serving, losing = asyncio.ensure_future(running), asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait((serving, losing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        losing.cancel()
        if not serving.done():
            serving.cancel()
            await asyncio.wait((serving,))
    if lost.is_set():
        raise DeposedError("another service has taken the lease of leadership")
    await serving
