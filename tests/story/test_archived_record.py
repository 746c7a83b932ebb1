"""A record whose beginning lies in segments is verified as one, and what is wrong with a segment is a finding."""

from pathlib import Path

import pytest

from tests.unit.vpp.storage.anchor.parts import Plant
from vpp.record.verification import Verification
from vpp.storage.journal import SqlJournal
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.sql import open_database


class Archived(Plant):
    """A plant whose entries up to the 60th are in segments."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run(95)
        self.archive(lambda archive: archive.archive_until(60, 1.0))
        self.run(20)
        self.files = sorted((folder / "data" / "record").iterdir())

    def archive(self, work: object) -> None:
        """Have the archive do something."""
        engine = open_database(self.place.url)
        journal = SqlJournal(engine)
        work(RecordArchive(engine, journal, SegmentRules(least_bytes=1, most_bytes=900)))
        journal.close()
        engine.dispose()


@pytest.fixture
def plant(tmp_path: Path) -> Archived:
    return Archived(tmp_path)


def only(found: Verification) -> tuple[str, str, str]:
    (finding,) = found.findings
    return finding.kind.value, finding.text, finding.action


def test_segments_and_table_are_verified_as_one(plant: Archived) -> None:
    found = plant.verify()
    assert (found.findings, found.entries) == ([], found.head.sequence)
    assert found.entries == 115 + len(plant.files)


def test_a_pruned_record_is_verified_from_the_first_entry_kept(plant: Archived) -> None:
    plant.archive(lambda archive: archive.prune(1e12, 2.0))
    plant.run(5)
    found = plant.verify()
    assert found.findings == []
    assert found.entries < 90 < found.head.sequence


def test_a_missing_segment_is_one_finding_that_names_it(plant: Archived) -> None:
    plant.files[1].unlink()
    kind, text, action = only(plant.verify())
    assert (kind, plant.files[1].name in text, "copy it back" in action) == ("segment", True, True)


def test_one_flipped_bit_of_a_segment_is_one_finding(plant: Archived) -> None:
    content = bytearray(plant.files[0].read_bytes())
    content[-3] ^= 1
    plant.files[0].write_bytes(content)
    kind, text, _ = only(plant.verify())
    assert (kind, "SHA-256" in text) == ("segment", True)


def test_the_oldest_segments_deleted_with_their_index_are_found(plant: Archived) -> None:
    plant.files[0].unlink()
    with plant.sql() as database:
        database.execute("DELETE FROM archived_segments WHERE first = 1")
    kind, text, _ = only(plant.verify())
    assert (kind, "no entry record.pruned" in text) == ("segment", True)


def test_a_segment_in_the_middle_deleted_with_its_index_is_a_gap(plant: Archived) -> None:
    plant.files[1].unlink()
    with plant.sql() as database:
        database.execute("DELETE FROM archived_segments WHERE name = ?", (plant.files[1].name,))
    assert plant.kinds() == ["gap"]


def test_entries_in_a_segment_and_still_in_the_table_are_no_fault(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute(
            "INSERT INTO journal (sequence, kind, at_s, body, sha256)"
            " SELECT 60, kind, at_s, body, sha256 FROM journal WHERE sequence = 61"
        )
    assert plant.verify().holds
