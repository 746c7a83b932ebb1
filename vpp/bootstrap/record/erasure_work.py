"""Work of an erasure on one database: under the lease of leadership, in an order that a crash cannot spoil."""

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import getpid
from time import sleep

import numpy as np
import sqlalchemy as sa
from rich.console import Console

from vpp.application.recovery.names_in_state import state_without_names
from vpp.application.registry.unrecorded_changes import record_unrecorded
from vpp.bootstrap.clocks import instant_of
from vpp.bootstrap.record.anchor import anchor_of
from vpp.bootstrap.record.audit import progress_bar
from vpp.bootstrap.record.erasure_scope import Span, session_spans, settled_rows
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError
from vpp.domain.units import SECONDS_PER_DAY
from vpp.record.erasure.erased_samples import SAMPLES_ERASED, ErasedSamples
from vpp.record.erasure.redaction import ErasedNames
from vpp.runtime.clock import MachineTime
from vpp.runtime.lease import LeaseRecord
from vpp.runtime.lease_keeper import LeaseKeeper
from vpp.runtime.lease_rules import Tenure, Watch
from vpp.storage.erasing.checkpoints import CheckpointRedaction
from vpp.storage.erasing.entries import EntryRedaction
from vpp.storage.erasing.frames import erase_frames, erase_intervals
from vpp.storage.journal import SqlJournal
from vpp.storage.leadership import SqlLeaseTable, fence
from vpp.storage.registry import SqlRegistry
from vpp.storage.segments.manifest import KnownSegments
from vpp.storage.sql import lease_engine, open_database, storing
from vpp.storage.subjects import erase, first_sealed, overwrite_free_pages
from vpp.storage.telemetry.store import TelemetryStore

_LOOKS = 12.0
"""Looks at the lease of leadership in its time to live."""
_PATIENCE_RATIO = 1.0 / 3.0


class ErasureWork:
    """One erasure on an open database.

    Args:
        settings: Of the service.
        engine: The database.
        chain: Its journal.
        names: Names that are erased.

    Attributes:
        engine: As given.
        chain: As given.
        end_s: Epoch seconds after which nothing was recorded.
    """

    def __init__(self, settings: Settings, engine: sa.Engine, chain: SqlJournal, names: ErasedNames) -> None:
        self.engine, self.chain = engine, chain
        self._settings, self._at_s = settings, instant_of(settings)
        last = next(chain.entries(after=chain.sequence - 1), None)
        self.end_s = max(self._at_s, 0.0 if last is None else last.at_s) + SECONDS_PER_DAY
        self._entries = EntryRedaction(engine, chain, names)
        self._checkpoints = CheckpointRedaction(engine, chain, lambda tree: state_without_names(tree, names.token))

    def find_names(self) -> int:
        """Return how many entries and checkpoints of an earlier version hold such a name; reads all of them, if any."""
        if first_sealed(self.engine) <= 1:
            return 0
        with progress_bar(self.engine, "reading") as progress:
            return self._entries.find(progress) + self._checkpoints.find()

    def session_spans(self, is_theirs: Callable[[str], bool]) -> list[Span]:
        """Return the rows and times of some charging sessions; reads the journal."""
        with progress_bar(self.engine, "looking for sessions") as progress:
            return session_spans(self.chain, is_theirs, self.end_s, progress)

    def carry_out(
        self,
        tokens: Sequence[str],
        samples: ErasedSamples,
        *,
        clear: int,
        also: Callable[[sa.Connection], object] = lambda _: None,
    ) -> None:
        """Erase; what a crash leaves undone the same erasure completes.

        Args:
            tokens: Of the names beside the journal.
            samples: Samples.
            clear: What ``find_names`` has returned.
            also: Called within the transaction in which the names go.

        Raises:
            ConfigurationError: Entries have to be redacted, and the record does not verify.
            StorageError: The database takes nothing now.
        """
        if clear:
            self._state_redaction()
        if samples.windows:
            with Console(stderr=True).status("erasing samples"):
                self._erase_samples(samples)
        with storing("the erasure"), self.engine.begin() as connection:
            also(connection)
            self._entries.carry_out(connection)
            self._checkpoints.carry_out(connection)
            erase(connection, tokens)
        self._entries.tidy()
        overwrite_free_pages(self.engine)

    def _state_redaction(self) -> None:
        """Have the chain and a signed head vouch for what the entries will be."""
        SqlRegistry(self.engine).fleet_id(self._settings.fleet_id)
        anchor = anchor_of(self._settings, self.engine)
        with progress_bar(self.engine, "verifying") as progress:
            found = anchor.verify(progress)
        if not found.holds:
            raise ConfigurationError(
                f"the record does not verify, and no name is taken out of it: {found.reason}; see vpp audit verify"
            )
        known = KnownSegments()
        known.verified(found.manifest)
        self._entries.state(self._at_s, known)
        self._checkpoints.state(self._at_s)
        anchor.export(self.chain.head(), self._at_s)

    def _erase_samples(self, samples: ErasedSamples) -> None:
        self.chain.append(SAMPLES_ERASED, self._at_s, samples.body())
        self.chain.flush_now()
        erase_frames(self.engine, samples)
        rows = settled_rows(self.chain, frozenset(samples.rows))
        kept = {start_s: np.array(sorted(some), dtype=np.int32) for start_s, some in rows.items()}
        erase_intervals(self.engine, samples, kept)
        place = self._settings.telemetry_place
        if place is None:
            return
        with contextlib.closing(TelemetryStore(place)) as store:
            store.assign(SqlRegistry(self.engine).load().area_code)
            store.erase(samples, at_s=self._at_s)


