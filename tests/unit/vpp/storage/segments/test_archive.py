"""Old entries move to files and stay one record with the table, whatever interrupts the move."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.domain.errors import AuditError
from vpp.record.entry import JournalEntry
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.segments.shelf import ARCHIVED, PRUNED
from vpp.storage.sql import archived_segments, journal, open_database

EAGER = SegmentRules(least_bytes=1, most_bytes=600)
"""Segments of a few entries each."""


def filled(engine: sa.Engine, count: int = 40) -> SqlJournal:
    record = SqlJournal(engine)
    for number in range(count):
        body = {"number": number, "text": "x" * 50, "rows": np.arange(40 * (number % 3))}
        record.append("decision" if number % 2 else "cycle", float(number), body)
    record.flush_now()
    return record


def moved(engine: sa.Engine, until: int = 30, count: int = 40) -> tuple[SqlJournal, RecordArchive]:
    record = filled(engine, count)
    archive = RecordArchive(engine, record, EAGER)
    assert archive.archive_until(until, 100.0) == until
    return record, archive


def plain(entries: Iterator[JournalEntry]) -> list[tuple[object, ...]]:
    return [(e.sequence, e.kind, e.at_s, repr(e.body), e.sha256) for e in entries]


def in_table(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(journal.c.sequence).order_by(journal.c.sequence)).scalars())


def test_archived_entries_are_read_as_if_they_had_never_moved(engine: sa.Engine) -> None:
    before = plain(filled(engine).entries())
    archive = RecordArchive(engine, record := SqlJournal(engine), EAGER)
    archive.archive_until(30, 100.0)

    assert len(record.shelf.all()) > 2
    assert in_table(engine)[0] == 31
    assert plain(record.entries())[:40] == before
    assert plain(record.entries(after=7, until=33)) == before[7:33]
    assert plain(record.entries(("cycle",), after=28)) == [e for e in before[28:] if e[1] == "cycle"]
    assert verify(engine).count == 40 + len(list(record.entries((ARCHIVED,))))


def test_a_segment_holds_the_hashed_bytes_verbatim(engine: sa.Engine) -> None:
    filled(engine)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(journal).order_by(journal.c.sequence)).all()
    archive = RecordArchive(engine, record := SqlJournal(engine), EAGER)
    archive.archive_until(40, 100.0)
    kept = [entry for segment in record.shelf.all() for entry in record.shelf.entries(segment)]
    assert [(e.sequence, e.kind, e.at_s, e.body.text, e.body.packed, e.sha256) for e in kept] == [
        (r.sequence, r.kind, r.at_s, r.body, r.packed or b"", r.sha256) for r in rows[: len(kept)]
    ]


def test_the_last_entry_of_the_table_stays(engine: sa.Engine) -> None:
    record, archive = moved(engine)
    archive.archive_until(10_000, 100.0)
    assert in_table(engine)
    record.append("next", 1.0, {})
    record.flush_now()
    again = SqlJournal(engine)
    assert again.sequence == record.sequence
    verify(engine)


def test_little_waits_until_it_is_a_day_old(engine: sa.Engine) -> None:
    archive = RecordArchive(engine, filled(engine, 5))
    assert archive.archive_until(4, 86_399.0) == 0
    assert archive.archive_until(4, 86_400.0) == 4


def test_a_reader_under_way_reads_on_from_where_entries_moved_to(engine: sa.Engine) -> None:
    record = filled(engine, 2500)
    reading = record.entries()
    read = [next(reading).sequence for _ in range(10)]
    RecordArchive(engine, record, SegmentRules(least_bytes=1)).archive_until(2400, 100.0)
    read += [entry.sequence for entry in reading]
    assert read[:2500] == list(range(1, 2501))


@pytest.mark.parametrize("broken", ["INSERT INTO journal", "INSERT INTO archived_segments", "DELETE FROM journal"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_move_that_is_interrupted_loses_and_doubles_nothing(engine: sa.Engine, broken: str, nth: int) -> None:
    before = plain(filled(engine).entries())
    seen = 0

    def fail(_: object, __: object, statement: str, *___: object) -> None:
        nonlocal seen
        seen += statement.startswith(broken)
        if statement.startswith(broken) and seen == nth:
            raise KeyboardInterrupt

    sa.event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(KeyboardInterrupt):
        RecordArchive(engine, SqlJournal(engine), EAGER).archive_until(30, 100.0)
    sa.event.remove(engine, "before_cursor_execute", fail)

    record = SqlJournal(engine)
    assert plain(record.entries())[:40] == before
    archive = RecordArchive(engine, record, EAGER)
    archive.tidy()
    files = {path.name for path in Path(str(record.shelf.folder)).iterdir()}
    assert files == {segment.name for segment in record.shelf.all()}
    assert not any(sequence <= segment.last for segment in record.shelf.all() for sequence in in_table(engine))
    archive.archive_until(30, 100.0)
    assert plain(record.entries())[:40] == before
    verify(engine)


def test_unfinished_and_unknown_files_are_swept_or_set_aside(engine: sa.Engine) -> None:
    record, archive = moved(engine)
    folder = Path(str(record.shelf.folder))
    (folder / "000000000031-000000000035-0123.vppr.tmp").write_bytes(b"VPP")
    (folder / "000000000900-000000000999-0123.vppr").write_bytes(b"of another life")
    archive.tidy()
    left = {path.name for path in folder.iterdir()} - {segment.name for segment in record.shelf.all()}
    assert left == {"000000000900-000000000999-0123.vppr.lost"}
    verify(engine)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("harm", "said"), [(flip, "is damaged: its SHA-256"), (Path.unlink, "is missing; copy it back")]
)
def test_a_segment_that_is_gone_or_damaged_is_named(engine: sa.Engine, harm: object, said: str) -> None:
    record, _ = moved(engine)
    second = record.shelf.all()[1]
    harm(record.shelf.path(second))
    named = f"{second.name} with journal entries {second.first} to {second.last} {said}"
    with pytest.raises(AuditError, match=named):
        verify(engine)
    with pytest.raises(AuditError, match=named):
        list(record.entries(after=second.first))
    assert [entry.sequence for entry in record.entries(after=30)][:10] == list(range(31, 41))


def test_a_segment_written_anew_is_found_though_its_index_agrees(engine: sa.Engine) -> None:
    record, _ = moved(engine)
    first = record.shelf.all()[0]
    path = record.shelf.path(first)
    content = path.read_bytes().replace(b'"from_s":0.0', b'"from_s":9.0')
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with engine.begin() as connection:
        connection.execute(sa.update(archived_segments).where(archived_segments.c.first == 1).values(digest=digest))
    with pytest.raises(AuditError, match=f"has digest {digest} in the index, and {first.digest} in the journal"):
        verify(engine)


def test_damage_in_the_table_is_named_and_not_archived(engine: sa.Engine) -> None:
    record = filled(engine)
    with engine.begin() as connection:
        connection.execute(sa.update(journal).where(journal.c.sequence == 5).values(at_s=4.5))
    with pytest.raises(AuditError, match="entry 5 does not match its hash"):
        RecordArchive(engine, record, EAGER).archive_until(30, 100.0)
    assert in_table(engine)[:5] == [1, 2, 3, 4, 5]


def test_pruning_deletes_the_oldest_and_the_chain_verifies_from_the_first_kept(engine: sa.Engine) -> None:
    record, archive = moved(engine)
    segments = record.shelf.all()
    assert archive.prune(segments[2].until_s, 200.0) == 2
    assert next(entry.sequence for entry in record.entries()) == segments[2].first == verify(engine).first
    (pruned,) = record.entries((PRUNED,))
    assert (pruned.body["first"], pruned.body["before_sha256"]) == (segments[2].first, segments[1].last_sha256)
    assert len(list(Path(str(record.shelf.folder)).iterdir())) == len(record.shelf.all())
    assert SqlJournal(engine).sequence == record.sequence


def test_pruning_keeps_the_newest_segment_and_says_nothing_where_there_is_nothing_to_do(engine: sa.Engine) -> None:
    record, archive = moved(engine)
    assert archive.prune(0.0, 200.0) == 0
    assert archive.prune(1e12, 200.0) == len(list(record.entries((ARCHIVED,)))) - 1
    assert len(record.shelf.all()) == 1
    assert archive.prune(1e12, 200.0) == 0
    assert len(list(record.entries((PRUNED,)))) == 1


def test_a_beginning_cut_off_without_a_word_of_pruning_is_found(engine: sa.Engine) -> None:
    record, _ = moved(engine)
    first = record.shelf.all()[0]
    with engine.begin() as connection:
        connection.execute(sa.delete(archived_segments).where(archived_segments.c.first == 1))
    with pytest.raises(AuditError, match=f"journal entries 1 to {first.last} are missing, and no entry record.pruned"):
        verify(engine)


def test_an_archive_in_another_folder_is_asked_for(tmp_path: Path) -> None:
    engine = open_database("sqlite://")
    record = SqlJournal(engine, tmp_path / "elsewhere")
    for number in range(9):
        record.append("decision", float(number), {"text": "x" * 99})
    record.flush_now()
    RecordArchive(engine, record, EAGER).archive_until(8, 100.0)
    with pytest.raises(AuditError, match="give the folder of that file as VPP_RECORD_ARCHIVE"):
        list(SqlJournal(engine).entries())
    assert verify(engine, tmp_path / "elsewhere").first == 1
    engine.dispose()


def test_without_a_folder_everything_stays_in_the_table() -> None:
    engine = open_database("sqlite://")
    assert RecordArchive(engine, filled(engine), EAGER).archive_until(30, 100.0) == 0
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_file_of_the_database_reuses_what_the_archive_has_freed(engine: sa.Engine) -> None:
    record = SqlJournal(engine)
    archive = RecordArchive(engine, record, SegmentRules(least_bytes=1))
    sizes = []
    text = np.random.default_rng(0).bytes(500).hex()
    for _ in range(8):
        for _ in range(500):
            record.append("decision", 1.0, {"text": text})
        record.flush_now()
        archive.archive_until(record.sequence, 2.0)
        with engine.connect() as connection:
            sizes.append(connection.exec_driver_sql("PRAGMA page_count").scalar())
    assert max(sizes[4:]) <= max(sizes[:4]) * 1.05


steps = st.lists(st.sampled_from(["append", "archive", "prune", "restart", "tidy"]), min_size=4, max_size=14)


@settings(max_examples=25, deadline=None)
@given(steps=steps, data=st.data())
def test_any_history_of_archiving_and_pruning_stays_one_verified_record(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], data: st.DataObject
) -> None:
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('record') / 'vpp.sqlite3'}")
    record = filled(engine, 5)
    written = plain(record.entries())
    for step in steps:
        archive, last = RecordArchive(engine, record, EAGER), record.sequence
        if step == "append":
            for _ in range(5):
                record.append("more", float(record.sequence), {"text": "y" * 60})
            record.flush_now()
        elif step == "archive":
            archive.archive_until(data.draw(st.integers(0, last)), 1e9)
        elif step == "prune":
            archive.prune(data.draw(st.floats(0.0, float(last))), 1e9)
        elif step == "tidy":
            archive.tidy()
        else:
            record = SqlJournal(engine)
        written += plain(record.entries(after=last))
    verified = verify(engine)
    assert plain(record.entries()) == written[verified.first - 1 :]
    assert verified.count == len(written) - verified.first + 1
    engine.dispose()
