"""Lease of leadership in SQL, and the fence that keeps a deposed leader from writing.

The lease is one row. Whoever takes it raises the epoch in the same transaction; whoever holds it shows that it lives by
raising ``renewals``. Every transaction of a fenced engine reads the epoch as its last statement before the commit:
where the row has another one the transaction is rolled back. The row is locked by then, so that a transaction of an old
leader is committed before the lease changes hands, or never.
"""

import math
from collections.abc import Callable
from contextlib import closing

import sqlalchemy as sa
from sqlalchemy import event

from vpp.domain.errors import DeposedError
from vpp.runtime.clock import MachineTime
from vpp.runtime.lease import LeaseRecord
from vpp.storage.sql import WRITES, counters, leadership, storing

_WHAT = "the lease of leadership"
_MACHINE = MachineTime()
_BEGAN, _LONG_S = "vpp_began_s", 0.5
"""Length of a transaction that renews the lease."""


class SqlLeaseTable:
    """The row of the lease; implements ``vpp.runtime.lease.LeaseTable``.

    Args:
        engine: The database, not fenced, with time-outs shorter than the lease (`vpp.storage.sql.lease_engine`).
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**{WRITES: True})

    def look(self) -> LeaseRecord:
        """Return the lease as it stands."""
        with storing(_WHAT), self._engine.connect() as connection:
            row = connection.execute(sa.select(leadership)).one()
        return LeaseRecord(
            holder=row.holder,
            epoch=int(row.epoch),
            until_s=float(row.until_s),
            address=row.address,
            renewals=int(row.renewals),
            visits=int(row.visits),
        )

    def visit(self) -> None:
        """Let the holder know that a standby watches."""
        with storing(_WHAT), self._writing.begin() as connection:
            connection.execute(sa.update(leadership).values(visits=leadership.c.visits + 1))

    def take(self, seen: LeaseRecord, holder: str, *, address: str, until_s: float) -> int | None:
        """Take the lease as it was ``seen``; return an epoch above every earlier one, ``None`` where it has changed."""
        as_seen = (
            (leadership.c.holder == seen.holder)
            & (leadership.c.epoch == seen.epoch)
            & (leadership.c.renewals == seen.renewals)
        )
        taking = sa.update(leadership).where(as_seen).values(holder=holder, address=address, until_s=until_s)
        raising = (
            sa.update(counters)
            .where(counters.c.name == "leader_epoch")
            .values(value=counters.c.value + 1)
            .returning(counters.c.value)
        )
        with storing(_WHAT), self._writing.begin() as connection:
            if connection.execute(taking).rowcount != 1:
                return None
            epoch = int(connection.execute(raising).scalar_one())
            connection.execute(sa.update(leadership).values(epoch=epoch, renewals=leadership.c.renewals + 1))
        return epoch

    def renew(self, holder: str, epoch: int, *, until_s: float) -> int | None:
        """Renew the lease and return the visits so far, ``None`` where another process has taken it."""
        renewing = (
            sa.update(leadership)
            .where((leadership.c.holder == holder) & (leadership.c.epoch == epoch))
            .values(renewals=leadership.c.renewals + 1, until_s=until_s)
            .returning(leadership.c.visits)
        )
        with storing(_WHAT), self._writing.begin() as connection:
            visits = connection.execute(renewing).scalar()
        return None if visits is None else int(visits)

    def give_back(self, holder: str, epoch: int) -> None:
        """Free the lease, unless another process has taken it."""
        mine = (leadership.c.holder == holder) & (leadership.c.epoch == epoch)
        with storing(_WHAT), self._writing.begin() as connection:
            connection.execute(sa.update(leadership).where(mine).values(holder="", until_s=0.0))


def has_lease(engine: sa.Engine) -> bool:
    """Return whether the database has a table of the lease: one of an earlier version, or a new one, has none."""
    with storing(_WHAT), closing(engine.connect()) as connection:
        return sa.inspect(connection).has_table(leadership.name)


def fence(engine: sa.Engine, epoch: int, *, steady_s: Callable[[], float] = _MACHINE.steady_s) -> None:
    """Let no transaction of ``engine`` be committed any more once the lease has another epoch.

    Such a transaction raises DeposedError at its end and leaves nothing behind. One that was long under way renews the
    lease, which could not be renewed meanwhile where writers wait for each other.

    Args:
        engine: The database of the leader.
        epoch: Under which it leads.
        steady_s: Returns steady seconds.
    """
    # SQLite has one writer at a time, which this transaction is by now.
    reading = sa.select(leadership.c.epoch).with_for_update(read=True)
    living = sa.update(leadership).where(leadership.c.epoch == epoch).values(renewals=leadership.c.renewals + 1)

    def begin(connection: sa.Connection) -> None:
        connection.info[_BEGAN] = steady_s()

    def prove(connection: sa.Connection) -> None:
        if connection.execute(reading).scalar() != epoch:
            raise DeposedError(f"another service leads this fleet; this one led under epoch {epoch} and writes no more")
        if steady_s() - connection.info.get(_BEGAN, -math.inf) > _LONG_S:
            connection.execute(living)

    event.listen(engine, "begin", begin)
    event.listen(engine, "commit", prove)
