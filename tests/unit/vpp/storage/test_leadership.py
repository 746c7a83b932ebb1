"""The lease of leadership in the database, and the fence behind which a deposed leader writes nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from tests.unit.vpp.storage.parts import batch
from vpp.domain.errors import AuditError, DeposedError
from vpp.domain.site import Area
from vpp.fleet.index import FleetIndex
from vpp.runtime.lease import LeaseRecord
from vpp.storage.interval_store import IntervalStore
from vpp.storage.journal import SqlJournal
from vpp.storage.leadership import SqlLeaseTable, fence, has_lease
from vpp.storage.registry import SqlRegistry
from vpp.storage.samples import SqlTelemetryLog
from vpp.storage.sequences import Sequences
from vpp.storage.sql import lease_engine, metadata, open_database

BEGIN_S = 1_784_091_600.0


@pytest.fixture
def table(engine: sa.Engine) -> SqlLeaseTable:
    return SqlLeaseTable(engine)


def taken(table: SqlLeaseTable, holder: str) -> int:
    epoch = table.take(table.look(), holder, address="a:1", until_s=5.0)
    assert epoch is not None
    return epoch


def test_a_new_lease_is_free(table: SqlLeaseTable) -> None:
    record = table.look()
    assert record.free
    assert record.epoch == 0


def test_whoever_takes_it_shows_and_has_the_next_epoch(engine: sa.Engine, table: SqlLeaseTable) -> None:
    before = Sequences(engine).next_epoch()
    epoch = taken(table, "one")
    record = table.look()
    assert epoch == before + 1
    assert (record.holder, record.epoch, record.address, record.until_s) == ("one", epoch, "a:1", 5.0)


def test_of_two_that_saw_the_same_only_one_takes_it(table: SqlLeaseTable) -> None:
    seen = table.look()
    assert table.take(seen, "one", address="", until_s=0.0) == 1
    assert table.take(seen, "two", address="", until_s=0.0) is None
    assert Sequences(table._engine).next_epoch() == 2, "no epoch is lost to the second"


def test_a_lease_renewed_since_it_was_seen_is_not_taken(table: SqlLeaseTable) -> None:
    epoch = taken(table, "one")
    seen = table.look()
    assert table.renew("one", epoch, until_s=9.0) == 0
    assert table.take(seen, "two", address="", until_s=0.0) is None


def test_visits_are_seen_at_the_next_renewal_and_change_nothing_else(table: SqlLeaseTable) -> None:
    epoch = taken(table, "one")
    before = table.look()
    table.visit()
    assert table.renew("one", epoch, until_s=5.0) == 1
    after = table.look()
    assert (after.holder, after.epoch) == (before.holder, before.epoch)


def test_a_lease_given_back_is_free_under_its_epoch(table: SqlLeaseTable) -> None:
    epoch = taken(table, "one")
    table.give_back("one", epoch)
    assert table.look().free
    assert table.look().epoch == epoch
    assert table.renew("one", epoch, until_s=5.0) is None


def test_a_deposed_holder_neither_renews_nor_gives_back(table: SqlLeaseTable) -> None:
    first = taken(table, "one")
    second = taken(table, "two")
    table.give_back("one", first)
    assert table.renew("one", first, until_s=5.0) is None
    assert table.look().holder == "two"
    assert second > first


def test_only_a_database_of_before_leases_has_none(tmp_path: Any) -> None:  # noqa: ANN401 - a path
    url = f"sqlite:///{tmp_path}/vpp.sqlite3"
    engine = lease_engine(url, patience_wall_s=1.0)
    assert not has_lease(engine)
    open_database(url).dispose()
    assert has_lease(engine)
    engine.dispose()


def _append(engine: sa.Engine) -> Callable[[], object]:
    journal = SqlJournal(engine)
    journal.append("test", 1.0, {})
    return journal.flush_now


def _sample(engine: sa.Engine) -> Callable[[], object]:
    log = SqlTelemetryLog(engine)
    return lambda: (log.append(1, BEGIN_S, batch(3)), asyncio.run(log.flush()))


def _meter(engine: sa.Engine) -> Callable[[], object]:
    store = IntervalStore(engine)
    return lambda: store.write(BEGIN_S, np.ones(2), np.ones(2))


def _register(engine: sa.Engine) -> Callable[[], object]:
    grown = FleetIndex(areas=(Area(id="a", name="A"),), operators=(), transformers=(), sites=(), resources=())
    return lambda: SqlRegistry(engine).add(FleetIndex.empty(), grown)


def _reserve(engine: sa.Engine) -> Callable[[], object]:
    return lambda: Sequences(engine).reserve_ids(5)


WRITERS = [_append, _sample, _meter, _register, _reserve]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_fenced_engine_writes_while_it_leads(
    engine: sa.Engine, table: SqlLeaseTable, writer: Callable[[sa.Engine], Callable[[], object]]
) -> None:
    fence(engine, taken(table, "one"))
    before = _content(engine)
    writer(engine)()
    assert _content(engine) != before


def test_a_long_write_shows_that_its_writer_lives(url: str, engine: sa.Engine) -> None:
    other = open_database(url)
    table, now_s = SqlLeaseTable(other), iter([0.0, 0.1, 5.0, 9.0])
    fence(engine, taken(table, "one"), steady_s=lambda: next(now_s))
    before = table.look().renewals
    Sequences(engine).reserve_ids(1)
    assert table.look().renewals == before
    Sequences(engine).reserve_ids(1)
    assert table.look().renewals == before + 1
    other.dispose()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_fenced_engine_writes_nothing_once_another_service_leads(
    url: str, engine: sa.Engine, writer: Callable[[sa.Engine], Callable[[], object]]
) -> None:
    other = open_database(url)
    table = SqlLeaseTable(other)
    fence(engine, taken(table, "one"))
    write = writer(engine)
    taken(table, "two")
    before = _content(other)
    with pytest.raises(DeposedError, match="epoch 1"):
        write()
    assert _content(other) == before
    other.dispose()


def test_nothing_of_an_old_leader_follows_the_first_entry_of_the_new_one(url: str, engine: sa.Engine) -> None:
    table = SqlLeaseTable(engine)
    old, new = open_database(url), open_database(url)
    fence(old, taken(table, "old"))
    late = SqlJournal(old)
    late.append("old", 1.0, {})
    late.flush_now()
    late.append("old", 2.0, {})
    fence(new, taken(table, "new"))
    first = SqlJournal(new)
    with pytest.raises(DeposedError):
        late.flush_now()
    first.append("new", 3.0, {})
    first.flush_now()
    with pytest.raises((DeposedError, AuditError)):
        late.flush_now()
    assert [entry.kind for entry in SqlJournal(engine).entries()] == ["old", "new"]
    old.dispose()
    new.dispose()


def test_a_record_is_free_only_without_holder() -> None:
    record = LeaseRecord(holder="x", epoch=1, until_s=0.0, address="", renewals=0, visits=0)
    assert not record.free


def _content(engine: sa.Engine) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, by its name."""
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }
