"""Standby: a process that reads, answers probes, and leads once the leader's lease has ended."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version

import structlog

from vpp.api.grid_link import HttpServer
from vpp.api.standby import create_standby_app
from vpp.bootstrap.leadership.candidacy import Candidacy
from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.config import Settings
from vpp.domain.errors import StorageError
from vpp.runtime.lease_keeper import LeaseKeeper
from vpp.runtime.standby_metrics import StandbyMetrics

_log = structlog.get_logger(__name__)
_LOOKS = 12.0
"""Looks at the lease in its time to live."""


class Standby:
    """Waits for the lease of leadership; answers HTTP for as long as another process leads.

    Args:
        settings: Of this process.
        candidacy: Looks at the lease and takes it.
        address: Where HTTP is served; not while the leader has the same address.
        rehearse: Prepares this process to lead; blocks, called once in a thread.
    """

    def __init__(
        self, settings: Settings, candidacy: Candidacy, address: HttpAddress, *, rehearse: Callable[[], None]
    ) -> None:
        self._settings, self._candidacy, self._address = settings, candidacy, address
        self._rehearse = rehearse
        self._rehearsal: asyncio.Task[None] | None = None
        self._reached = True
        self._server: HttpServer | None = None
        self._told = ""

    @property
    def leader(self) -> str:
        """Address of the leader, HOST:PORT; empty where nobody leads."""
        record = self._candidacy.record
        return "" if record is None or record.free else record.address

    def ready(self) -> dict[str, bool]:
        """Return named checks of what a takeover needs."""
        rehearsed = self._rehearsal is not None and self._rehearsal.done()
        return {"storage": self._reached, "leader": bool(self.leader), "rehearsed": rehearsed}

    async def wait(self) -> LeaseKeeper:
        """Return the keeper of the lease once this process holds it."""
        while True:
            keeper = await asyncio.to_thread(self._step)
            if keeper is not None:
                return keeper
            self._tell()
            if self._server is None and self._address.taken:
                self._server = self._serve()
            if self._rehearsal is None:
                self._rehearsal = asyncio.create_task(asyncio.to_thread(self._rehearse), name="rehearsal")
            await asyncio.sleep(self._settings.leader_ttl_wall_s / _LOOKS)

    def leave(self) -> None:
        """Take no more callers: the service does from now on."""
        if self._server is not None:
            self._server.leave()

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            await self._server.close()

    def _step(self) -> LeaseKeeper | None:
        """Look at the lease and take it if it has ended; blocks."""
        try:
            if self._candidacy.look():
                keeper = self._candidacy.take()
                self._reached = True
                return keeper
        except StorageError as error:
            if self._reached:
                _log.warning("lease of leadership cannot be read or taken", why=str(error))
            self._reached = False
            return None
        self._reached = True
        self._candidacy.visit()
        return None

    def _tell(self) -> None:
        """Log who leads whenever that has changed."""
        if self.leader != self._told:
            self._told = self.leader
            _log.info("standing by", leader=self.leader or None, http=self._settings.http)

    def _serve(self) -> HttpServer:
        metrics = StandbyMetrics(version("vpp"), lag_entries=lambda: 0.0, lag_s=lambda: 0.0)
        application = create_standby_app(
            self, metrics=metrics.registry, version=version("vpp"), token=self._settings.api_token
        )
        return HttpServer(self._address.shared(), application, name="standby")
