"""Durable storage of one service, behind one database, and the archive of its samples."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from vpp.config import Settings
from vpp.ports import Clock
from vpp.storage.checkpoints import SqlCheckpoints
from vpp.storage.interval_store import IntervalStore
from vpp.storage.journal import SqlJournal
from vpp.storage.registry import SqlRegistry
from vpp.storage.samples import SqlTelemetryLog
from vpp.storage.segments.archive import RecordArchive
from vpp.storage.sequences import Sequences
from vpp.storage.sql import open_database
from vpp.storage.telemetry.archive import ArchiveRules, TelemetryArchive
from vpp.storage.telemetry.store import TelemetryStore

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Everything durable, behind one database."""

    database: sa.Engine
    journal: SqlJournal
    archive: RecordArchive
    samples: SqlTelemetryLog
    meters: IntervalStore
    registry: SqlRegistry
    leases: Sequences
    checkpoints: SqlCheckpoints

    @classmethod
    def open(cls, url: str, *, spool_mb: int = 256, archive: Path | None = None, migrate: bool = True) -> "Store":
        """Open the database, bringing its schema up to date unless that is for others.

        Args:
            url: SQLAlchemy URL.
            spool_mb: Samples that may wait in memory, MiB.
            archive: Folder of the journal's archive; ``None`` for the one beside an SQLite file.
            migrate: Migrate an older schema; one is refused otherwise.
        """
        database = open_database(url, migrate=migrate)
        journal = SqlJournal(database, archive)
        return cls(
            database=database,
            journal=journal,
            archive=RecordArchive(database, journal),
            samples=SqlTelemetryLog(database, most_bytes=spool_mb * MEBIBYTE),
            meters=IntervalStore(database),
            registry=SqlRegistry(database),
            leases=Sequences(database),
            checkpoints=SqlCheckpoints(database),
        )

    def close(self) -> None:
        """Write what is pending.

        Raises:
            StorageError: The database takes nothing; what is pending is lost.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self.database.dispose)
            stack.callback(self.journal.close)
            stack.callback(self.samples.close)
            self.meters.flush_now()
            self.journal.flush_now()


def archive_of(settings: Settings, database: sa.Engine, clock: Clock) -> TelemetryArchive | None:
    """Return the archive that moves samples into the telemetry store, ``None`` where the settings want none."""
    place = settings.telemetry_place
    if place is None:
        return None
    rules = ArchiveRules(keep_days=settings.telemetry_days, keep_frames_days=settings.frame_days)
    return TelemetryArchive(database, TelemetryStore(place), now_s=clock.now_s, rules=rules)
