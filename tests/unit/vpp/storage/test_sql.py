"""The database: schema, counters, registry."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from vpp.domain.errors import ConfigurationError, ConflictError, InputError, StopError
from vpp.domain.fleet import FleetIndex
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.site import Area, Operator, Site, Transformer
from vpp.storage.registry import SqlRegistry
from vpp.storage.sequences import Sequences
from vpp.storage.sql import counters, metadata, migration_config, open_database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'made' / 'on demand' / 'vpp.sqlite3'}"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


def fleet(*resources: Resource) -> FleetIndex:
    return FleetIndex(
        areas=(Area(id="a", name="浦东"),),
        operators=(Operator(id="o", name="O"),),
        transformers=(
            Transformer(id="t", area_id="a", limit_kw=float("inf"), export_limit_kw=1.0, parent_id="u"),
            Transformer(id="u", area_id="a", limit_kw=5.0, export_limit_kw=1.0),
        ),
        sites=(Site(id="s", name="S", area_id="a", operator_id="o", transformer_id="t"),),
        resources=resources,
    )


def charger(identity: str) -> Resource:
    return Resource(
        id=identity,
        site_id="s",
        resource_class=ResourceClass.EV,
        adapter=Adapter.OCPP,
        address=f"{identity}/1",
        p_min_kw=0.0,
        p_max_kw=0.1 + 0.2,
    )


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
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_sqlite_survives_the_loss_of_power(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def _break_halfway(connection: sa.Connection) -> None:
    connection.execute(sa.update(counters).values(value=99))
    connection.exec_driver_sql("SELECT nonsense")


def test_a_transaction_that_fails_leaves_nothing(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.OperationalError), engine.begin() as connection:
        _break_halfway(connection)
    assert Sequences(engine).next_epoch() == 1


def test_a_database_in_memory_keeps_what_it_was_told() -> None:
    engine = open_database("sqlite://")
    assert [Sequences(engine).next_epoch() for _ in range(2)] == [1, 2]
    engine.dispose()


@pytest.mark.parametrize("url", ["nonsense", "oracle9://x/y", "sqlite+nothing:///x"])
def test_a_database_url_that_makes_no_sense_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_database(url)


def test_epochs_and_command_ids_rise_over_restarts(url: str) -> None:
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        engine = open_database(url)
        leases = Sequences(engine)
        seen.append((leases.next_epoch(), leases.reserve_ids(100)))
        engine.dispose()
    assert seen == [(1, 1), (2, 101), (3, 201)]


def test_command_ids_end_below_two_to_the_thirty_first(engine: sa.Engine) -> None:
    leases = Sequences(engine)
    assert leases.reserve_ids(2**31 - 2) == 1
    assert leases.reserve_ids(1) == 2**31 - 1
    with pytest.raises(StopError):
        leases.reserve_ids(1)


@pytest.mark.parametrize("count", [0, -1])
def test_a_block_of_no_ids_is_refused(engine: sa.Engine, count: int) -> None:
    with pytest.raises(InputError):
        Sequences(engine).reserve_ids(count)


def test_the_registry_gives_back_every_bit_in_the_order_of_arrival(url: str) -> None:
    engine = open_database(url)
    registry = SqlRegistry(engine)
    small = fleet(charger("b"), replace(charger("a"), ramp_kw_per_min=1.5, default_kw=4.0, sustain_minutes=30.0))
    large = small.extended(areas=[Area(id="z", name="Z")], resources=[charger("c")])
    registry.add(FleetIndex.empty(), small)
    registry.add(small, large)
    registry.add(large, large)
    engine.dispose()

    engine = open_database(url)
    loaded = SqlRegistry(engine).load()
    assert repr(loaded) == repr(large), "by repr, since NaN is not equal to itself"
    engine.dispose()


def test_an_empty_registry_is_an_empty_fleet(engine: sa.Engine) -> None:
    assert SqlRegistry(engine).load() == FleetIndex.empty()


def test_the_registry_only_ever_grows(engine: sa.Engine) -> None:
    registry = SqlRegistry(engine)
    one, other = fleet(charger("a")), fleet(charger("b"))
    registry.add(FleetIndex.empty(), one)
    for before, after in ((FleetIndex.empty(), one), (one, other), (one, fleet())):
        with pytest.raises(ConflictError):
            registry.add(before, after)
    assert registry.load().row_of == {"a": 0}
