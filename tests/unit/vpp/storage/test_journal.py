"""The journal: durable, in order, and nobody changes the past unseen."""

import asyncio
import hashlib
import threading

import numpy as np
import pytest
import sqlalchemy as sa

from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import AuditError, InputError, StorageError
from vpp.record.chain import GENESIS, link
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.sql import journal


async def filled(engine: sa.Engine, count: int = 5) -> SqlJournal:
    record = SqlJournal(engine)
    for number in range(1, count + 1):
        record.append("odd" if number % 2 else "even", float(number), {"number": number})
    await record.flush()
    return record


async def test_only_what_was_flushed_is_seen(engine: sa.Engine) -> None:
    record = SqlJournal(engine)
    record.append("x", 1.0, {})
    assert (list(record.entries()), record.pending) == ([], 1)
    await record.flush()
    await record.flush()
    assert ([entry.kind for entry in record.entries()], record.pending) == (["x"], 0)


async def test_entries_come_in_order_by_kind_and_after_a_number(engine: sa.Engine) -> None:
    record = await filled(engine)

    assert [entry.sequence for entry in record.entries()] == [1, 2, 3, 4, 5]
    assert [entry.body for entry in record.entries(["even"])] == [{"number": 2}, {"number": 4}]
    assert [entry.sequence for entry in record.entries(["odd", "even"], after=3)] == [4, 5]
    assert [entry.sequence for entry in record.entries(["nothing"])] == []


async def test_a_long_journal_is_read_page_by_page(engine: sa.Engine) -> None:
    record = await filled(engine, 2500)

    assert [entry.sequence for entry in record.entries()] == list(range(1, 2501))
    assert len(list(record.entries(["even"]))) == 1250
    assert verify(engine).count == 2500


async def test_a_restart_continues_the_chain(engine: sa.Engine) -> None:
    first = await filled(engine, 2)
    head = list(first.entries())[-1].sha256
    second = SqlJournal(engine)
    second.append("restart", 9.0, {})
    await second.flush()

    last = list(second.entries())[-1]
    assert (last.sequence, last.sha256) == (3, link(head, 3, "restart", 9.0, "{}"))
    assert verify(engine).head_sha256 == last.sha256


def test_an_empty_journal_verifies(engine: sa.Engine) -> None:
    chain = verify(engine)
    assert (chain.count, chain.head_sha256) == (0, GENESIS)


@pytest.mark.parametrize(
    "change",
    [
        sa.update(journal).where(journal.c.sequence == 3).values(body='{"number":4}'),
        sa.update(journal).where(journal.c.sequence == 3).values(body='{"number": 3}'),
        sa.update(journal).where(journal.c.sequence == 3).values(kind="even"),
        sa.update(journal).where(journal.c.sequence == 3).values(at_s=3.0000001),
        sa.update(journal).where(journal.c.sequence == 3).values(sha256="0" * 64),
        sa.delete(journal).where(journal.c.sequence == 3),
    ],
)
async def test_a_changed_past_is_found_at_the_first_broken_entry(engine: sa.Engine, change: sa.Executable) -> None:
    await filled(engine)
    with engine.begin() as connection:
        connection.execute(change)
    with pytest.raises(AuditError, match="entry 3"):
        verify(engine)


async def test_forging_one_hash_breaks_the_next(engine: sa.Engine) -> None:
    record = await filled(engine)
    second = list(record.entries())[1]
    forged = link(second.sha256, 3, "odd", 3.0, '{"number":30}')
    with engine.begin() as connection:
        connection.execute(
            sa.update(journal).where(journal.c.sequence == 3).values(body='{"number":30}', sha256=forged)
        )
    with pytest.raises(AuditError, match="entry 4"):
        verify(engine)


async def test_concurrent_flushes_serialise_and_lose_nothing(engine: sa.Engine) -> None:
    record = SqlJournal(engine)

    async def decide(writer: int) -> None:
        for number in range(20):
            record.append("decision", float(number), {"writer": writer})
            await record.flush()

    await asyncio.gather(*(decide(writer) for writer in range(8)))
    chain = verify(engine)
    assert (chain.count, record.pending) == (160, 0)


