"""A write that was cut short keeps no service from starting; damage in the middle does."""

from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa

from vpp.domain.errors import AuditError
from vpp.storage.journal import TORN, SqlJournal, verify
from vpp.storage.sql import journal, torn_entries

LONG = '{"number":5,"text":"' + "x" * 40
PACKED = 7
"""Entry whose body is packed."""
Change = Callable[[sa.Connection, int], None]


def filled(engine: sa.Engine, count: int = 5) -> SqlJournal:
    record = SqlJournal(engine)
    for number in range(1, count + 1):
        body = {"number": number, "text": "x" * 40} | ({"rows": np.arange(100)} if number == PACKED else {})
        record.append("decision", float(number), body)
    record.flush_now()
    record.close()
    return record


def to(**values: object) -> Change:
    """Return what writes other values into one entry."""

    def change(connection: sa.Connection, sequence: int) -> None:
        connection.execute(sa.update(journal).where(journal.c.sequence == sequence).values(**values))

    return change


def to_bytes(literal: str) -> Change:
    """Return what writes bytes that are no text into the body of one entry."""

    def change(connection: sa.Connection, sequence: int) -> None:
        connection.exec_driver_sql(f"UPDATE journal SET body = {literal} WHERE sequence = {sequence}")  # noqa: S608 - ours

    return change


UNREADABLE = [to(body=LONG), to(body=""), to(body="null"), to_bytes("CAST(x'7bff00' AS TEXT)"), to_bytes("x'00'")]
TEARS = [*UNREADABLE, to(sha256="0" * 12), to(body='{"number":5}'), to(at_s=0.0)]


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_last_entry_is_kept_apart_and_the_journal_goes_on(engine: sa.Engine, tear: Change) -> None:
    filled(engine)
    with engine.begin() as connection:
        tear(connection, 5)
    record = SqlJournal(engine)
    assert record.set_torn_aside(77.0) == 1
    record.append("later", 80.0, {})
    record.flush_now()

    assert [entry.sequence for entry in record.entries()] == [1, 2, 3, 4, 5, 6]
    assert [entry.kind for entry in record.entries()][4:] == [TORN, "later"]
    assert verify(engine).count == 6
    with engine.connect() as connection:
        kept = connection.execute(sa.select(torn_entries.c.sequence, torn_entries.c.set_aside_s)).all()
    assert kept == [(5, 77.0)]
    record.close()


def test_every_entry_of_a_torn_write_is_kept_apart(engine: sa.Engine) -> None:
    filled(engine)
    with engine.begin() as connection:
        for sequence in (4, 5):
            to(body=LONG)(connection, sequence)
    record = SqlJournal(engine)
    assert record.set_torn_aside(77.0) == 2
    record.flush_now()
    assert next(iter(record.entries([TORN]))).body["sequences"] == [4, 5]
    assert verify(engine).count == 4
    record.close()


def test_a_sound_journal_is_left_as_it_is(engine: sa.Engine) -> None:
    for _ in range(2):
        record = SqlJournal(engine)
        assert record.set_torn_aside(1.0) == 0
        record.close()
        filled(engine, 2)
    assert verify(engine).count == 4


@pytest.mark.parametrize("damage", UNREADABLE)
def test_damage_in_the_middle_is_refused_by_name(engine: sa.Engine, damage: Change) -> None:
    filled(engine)
    with engine.begin() as connection:
        damage(connection, 3)
    record = SqlJournal(engine)
    assert record.set_torn_aside(77.0) == 0
    with pytest.raises(AuditError, match=r"entry (3|between 1 and)"):
        list(record.entries())
    record.close()


def test_more_than_one_write_can_tear_is_damage(engine: sa.Engine) -> None:
    filled(engine, 600)
    with engine.begin() as connection:
        connection.execute(sa.update(journal).values(body="{"))
    record = SqlJournal(engine)
    with pytest.raises(AuditError, match="damage"):
        record.set_torn_aside(77.0)
    record.close()


def test_a_packed_entry_whose_last_bytes_are_missing_is_torn_too(engine: sa.Engine) -> None:
    filled(engine, PACKED)
    with engine.begin() as connection:
        packed = connection.execute(sa.select(journal.c.packed).where(journal.c.sequence == PACKED)).scalar_one()
        to(packed=packed[:-3])(connection, PACKED)
    record = SqlJournal(engine)
    assert record.set_torn_aside(77.0) == 1
    with engine.connect() as connection:
        assert connection.execute(sa.select(torn_entries.c.packed)).scalar_one() == packed[:-3]
