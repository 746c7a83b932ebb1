"""Keeper of the lease of leadership: renews it in a thread of its own, however busy the event loop is."""

import threading
from collections.abc import Callable

import structlog

from vpp.domain.errors import StorageError
from vpp.runtime.clock import MachineTime
from vpp.runtime.lease import LeaseTable
from vpp.runtime.lease_rules import Tenure

_log = structlog.get_logger(__name__)
_RENEWALS = 3.0
"""Renewals in a time to live."""
_AGAIN_RATIO = 0.25
"""Share of the usual wait after which a failed renewal is tried again."""


class LeaseKeeper:
    """Renews a lease until it is closed or lost.

    Args:
        table: Where the lease stands.
        holder: This process.
        epoch: Under which it leads.
        tenure: Rules of the holder.
        ttl_s: Time to live of the lease, wall seconds.
        machine: Where wall and steady time come from.

    Attributes:
        epoch: As given.
    """

    def __init__(
        self, table: LeaseTable, *, holder: str, epoch: int, tenure: Tenure, ttl_s: float, machine: MachineTime
    ) -> None:
        self.epoch = epoch
        self._table, self._holder, self._tenure = table, holder, tenure
        self._ttl_s, self._machine = ttl_s, machine
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._lost: Callable[[], object] = lambda: None

    def start(self, lost: Callable[[], object]) -> None:
        """Begin to renew; ``lost`` is called in the keeper's thread once another process has the lease."""
        self._lost = lost
        self._thread.start()

    @property
    def deposed(self) -> bool:
        """Another process has the lease."""
        return self._tenure.deposed

    def holds(self) -> bool:
        """Return whether this process may act as the leader now; from any thread, at once."""
        return self._tenure.holds(self._machine.steady_s())

    def renew(self) -> bool:
        """Renew once; return whether the database answered."""
        began_s = self._machine.steady_s()
        self._tenure.tries()
        try:
            visits = self._table.renew(self._holder, self.epoch, until_s=self._machine.wall_s() + self._ttl_s)
        except StorageError as error:
            self._tenure.tried(self._machine.steady_s())
            _log.warning("lease of leadership not renewed", why=str(error), holds=self.holds())
            return False
        if visits is None:
            self._tenure.lose()
            _log.error("another service leads; this one steps down", epoch=self.epoch)
        else:
            self._tenure.renewed(began_s, visits, ended_s=self._machine.steady_s())
        return True

    def is_lost(self) -> bool:
        """Ask the database whether another process has the lease; blocks."""
        return self.deposed or (self.renew() and self.deposed)

    def close(self) -> None:
        """Stop renewing and give the lease back, unless it is lost; blocks."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        if not self.deposed:
            try:
                self._table.give_back(self._holder, self.epoch)
            except StorageError as error:
                _log.warning("lease of leadership not given back; it ends by itself", why=str(error))

    def _run(self) -> None:
        wait_s = period_s = self._ttl_s / _RENEWALS
        while not self._stopped.wait(wait_s):
            wait_s = period_s if self.renew() else _AGAIN_RATIO * period_s
            if self.deposed:
                self._lost()
                return
