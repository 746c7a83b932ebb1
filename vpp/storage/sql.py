"""SQL schema and engines: one set of dialect-neutral tables, SQLite unless the URL names another database.

One service writes the tables; readers (audit, replay) may open them at any time. SQLite runs in WAL
mode with ``synchronous=FULL``, so a committed decision survives the loss of power.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from enum import Enum
from functools import cache, partial
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

from vpp.domain.errors import ConfigurationError, StorageError

metadata = sa.MetaData()
_MIGRATIONS = str(Path(__file__).parent / "migrations").replace("%", "%%")
_IN_MEMORY = (None, "", ":memory:")
_LOCK_PATIENCE_WALL_S = 10.0
WRITES = "vpp_writes"
"""Execution option of an engine whose transactions read before they write."""

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(80), nullable=False, index=True),
    sa.Column("at_s", sa.Double, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("packed", sa.LargeBinary),
    sa.Column("sha256", sa.String(64), nullable=False),
)

archived_segments = sa.Table(
    "archived_segments",
    metadata,
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("before_sha256", sa.String(64), nullable=False),
    sa.Column("last_sha256", sa.String(64), nullable=False),
    sa.Column("from_s", sa.Double, nullable=False),
    sa.Column("until_s", sa.Double, nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
)

torn_entries = sa.Table(
    "torn_entries",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("set_aside_s", sa.Double, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(80), nullable=False),
    sa.Column("at_s", sa.Double, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("packed", sa.LargeBinary),
    sa.Column("sha256", sa.String(64), nullable=False),
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.String(255), nullable=False),
)

registry = sa.Table(
    "registry",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(255), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("kind", "id", name="uq_registry_kind_id"),
)

registry_history = sa.Table(
    "registry_history",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("until_s", sa.Double, nullable=False),
    sa.Column("actor", sa.String(255), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

former_devices = sa.Table(
    "former_devices",
    metadata,
    sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)

registry_unrecorded = sa.Table(
    "registry_unrecorded",
    metadata,
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_s", sa.Double, nullable=False),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
"""Entries of the change that was stored last, until they are in the journal."""

interval_frames = sa.Table(
    "interval_frames",
    metadata,
    sa.Column("start_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("n_rows", sa.Integer, nullable=False),
    sa.Column("mean_kw", sa.LargeBinary, nullable=False),
    sa.Column("completeness", sa.LargeBinary, nullable=False),
)

telemetry_frames = sa.Table(
    "telemetry_frames",
    metadata,
    sa.Column("frame", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("cycle", sa.BigInteger, nullable=False),
    sa.Column("at_s", sa.Double, nullable=False, index=True),
    sa.Column("samples", sa.LargeBinary, nullable=False),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at_s", sa.Double, nullable=False),
    sa.Column("version", sa.String(80), nullable=False),
    sa.Column("chain_sha256", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

leadership = sa.Table(
    "leadership",
    metadata,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("holder", sa.String(255), nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("until_s", sa.Double, nullable=False),
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("renewals", sa.BigInteger, nullable=False),
    sa.Column("visits", sa.BigInteger, nullable=False),
)
"""The lease of leadership, one row: see `vpp.storage.leadership`."""


subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("token", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False, index=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)
"""Names behind the tokens of the journal, each of the entry it was first written with: see `vpp.storage.subjects`."""


def open_database(url: str, *, migrate: bool = True) -> sa.Engine:
    """Open a database and bring its schema to the newest revision.

    Args:
        url: SQLAlchemy URL, e.g. ``sqlite:///var/vpp.sqlite`` or ``postgresql+psycopg://user@host/vpp``.
        migrate: Migrate an older schema, which is for whoever leads; nothing is written otherwise.

    Raises:
        ConfigurationError: The URL does not parse, or its driver is not installed; or the schema is not this version's
            and must not be, or cannot be, migrated; or a server's database takes not every character.
        StorageError: The database cannot be read now.
    """
    engine = _engine(_parsed(url))
    _check_encoding(engine)
    if schema_of(engine) is not Schema.CURRENT:
        if not migrate:
            raise ConfigurationError(
                "the database has an older schema, which is migrated by the service that leads next; a standby of this"
                " version waits for that"
            )
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            command.upgrade(migration_config(connection), "head")
    return engine


def _check_encoding(engine: sa.Engine) -> None:
    """Refuse a server's database in which a name may have no place."""
    if engine.dialect.name != "postgresql":
        return
    with storing("the database"), closing(engine.connect()) as connection:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        engine.dispose()
        raise ConfigurationError(
            f"the database has encoding {encoding}, which does not keep every name; make one in UTF-8, e.g. by createdb"
            " -E UTF8 -T template0"
        )