def held(record: SqlJournal, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let writing wait; return what is set once it has begun, and what lets it go on."""
    writing, go_on = threading.Event(), threading.Event()
    write = record._write

    def slowly(batch: object) -> None:
        writing.set()
        assert go_on.wait(PATIENCE_WALL_S)
        write(batch)

    monkeypatch.setattr(record, "_write", slowly)
    return writing, go_on


async def test_what_is_appended_during_a_flush_is_kept(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    record = SqlJournal(engine)
    writing, go_on = held(record, monkeypatch)
    record.append("early", 1.0, {})
    flush = asyncio.create_task(record.flush())
    assert await asyncio.to_thread(writing.wait, PATIENCE_WALL_S)
    record.append("late", 2.0, {})
    go_on.set()
    await flush

    assert ([entry.kind for entry in record.entries()], record.pending) == (["early"], 1)
    await record.flush()
    assert verify(engine).count == 2


async def test_a_cancelled_flush_neither_loses_nor_repeats(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    record = SqlJournal(engine)
    writing, go_on = held(record, monkeypatch)
    record.append("x", 1.0, {})
    flush = asyncio.create_task(record.flush())
    assert await asyncio.to_thread(writing.wait, PATIENCE_WALL_S)
    flush.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flush
    go_on.set()
    record.append("y", 2.0, {})
    await record.flush()

    assert verify(engine).count == 2


async def test_a_flush_that_fails_is_tried_again(engine: sa.Engine) -> None:
    record = SqlJournal(engine)
    record.append("x", 1.0, {})
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE journal RENAME TO gone")
    with pytest.raises(StorageError, match="the journal cannot be written"):
        await record.flush()
    assert (record.pending, record.pending_bytes) == (1, 2)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO journal")
    await record.flush()

    assert verify(engine).count == 1


async def test_a_second_writer_is_found_out(engine: sa.Engine) -> None:
    one, other = SqlJournal(engine), SqlJournal(engine)
    for record in (one, other):
        record.append("x", 1.0, {})
    await one.flush()
    with pytest.raises(AuditError, match="entry 1 is taken"):
        await other.flush()


def test_a_body_that_is_not_json_is_refused_at_once(engine: sa.Engine) -> None:
    record = SqlJournal(engine)
    with pytest.raises(InputError, match="object"):
        record.append("x", 1.0, {"what": object()})
    assert record.pending == 0


async def test_a_body_changed_after_it_was_appended_is_recorded_as_it_was(engine: sa.Engine) -> None:
    record = SqlJournal(engine)
    body: dict[str, object] = {"kw": 1}
    record.append("x", 1, body)
    body["kw"] = 2
    await record.flush()

    entry = next(record.entries())
    assert (entry.body, entry.at_s) == ({"kw": 1}, 1.0)
    assert verify(engine).count == 1


async def test_an_entry_that_was_taken_out_is_missed_by_its_number(engine: sa.Engine) -> None:
    await filled(engine)
    with engine.begin() as connection:
        connection.execute(sa.delete(journal).where(journal.c.sequence == 3))
    with pytest.raises(AuditError, match="entry 3 is missing; the next one kept is 4"):
        verify(engine)


def test_a_hash_covers_position_kind_time_body_and_the_hash_before() -> None:
    text = f'{GENESIS}[1,"x",2.5,{{"a":1}}]'
    assert link(GENESIS, 1, "x", 2.5, '{"a":1}') == hashlib.sha256(text.encode()).hexdigest()
    others = [("0" * 63 + "1", 1, "x", 2.5), (GENESIS, 2, "x", 2.5), (GENESIS, 1, "y", 2.5), (GENESIS, 1, "x", 2.0)]
    found = {link(*other, '{"a":1}') for other in others} | {link(GENESIS, 1, "x", 2.5, '{"a":2}')}
    assert len(found | {link(GENESIS, 1, "x", 2.5, '{"a":1}')}) == 6


def test_one_flipped_bit_of_a_packed_body_is_found(engine: sa.Engine) -> None:
    record = SqlJournal(engine)
    for number in range(3):
        record.append("setpoints.sent", 1.0, {"rows": np.arange(100 + number)})
    record.flush_now()
    assert [len(entry.body["rows"]) for entry in record.entries()] == [100, 101, 102]
    with engine.begin() as connection:
        packed = bytearray(connection.execute(sa.select(journal.c.packed).where(journal.c.sequence == 2)).scalar_one())
        packed[-1] ^= 1
        connection.execute(sa.update(journal).where(journal.c.sequence == 2).values(packed=bytes(packed)))
    with pytest.raises(AuditError, match="entry 2 "):
        verify(engine)
