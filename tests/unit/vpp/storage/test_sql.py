"""The database: schema, migrations, transactions."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from tests.postgresql import PostgresServer
from vpp.domain.errors import ConfigurationError
from vpp.storage.sequences import Sequences
from vpp.storage.sql import counters, lease_engine, metadata, migration_config, open_database


def test_the_migrations_make_the_schema_the_code_expects(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        command.check(migration_config(connection))


def test_every_migration_can_be_taken_back(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(migration_config(connection), "head")
        assert set(metadata.tables) < set(sa.inspect(connection).get_table_names())


def test_the_schema_compiles_for_postgresql() -> None:
    assert {"journal", "counters"} <= set(metadata.tables)
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sqlite_survives_the_loss_of_power(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def _break_halfway(connection: sa.Connection) -> None:
    connection.execute(sa.update(counters).values(value=99))
    connection.exec_driver_sql("SELECT nonsense")


def test_a_transaction_that_fails_leaves_nothing(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
        _break_halfway(connection)
    assert Sequences(engine).next_epoch() == 1


def test_a_database_in_memory_keeps_what_it_was_told() -> None:
    engine = open_database("sqlite://")
    assert [Sequences(engine).next_epoch() for _ in range(2)] == [1, 2]
    engine.dispose()


@pytest.mark.parametrize("opened", [open_database, lambda url: lease_engine(url, patience_wall_s=1.0)])
@pytest.mark.parametrize("url", ["nonsense", "oracle9://x/y", "sqlite+nothing:///x", "postgresql+absent://x/y"])
def test_a_database_url_that_makes_no_sense_is_a_configuration_error(url: str, opened: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationError):
        opened(url)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_does_not_keep_every_character_is_refused(server: PostgresServer, encoding: str) -> None:
    with pytest.raises(ConfigurationError, match=f"encoding {encoding}.*-E UTF8"):
        open_database(server.new_url(encoding=encoding))
