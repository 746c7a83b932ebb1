"""Standby: a process that reads, answers probes, and leads once the leader's lease has ended."""

import asyncio
from collections.abc import Callable, Sequence
from importlib.metadata import version

import structlog

from vpp.api.grid_link import HttpServer
from vpp.api.standby import create_standby_app
from vpp.bootstrap.leadership.candidacy import Candidacy
from vpp.bootstrap.leadership.following import Following
from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.config import Settings
from vpp.domain.errors import StorageError
from vpp.domain.request import DispatchRequest
from vpp.runtime.lease_keeper import LeaseKeeper
from vpp.runtime.standby_metrics import StandbyMetrics

_log = structlog.get_logger(__name__)
_FOLLOW_WALL_S = 0.5
_LOOKS = 12.0
"""Looks at the lease in its time to live."""


class Standby:
    """Waits for the lease of leadership; answers HTTP for as long as another process leads.

    Args:
        settings: Of this process.
        candidacy: Looks at the lease and takes it.
        address: Where HTTP is served; not while the leader has the same address.
        following: Follows the journal.
        rehearse: Prepares this process to lead; blocks, called once in a thread.
    """

    def __init__(
        self,
        settings: Settings,
        candidacy: Candidacy,
        address: HttpAddress,
        *,
        following: Following,
        rehearse: Callable[[], None],
    ) -> None:
        self._settings, self._candidacy, self._address = settings, candidacy, address
        self._following, self._rehearse = following, rehearse
        self._work: asyncio.Task[None] | None = None
        self._rehearsed = False
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
        return {
            "storage": self._reached,
            "leader": bool(self.leader),
            "rehearsed": self._rehearsed,
            "journal": self._following.lag_s < self._settings.leader_ttl_wall_s,
        }

    def requests(self) -> Sequence[DispatchRequest] | None:
        """Return every request as the journal told it last, newest first; ``None`` before it was read."""
        return self._following.requests

    def check_kept(self, request_id: str) -> None:
        """Raise ForgottenError for a request that was forgotten."""
        self._following.check_kept(request_id)

    async def wait(self) -> LeaseKeeper:
        """Return the keeper of the lease once this process holds it."""
        while True:
            keeper = await asyncio.to_thread(self._step)
            if keeper is not None:
                await self._stop_preparing()
                return keeper
            self._tell()
            if self._server is None and self._address.taken:
                self._server = self._serve()
            if self._work is None:
                self._work = asyncio.create_task(self._prepare(), name="following")
            await asyncio.sleep(self._settings.leader_ttl_wall_s / _LOOKS)

    def leave(self) -> None:
        """Take no more callers: the service does from now on."""
        if self._server is not None:
            self._server.leave()

    async def close(self) -> None:
        """Answer and follow no more."""
        await self._stop_preparing()
        await asyncio.to_thread(self._following.close)
        if self._server is not None:
            await self._server.close()

    async def _prepare(self) -> None:
        """Be ready to lead: follow the journal, and do once what a takeover does for the first time."""
        while True:
            await asyncio.to_thread(self._following.catch_up)
            if not self._rehearsed:
                await asyncio.to_thread(self._rehearse)
                self._rehearsed = True
            await asyncio.sleep(_FOLLOW_WALL_S)

    async def _stop_preparing(self) -> None:
        """End the work of this standby; a thread of it that still runs ends by itself."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait((self._work,))

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
        metrics = StandbyMetrics(
            version("vpp"), lag_entries=lambda: self._following.lag_entries, lag_s=lambda: self._following.lag_s
        )
        application = create_standby_app(
            self, metrics=metrics.registry, version=version("vpp"), token=self._settings.api_token
        )
        return HttpServer(self._address.shared(), application, name="standby")
