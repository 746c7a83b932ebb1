"""A start takes archived files by their hashes where the chain vouches for them, and finds whatever an audit finds."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from tests.unit.vpp.storage.anchor.parts import BEGIN_S, Plant
from vpp.record.chain import link
from vpp.record.segment import head_of, segment_bytes, segment_entries
from vpp.record.stored_body import StoredBody
from vpp.record.stored_entry import StoredEntry
from vpp.record.verification import Verification
from vpp.storage.segments.manifest import MANIFEST, manifest_of
from vpp.storage.segments.shelf import ARCHIVED, PRUNED, Segment

ARCHIVED_UNTIL = 60


class Archived(Plant):
    """A plant whose entries up to the 60th are in segments, which the start had verified; stopped cleanly."""

    def __init__(self, folder: Path, *, server: str = "") -> None:
        super().__init__(folder, server=server)
        self.run(95)
        self.archive(lambda archive: archive.archive_until(ARCHIVED_UNTIL, 1.0))
        self.run(20)

    def index(self) -> list[Segment]:
        """Return the index of segments."""
        with self.sql() as database:
            found = database.execute("SELECT * FROM archived_segments ORDER BY first")
            names = [column[0] for column in found.description]
            return [Segment(**dict(zip(names, row, strict=True))) for row in found.fetchall()]

    def put(self, segment: Segment, entries: Sequence[StoredEntry], before_sha256: str) -> Segment:
        """Write a segment anew, its index with it."""
        head, content = segment_bytes(entries, before_sha256)
        self.folder.joinpath(segment.name).write_bytes(content)
        changed = replace(segment, **asdict(head), digest=hashlib.sha256(content).hexdigest(), size=len(content))
        with self.sql() as database:
            body = changed.body()
            values = ", ".join(f"{name} = ?" for name in body)
            database.execute(f"UPDATE archived_segments SET {values} WHERE name = ?", (*body.values(), segment.name))  # noqa: S608
        return changed

    @property
    def folder(self) -> Path:
        """The folder of segments."""
        return self.file.parent / "record"


@pytest.fixture
def plant(tmp_path: Path, server_url: str) -> Archived:
    return Archived(tmp_path, server=server_url)


def read_whole(found: Verification) -> bool:
    """Return whether archived entries were read."""
    return found.by_digest == 0


def test_archived_entries_are_taken_by_the_hashes_of_their_files(plant: Archived) -> None:
    found, audited = plant.verify_start(), plant.verify()
    assert (found.holds, found.by_digest, audited.by_digest) == (True, ARCHIVED_UNTIL, 0)
    assert (found.entries, found.head, found.manifest) == (audited.entries, audited.head, audited.manifest)
    assert found.unprotected == 0


def test_what_a_pruned_archive_keeps_is_taken_by_its_hashes(plant: Archived) -> None:
    plant.archive(lambda archive: archive.prune(BEGIN_S + 40.0, 2.0))
    plant.run(5)
    found = plant.verify_start()
    assert found.holds
    assert 0 < found.by_digest == ARCHIVED_UNTIL - plant.index()[0].first + 1 < ARCHIVED_UNTIL
    assert found.entries == plant.verify().entries


def test_an_archive_that_grows_over_many_lives_is_taken_by_its_hashes(plant: Archived) -> None:
    for last in (70, 85, 100):
        plant.archive(lambda archive, last=last: archive.archive_until(last, 3.0))
        plant.run(20)
        assert plant.verify_start().by_digest == last
    assert plant.verify().holds


def test_an_archive_of_an_earlier_version_is_read_until_more_is_archived(empty: Plant) -> None:
    plant = empty
    plant.run(95)
    plant.archive(lambda archive: archive.archive_until(ARCHIVED_UNTIL, 1.0), known=False)
    plant.run(20)
    found = plant.verify_start()
    assert (found.holds, read_whole(found)) == (True, True)
    plant.archive(lambda archive: archive.archive_until(80, 1.0))
    plant.run(5)
    assert plant.verify_start().by_digest == 80


@pytest.mark.parametrize("what", ["no head after it", "segment not in the index", "pruning not in the index"])
def test_what_a_kill_leaves_is_read_whole_and_holds(plant: Archived, what: str) -> None:
    if what == "no head after it":
        plant.archive(lambda archive: archive.archive_until(80, 1.0))
    else:
        kept = plant.file.with_name("kept")
        plant.archive(lambda archive: archive.archive_until(61, 1.0))
        with plant.sql() as database:
            index = database.execute("SELECT * FROM archived_segments").fetchall()
            if what == "segment not in the index":
                # As if the process had ended between the entry and the index, with the rows still in the table.
                newest = max(index)
                row = next(iter(segment_entries((plant.folder / newest[6]).read_bytes())))
                values = (row.sequence, row.kind, row.at_s, row.body.text, row.sha256)
                columns = "(sequence, kind, at_s, body, sha256)"
                database.execute(f"INSERT INTO journal {columns} VALUES (?, ?, ?, ?, ?)", values)  # noqa: S608
                database.execute("DELETE FROM archived_segments WHERE first = ?", (newest[0],))
        if what == "pruning not in the index":
            shutil.copytree(plant.folder, kept)
            plant.archive(lambda archive: archive.prune(BEGIN_S + 40.0, 2.0))
            shutil.copytree(kept, plant.folder, dirs_exist_ok=True)
            with plant.sql() as database:
                for row in index:
                    inserted = "INSERT INTO archived_segments VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
                    database.execute(inserted, row)
        plant.run(5)
    found = plant.verify_start()
    assert (found.findings, read_whole(found)) == ([], True)


def digest_in_the_index(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute("UPDATE archived_segments SET digest = ? WHERE first = 1", ("0" * 64,))


def times_in_the_index(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute("UPDATE archived_segments SET until_s = 0.0 WHERE first = 1")


def segment_replaced_with_its_digest(plant: Archived) -> None:
    first = plant.index()[0]
    entries = list(segment_entries((plant.folder / first.name).read_bytes()))
    altered = replace(entries[1], body=StoredBody('{"actor":"nobody"}'))
    plant.put(first, [entries[0], altered, *entries[2:]], first.before_sha256)


def segment_replaced_by_the_same_entries(plant: Archived) -> None:
    path = plant.folder / plant.index()[0].name
    content = path.read_bytes().replace(b'"from_s":1', b'"from_s":2', 1)
    path.write_bytes(content)
    with plant.sql() as database:
        database.execute(
            "UPDATE archived_segments SET digest = ? WHERE first = 1", (hashlib.sha256(content).hexdigest(),)
        )


def one_byte_of_a_segment(plant: Archived) -> None:
    path = plant.segments[1]
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def one_byte_of_the_table(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute("UPDATE journal SET body = REPLACE(body, 'dispatcher', 'dispatches') WHERE sequence = 77")


def segment_deleted(plant: Archived) -> None:
    plant.segments[1].unlink()


def oldest_segment_deleted_with_its_index(plant: Archived) -> None:
    _delete(plant, plant.index()[0])


def middle_segment_deleted_with_its_index(plant: Archived) -> None:
    _delete(plant, plant.index()[1])


def newest_segment_deleted_with_its_index(plant: Archived) -> None:
    _delete(plant, plant.index()[-1])


def archive_deleted_with_its_index(plant: Archived) -> None:
    assert plant.index()
    for segment in plant.index():
        _delete(plant, segment)


def _delete(plant: Archived, segment: Segment) -> None:
    (plant.folder / segment.name).unlink()
    with plant.sql() as database:
        database.execute("DELETE FROM archived_segments WHERE first = ?", (segment.first,))


def segments_rewritten(plant: Archived) -> str:
    """Change the actor of an entry in a segment and hash everything again to the end of the archive."""
    index = plant.index()
    sha256 = index[0].before_sha256
    for segment in index:
        entries, before = [], sha256
        for entry in segment_entries((plant.folder / segment.name).read_bytes()):
            body = entry.body
            if entry.sequence == 12:
                body = StoredBody(body.text.replace("dispatcher", "nobody"))
            changed = replace(entry, body=body)
            sha256 = changed.linked(sha256)
            entries.append(replace(changed, sha256=sha256))
        plant.put(segment, entries, before)
    return sha256


def everything_rewritten(plant: Archived) -> None:
    """Do the same to the end of the table, where entries vouch for the segments as they are now."""
    sha256 = segments_rewritten(plant)
    index = plant.index()
    with plant.sql() as database:
        named: list[Segment] = []
        rows = database.execute("SELECT sequence, kind, at_s, body FROM journal ORDER BY sequence").fetchall()
        for sequence, kind, at_s, body in rows:
            text = body
            if kind == ARCHIVED:
                named.append(index[len(named)])
                said = {**named[-1].body(), MANIFEST: manifest_of(named)}
                text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()
            sha256 = link(sha256, sequence, kind, at_s, text)
            database.execute("UPDATE journal SET body = ?, sha256 = ? WHERE sequence = ?", (text, sha256, sequence))


def segments_rewritten_only(plant: Archived) -> None:
    segments_rewritten(plant)


def segment_replaced_and_manifest_stated_anew(plant: Archived) -> None:
    """Replace a segment and append an entry that vouches for it, after the last head, where one can."""
    segment_replaced_with_its_digest(plant)
    index = plant.index()
    _append(plant, ARCHIVED, {**index[0].body(), MANIFEST: manifest_of(index)})


def beginning_deleted_and_pruning_stated(plant: Archived) -> None:
    oldest_segment_deleted_with_its_index(plant)
    index = plant.index()
    body = {"before_sha256": "0" * 64, "first": index[0].first, MANIFEST: manifest_of(index), "segments": []}
    _append(plant, PRUNED, body)


def _append(plant: Archived, kind: str, body: dict[str, object]) -> None:
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
    with plant.sql() as database:
        ((last, before),) = database.execute(
            "SELECT sequence, sha256 FROM journal ORDER BY sequence DESC LIMIT 1"
        ).fetchall()
        sha256 = link(before, last + 1, kind, BEGIN_S, text)
        row = (last + 1, kind, BEGIN_S, text, sha256)
        database.execute("INSERT INTO journal (sequence, kind, at_s, body, sha256) VALUES (?, ?, ?, ?, ?)", row)


def last_half_of_the_table_cut(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence > 90")


def table_deleted(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal")


def everything_deleted(plant: Archived) -> None:
    table_deleted(plant)
    archive_deleted_with_its_index(plant)


def table_rewritten(plant: Archived) -> None:
    with plant.sql() as database:
        rows = database.execute("SELECT sequence, kind, at_s, body FROM journal ORDER BY sequence").fetchall()
        sha256 = plant.index()[-1].last_sha256
        for sequence, kind, at_s, body in rows:
            text = body.replace("dispatcher", "nobody")
            sha256 = link(sha256, sequence, kind, at_s, text)
            database.execute("UPDATE journal SET body = ?, sha256 = ? WHERE sequence = ?", (text, sha256, sequence))


def first_entry_of_the_table_deleted(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence = 61")


def heads_cut(plant: Archived) -> None:
    lines = plant.head_file.read_text().splitlines()
    plant.head_file.write_text("\n".join(lines[:4]) + "\n")


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (digest_in_the_index, "segment"),
        (times_in_the_index, "segment"),
        (segment_replaced_with_its_digest, "segment"),
        (segment_replaced_by_the_same_entries, "segment"),
        (one_byte_of_a_segment, "segment"),
        (one_byte_of_the_table, "altered"),
        (segment_deleted, "segment"),
        (oldest_segment_deleted_with_its_index, "segment"),
        (middle_segment_deleted_with_its_index, "gap"),
        (newest_segment_deleted_with_its_index, "gap"),
        (archive_deleted_with_its_index, "gap"),
        (everything_rewritten, "rewritten"),
        (segments_rewritten_only, "altered"),
        (segment_replaced_and_manifest_stated_anew, "altered"),
        (beginning_deleted_and_pruning_stated, "segment"),
        (last_half_of_the_table_cut, "cut"),
        (table_deleted, "cut"),
        (everything_deleted, "deleted"),
        (table_rewritten, "rewritten"),
        (first_entry_of_the_table_deleted, "gap"),
        (heads_cut, "heads_cut"),
    ],
)
def test_whatever_an_audit_finds_a_start_finds(plant: Archived, tamper: Callable[[Archived], None], kind: str) -> None:
    tamper(plant)
    found = plant.verify_start()
    assert not found.holds
    assert found == plant.verify()
    assert kind in {finding.kind.value for finding in found.findings}
    assert all(finding.text and finding.action for finding in found.findings)


def test_an_older_backup_of_database_and_archive_is_found(plant: Archived) -> None:
    restore = plant.backup()
    plant.archive(lambda archive: archive.archive_until(90, 1.0))
    plant.run(40)
    assert plant.verify_start().by_digest == 90
    restore()
    (finding,) = plant.verify_start().findings
    assert finding.kind == "older_state"


def test_an_older_archive_beside_a_newer_database_is_found(plant: Archived, tmp_path: Path) -> None:
    backup = shutil.copytree(plant.folder, tmp_path / "backup")
    plant.archive(lambda archive: archive.archive_until(90, 1.0))
    plant.run(5)
    shutil.rmtree(plant.folder)
    shutil.copytree(backup, plant.folder)
    assert {finding.kind.value for finding in plant.verify_start().findings} == {"segment"}


def test_a_record_with_accepted_faults_is_read_whole(plant: Archived) -> None:
    middle_segment_deleted_with_its_index(plant)
    plant.accept()
    found = plant.verify_start()
    assert (found.holds, read_whole(found), found.manifest) == (True, True, None)
    assert found == plant.verify()


def test_a_decision_after_a_backup_was_restored_lets_the_next_start_go_by_hashes(plant: Archived) -> None:
    restore = plant.backup()
    plant.run(10)
    restore()
    assert [finding.kind.value for finding in plant.verify_start().findings] == ["older_state"]
    plant.accept()
    assert plant.verify_start().by_digest == ARCHIVED_UNTIL


def test_the_head_of_a_segment_is_that_of_its_index(plant: Archived) -> None:
    assert plant.index()
    for segment in plant.index():
        head = head_of((plant.folder / segment.name).read_bytes())
        assert asdict(head).items() <= segment.body().items()
