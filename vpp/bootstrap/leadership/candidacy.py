"""Candidacy for the lease of leadership: what a process that does not lead does in its database, a step at a time."""

import secrets
import socket
from os import getpid

import sqlalchemy as sa
import structlog

from vpp.bootstrap.leadership.http_address import HttpAddress
from vpp.config import Settings
from vpp.domain.errors import StorageError
from vpp.runtime.clock import MachineTime
from vpp.runtime.lease import LeaseRecord
from vpp.runtime.lease_keeper import LeaseKeeper
from vpp.runtime.lease_rules import Tenure, Watch
from vpp.storage.leadership import SqlLeaseTable, has_lease
from vpp.storage.sql import lease_engine, open_database, schema_of

_log = structlog.get_logger(__name__)
_PATIENCE_RATIO = 1.0 / 3.0
"""Longest wait for a lock of the database, as a share of the time to live."""
_FIRST_TTLS = 5.0
"""Times to live for which a standby leaves a lease that nobody has held since it began to others."""


class Candidacy:
    """Looks at the lease and takes it once it has ended; every call blocks.

    Args:
        settings: Of this process.
        address: Where it serves HTTP once it leads.
        machine: Where wall and steady time come from.

    Attributes:
        record: The lease as it was last seen, ``None`` before.
    """

    def __init__(self, settings: Settings, address: HttpAddress, machine: MachineTime) -> None:
        self.record: LeaseRecord | None = None
        self._settings, self._address, self._machine = settings, address, machine
        self._ttl_s = settings.leader_ttl_wall_s
        self._engine = lease_engine(settings.database_url, patience_wall_s=_PATIENCE_RATIO * self._ttl_s)
        self._table = SqlLeaseTable(self._engine)
        self._watch = Watch(self._ttl_s)
        self._began_s = machine.steady_s()
        self._visit_s = float("-inf")
        self._waits = settings.standby

    @property
    def engine(self) -> sa.Engine:
        """The database, for reading."""
        return self._engine

    def begin(self) -> None:
        """Make sure that there is a lease to look at; a new database, or one of before leases, is migrated.

        Raises:
            ConfigurationError: A later version has migrated the database, or another process has our address and is
                not the leader of this database.
        """
        schema_of(self._engine)
        if not has_lease(self._engine):
            self._address.take()
            open_database(self._settings.database_url).dispose()
        elif not self._address.try_to_take():
            self.look()
            if self.record is None or self.record.free or self.record.address != self._address.address:
                self._address.take()  # tells why not

    def look(self) -> bool:
        """Read the lease; return whether it has ended, so that this process may lead.

        Raises:
            StorageError: The database cannot be read now.
        """
        record = self._table.look()
        now_s = self._machine.steady_s()
        self.record = record
        self._watch.saw(record, now_s)
        if not self._watch.ended(now_s):
            self._waits = False
            return False
        return not self._waits or not record.free or now_s - self._began_s >= _FIRST_TTLS * self._ttl_s

    def visit(self) -> None:
        """Let the leader know, once in a time to live, that a standby watches."""
        now_s = self._machine.steady_s()
        if now_s - self._visit_s < self._ttl_s:
            return
        try:
            self._table.visit()
        except StorageError as error:
            _log.warning("standby not noted", why=str(error))
        else:
            self._visit_s = now_s

    def take(self) -> LeaseKeeper | None:
        """Take the lease as it was last seen; return its keeper, ``None`` where another process was quicker.

        Raises:
            ConfigurationError: A later version has migrated the database.
            StorageError: The database takes nothing now.
        """
        schema_of(self._engine)
        if self.record is None or not self._address.try_to_take():
            return None
        holder = f"{socket.gethostname()}-{getpid()}-{secrets.token_hex(4)}"
        began_s, until_s = self._machine.steady_s(), self._machine.wall_s() + self._ttl_s
        epoch = self._table.take(self.record, holder, address=self._address.address, until_s=until_s)
        if epoch is None:
            return None
        _log.info("lease of leadership taken", epoch=epoch, before=self.record.holder or None)
        return LeaseKeeper(
            self._table,
            holder=holder,
            epoch=epoch,
            tenure=Tenure(self._ttl_s, taken_s=began_s, visits=self.record.visits),
            ttl_s=self._ttl_s,
            machine=self._machine,
        )

    def close(self) -> None:
        """Leave the database."""
        self._engine.dispose()