@contextmanager
def erasing(settings: Settings, names: ErasedNames, *, dry_run: bool) -> Iterator[ErasureWork]:
    """Yield the work on the settings' database, under the lease of leadership unless nothing is changed.

    Raises:
        ConfigurationError: A service leads on the database.
        AuditError: The end of the journal is damaged.
    """
    engine = open_database(settings.database_url)
    leases = lease_engine(settings.database_url, patience_wall_s=_PATIENCE_RATIO * settings.leader_ttl_wall_s)
    with contextlib.ExitStack() as closing:
        closing.callback(engine.dispose)
        closing.callback(leases.dispose)
        if not dry_run:
            keeper = _lead(SqlLeaseTable(leases), settings.leader_ttl_wall_s)
            closing.callback(keeper.close)
            fence(engine, keeper.epoch)
        chain = SqlJournal(engine, settings.archive_place)
        closing.callback(chain.close)
        if not dry_run:
            _complete(chain, engine, instant_of(settings))
        yield ErasureWork(settings, engine, chain, names)


def _complete(chain: SqlJournal, engine: sa.Engine, at_s: float) -> None:
    """Do what a start does after a crash, so that nothing is appended to a torn entry, and no later start brings names.

    Raises:
        AuditError: More is unreadable than one write can have torn.
    """
    chain.set_torn_aside(at_s)
    chain.flush_now()
    record_unrecorded(chain, SqlRegistry(engine))


def _lead(table: SqlLeaseTable, ttl_s: float) -> LeaseKeeper:
    """Take the lease where nobody holds it, so that no service begins meanwhile; blocks."""
    machine = MachineTime()
    seen = _free(table, ttl_s, machine)
    holder = f"{socket.gethostname()}-{getpid()}-{secrets.token_hex(4)}"
    began_s = machine.steady_s()
    epoch = table.take(seen, holder, address="", until_s=machine.wall_s() + ttl_s)
    if epoch is None:
        raise ConfigurationError("a service has begun to lead on this database; stop it, erase, and start again")
    tenure = Tenure(ttl_s, taken_s=began_s, visits=seen.visits)
    return LeaseKeeper(table, holder=holder, epoch=epoch, tenure=tenure, ttl_s=ttl_s, machine=machine)


def _free(table: SqlLeaseTable, ttl_s: float, machine: MachineTime) -> LeaseRecord:
    """Return the lease once nobody has shown for a time to live that it holds it."""
    watch = Watch(ttl_s)
    first = record = table.look()
    while (record.holder, record.epoch, record.renewals) == (first.holder, first.epoch, first.renewals):
        watch.saw(record, machine.steady_s())
        if watch.ended(machine.steady_s()):
            return record
        sleep(ttl_s / _LOOKS)
        record = table.look()
    if record.free:
        return record
    raise ConfigurationError(
        f"{record.holder} leads on this database and holds the names in memory; stop it, erase, and start again"
    )
