"""Names taken out of entries of an earlier version, in table and segments: no byte is left and the chain verifies."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unit.vpp.stored import stored_bytes
from vpp.domain.errors import AuditError
from vpp.record.erasure.redaction import REDACTED, ErasedNames
from vpp.record.heads import SignedHead
from vpp.record.names.subject import SubjectKind
from vpp.record.stored_body import stored_body
from vpp.storage.anchor.chain_walk import walk
from vpp.storage.anchor.redacted import without_redacted
from vpp.storage.erasing.entries import EntryRedaction
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.segments.manifest import KnownSegments, manifest_of
from vpp.storage.sql import journal, torn_entries
from vpp.storage.subjects import overwrite_free_pages

EAGER = SegmentRules(least_bytes=1, most_bytes=2000)


def session_started(name: str) -> dict[str, object]:
    return {"event": "SessionStarted", "session_id": name, "row": 1}


def started(name: str) -> dict[str, object]:
    return {"sessions": [session_started(name)], "note": "x" * 900}


def written(engine: sa.Engine, archived: int) -> SqlJournal:
    """Return a journal as an earlier version wrote it: with names in clear, some of its entries in segments."""
    chain = SqlJournal(engine)
    for number in range(20):
        chain.append_prepared("cycle", float(number), stored_body(started(f"CS-{number % 4}-SECRET:{number}")))
    chain.flush_now()
    RecordArchive(engine, chain, EAGER).archive_until(archived, 1e6)
    return chain


def redaction(engine: sa.Engine, chain: SqlJournal, name: str = "CS-1-SECRET:") -> EntryRedaction:
    erased = ErasedNames(lambda kind, text: kind is SubjectKind.SESSION and text.startswith(name))
    return EntryRedaction(engine, chain, erased)


def redacted(engine: sa.Engine, chain: SqlJournal) -> int:
    work = redaction(engine, chain)
    count = work.find()
    known = KnownSegments()
    known.verified(manifest_of(chain.shelf.all()))
    work.state(100.0, known)
    with engine.begin() as connection:
        work.carry_out(connection)
    work.tidy()
    overwrite_free_pages(engine)
    return count


def told(chain: SqlJournal) -> str:
    return str([entry.body for entry in chain.entries()])


@pytest.mark.parametrize("archived", [0, 12, 19])
def test_no_byte_of_an_erased_name_is_left_and_the_chain_verifies(
    engine: sa.Engine, tmp_path: Path, archived: int
) -> None:
    chain = written(engine, archived)
    before = verify(engine)
    hashes = [entry.sha256 for entry in chain.entries()]
    assert redacted(engine, chain) == 5
    assert verify(engine).count > before.count
    assert [entry.sha256 for entry in chain.entries()][: len(hashes)] == hashes
    assert "CS-1-SECRET" not in told(chain)
    assert told(chain).count("-SECRET:") == 15
    if not archived:  # in a segment bytes are compressed
        assert b"CS-1-SECRET" not in stored_bytes(engine, tmp_path)
        assert b"CS-2-SECRET" in stored_bytes(engine, tmp_path)
    assert redacted(engine, chain) == 0, "there is nothing left to erase"
    verify(engine)


def test_files_of_before_are_gone_also_those_that_a_crash_has_left(engine: sa.Engine) -> None:
    chain = written(engine, 12)
    folder = Path(str(chain.shelf.folder))
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    redacted(engine, chain)
    assert len(list(folder.iterdir())) == len(kept)
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    RecordArchive(engine, chain, EAGER).tidy()
    assert {path.name for path in folder.iterdir()} == {one.name for one in chain.shelf.all()}


def test_a_redacted_entry_that_is_changed_once_more_is_found(engine: sa.Engine) -> None:
    chain = written(engine, 0)
    redacted(engine, chain)
    with engine.begin() as connection:
        here = journal.c.sequence == 2
        body = connection.execute(sa.select(journal.c.packed, journal.c.body).where(here)).one()
        changed = stored_body(started("~" + "a" * 32))
        connection.execute(sa.update(journal).where(here).values(body=changed.text, packed=changed.packed or None))
    assert body is not None
    with pytest.raises(AuditError, match="entry 2 does not match"):
        verify(engine)


def test_redacted_entries_move_to_the_archive_later(engine: sa.Engine) -> None:
    chain = written(engine, 0)
    redacted(engine, chain)
    before = told(chain)
    assert RecordArchive(engine, chain, EAGER).archive_until(18, 1e6) == 18
    assert told(chain).startswith(before.rstrip("]"))
    verify(engine)
    lost: list[tuple[int, str]] = []
    assert len(list(chain.salvage(lambda sequence, why: lost.append((sequence, why))))) == chain.durable()
    assert lost == []


def test_a_salvage_reads_redacted_entries_when_what_says_so_is_archived_too(engine: sa.Engine) -> None:
    chain = written(engine, 0)
    redacted(engine, chain)
    for number in range(3):
        chain.append_prepared("cycle", 200.0 + number, stored_body(started("CS-9:9")))
    chain.flush_now()
    RecordArchive(engine, chain, EAGER).archive_until(chain.durable(), 1e6)
    with engine.connect() as connection:
        assert connection.execute(sa.select(journal.c.sequence).where(journal.c.kind == REDACTED)).all() == []
    lost: list[tuple[int, str]] = []
    assert len(list(chain.salvage(lambda sequence, why: lost.append((sequence, why))))) == chain.durable()
    assert lost == []


def test_a_stop_before_the_entries_are_changed_leaves_a_record_that_verifies(engine: sa.Engine) -> None:
    chain = written(engine, 12)
    work = redaction(engine, chain)
    work.find()
    work.state(100.0, KnownSegments())
    verify(engine)
    assert len(list(chain.entries((REDACTED,)))) == 1
    assert redacted(engine, chain) == 5
    verify(engine)
    assert "CS-1-SECRET" not in told(chain)


@pytest.mark.parametrize("archived", [0, 1])
def test_a_stop_before_a_redacted_entry_is_changed_once_more_leaves_a_record_that_verifies(
    engine: sa.Engine, archived: int
) -> None:
    chain = SqlJournal(engine)
    names = ("CS-1-SECRET:1", "CS-2-SECRET:2")
    chain.append_prepared("cycle", 0.0, stored_body({"sessions": [*map(session_started, names)]}))
    chain.append_prepared("cycle", 1.0, stored_body({"sessions": []}))
    chain.flush_now()
    RecordArchive(engine, chain, EAGER).archive_until(archived, 1e6)
    assert redacted(engine, chain) == 1
    work = redaction(engine, chain, "CS-2-SECRET:")
    work.find()
    work.state(200.0, KnownSegments())
    verify(engine)
    if not archived:
        assert RecordArchive(engine, chain, EAGER).archive_until(1, 1e6) == 1
    head = chain.head()
    walked = walk(engine, [head.sequence])
    assert without_redacted(walked, [SignedHead(fleet="", sequence=head.sequence, sha256=head.sha256, at_s=1.0)]) == 1
    assert not walked.marred
    verify(engine)


def test_what_was_torn_says_nothing_any_more(engine: sa.Engine) -> None:
    chain = written(engine, 0)
    row = {"set_aside_s": 1.0, "sequence": 9, "kind": "cycle", "at_s": 1.0, "body": "CS-1-SECRET", "sha256": "x"}
    with engine.begin() as connection:
        connection.execute(sa.insert(torn_entries), [row])
    redacted(engine, chain)
    with engine.connect() as connection:
        assert connection.execute(sa.select(torn_entries.c.body)).scalar() == "null"