class Schema(Enum):
    """Schema of a database against the newest revision this version knows."""

    NONE = "none"
    OLDER = "older"
    CURRENT = "current"


def schema_of(engine: sa.Engine) -> Schema:
    """Return how the schema of a database compares; writes nothing.

    Raises:
        ConfigurationError: A later version has migrated the database.
        StorageError: The database cannot be read now.
    """
    with storing("the schema"), closing(engine.connect()) as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return Schema.NONE
    newest = _revisions()[0]
    if revision == newest:
        return Schema.CURRENT
    if revision not in _revisions():
        raise ConfigurationError(
            f"the database has schema {revision}, which this version does not know: a later version has migrated it;"
            f" run that version, or restore the backup of before its upgrade (this one knows up to {newest})"
        )
    return Schema.OLDER


@cache
def _revisions() -> tuple[str, ...]:
    """Return the revisions this version knows, the newest first."""
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    return tuple(known.revision for known in ScriptDirectory.from_config(config).walk_revisions())


def lease_engine(url: str, *, patience_wall_s: float) -> sa.Engine:
    """Return an engine for the lease of leadership: no call of it waits longer than ``patience_wall_s`` for a lock.

    Raises:
        ConfigurationError: The URL does not parse, or its driver is not installed.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "postgresql":
        return _engine(parsed, patience_wall_s=patience_wall_s)
    patience_ms = round(1000.0 * patience_wall_s)
    limits = f"-c statement_timeout={patience_ms} -c lock_timeout={patience_ms}"
    given = {"connect_timeout": max(round(patience_wall_s), 1), "tcp_user_timeout": patience_ms, "options": limits}
    return _engine(parsed, connect_args=given)


def belongs_to_one_process(url: str) -> bool:
    """Return whether no other process can open this database: it lives in memory."""
    parsed = _parsed(url)
    return parsed.get_backend_name() == "sqlite" and parsed.database in _IN_MEMORY


def migration_config(connection: sa.Connection) -> Config:
    """Return Alembic's configuration for an open connection; no ini file is involved."""
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    config.attributes["connection"] = connection
    return config


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn the errors of a database that is locked, full or away into ours.

    A violated constraint is no such state and passes unchanged.

    Raises:
        StorageError: The database is locked, full or away; the text names ``what`` and the reason.
    """
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise StorageError(f"{what} cannot be written or read: {_reason(error)}") from error


def is_away(engine: sa.Engine, error: Exception) -> bool:
    """Return whether an error says that a database's server is away, which says nothing of what is stored."""
    return engine.dialect.name != "sqlite" and isinstance(error, sa.exc.OperationalError)


def _reason(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(f"database URL {url!r} does not parse; give e.g. sqlite:///vpp.sqlite") from error


def _engine(
    url: URL, *, patience_wall_s: float = _LOCK_PATIENCE_WALL_S, connect_args: Mapping[str, object] | None = None
) -> sa.Engine:
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url, patience_wall_s=patience_wall_s)
        # Text comes as text, whatever the server and the environment have as their encoding.
        encoding = {"client_encoding": "utf8"} if url.get_driver_name() == "psycopg" else {}
        return sa.create_engine(url, pool_pre_ping=True, connect_args={**encoding, **(connect_args or {})})
    except (sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"no driver for database URL {url.render_as_string()}: {error}") from error


def _sqlite_engine(url: URL, *, patience_wall_s: float) -> sa.Engine:
    if url.database in _IN_MEMORY:
        # A database in memory belongs to one connection, which the threads share by turns.
        engine = sa.create_engine(
            url, poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False}
        )
    else:
        Path(str(url.database)).expanduser().parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url)
    event.listen(engine, "connect", partial(_prepare_sqlite, patience_wall_s=patience_wall_s))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object, *, patience_wall_s: float) -> None:
    # Python's own transaction handling leaves DDL outside transactions, so SQLAlchemy begins them.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={round(1000.0 * patience_wall_s)}")
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads before it writes must claim the write lock first: SQLite refuses at once, whatever the
    # time-out, to turn a reader whose snapshot is old into a writer.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
