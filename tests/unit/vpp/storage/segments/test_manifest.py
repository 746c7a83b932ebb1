"""The archive states the manifest of what was verified, and of what it has changed itself since; nobody else's."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from vpp.domain.errors import AuditError
from vpp.storage.journal import SqlJournal
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.segments.manifest import MANIFEST, KnownSegments, manifest_of
from vpp.storage.segments.shelf import ARCHIVED, PRUNED, Segment
from vpp.storage.sql import archived_segments, journal

ONE = Segment(
    first=1,
    last=9,
    before_sha256="0" * 64,
    last_sha256="1" * 64,
    from_s=1.0,
    until_s=2.0,
    name="one",
    digest="2" * 64,
    size=10,
)
TWO = replace(ONE, first=10, last=20, name="two")
OTHER = {"first": 2, "last": 8, "before_sha256": "a", "last_sha256": "b", "from_s": 0.5, "until_s": 9.0}


@pytest.mark.parametrize("change", [*OTHER.items(), ("name", "x"), ("digest", "y"), ("size", 11)])
def test_every_field_of_every_segment_counts(change: tuple[str, object]) -> None:
    name, value = change
    changed = replace(ONE, **{name: value})  # type: ignore[arg-type] # one field after the other
    assert manifest_of([changed, TWO]) != manifest_of([ONE, TWO])
    assert manifest_of([TWO, changed]) != manifest_of([TWO, ONE])


def test_number_and_order_count() -> None:
    assert len({manifest_of(some) for some in ([], [ONE], [TWO], [ONE, TWO], [TWO, ONE], [ONE, ONE])}) == 6


def test_nothing_is_stated_of_what_was_not_verified() -> None:
    known = KnownSegments()
    known.check([ONE])
    assert known.stated([ONE, TWO]) == {}


def test_what_comes_to_nothing_may_be_stated_again() -> None:
    known = KnownSegments()
    known.verified(manifest_of([ONE]))
    for _ in range(2):
        known.check([ONE])
        assert known.stated([ONE, TWO]) == {MANIFEST: manifest_of([ONE, TWO])}
    known.check([ONE, TWO])
    with pytest.raises(AuditError, match="archived_segments"):
        known.check([ONE])


def archive_of(engine: sa.Engine) -> tuple[SqlJournal, RecordArchive]:
    record = SqlJournal(engine)
    for number in range(40):
        record.append("decision", float(number), {"text": "x" * 100})
    record.flush_now()
    archive = RecordArchive(engine, record, SegmentRules(least_bytes=1, most_bytes=600))
    archive.verified(manifest_of([]))
    archive.archive_until(20, 100.0)
    return record, archive


def newest(record: SqlJournal) -> object:
    return list(record.entries((ARCHIVED, PRUNED)))[-1].body[MANIFEST]


def test_the_last_entry_about_the_archive_states_what_it_is(engine: sa.Engine) -> None:
    record, archive = archive_of(engine)
    assert len(record.shelf.all()) > 2
    assert newest(record) == manifest_of(record.shelf.all())
    archive.prune(9.0, 200.0)
    assert newest(record) == manifest_of(record.shelf.all())
    archive.archive_until(30, 300.0)
    assert newest(record) == manifest_of(record.shelf.all())


@pytest.mark.parametrize("column", ["digest", "until_s", "last"])
def test_an_index_that_somebody_changed_while_the_service_ran_is_neither_stated_nor_used(
    engine: sa.Engine, column: str
) -> None:
    record, archive = archive_of(engine)
    before = record.sequence
    value = {"digest": "0" * 64, "until_s": -1.0, "last": 39}[column]
    changed = archived_segments.c.first == record.shelf.all()[-1].first
    with engine.begin() as connection:
        connection.execute(sa.update(archived_segments).where(changed).values({column: value}))
    for act in (lambda: archive.archive_until(30, 300.0), lambda: archive.prune(1e9, 300.0), archive.tidy):
        with pytest.raises(AuditError, match="was changed since it was verified"):
            act()
    assert record.sequence == before
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.min(journal.c.sequence))).scalar() == 21
