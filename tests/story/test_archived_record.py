"""A record whose beginning lies in segments is verified as one, and what is wrong with a segment is a finding."""

import hashlib
from pathlib import Path

import pytest

from tests.unit.vpp.storage.anchor.parts import Plant
from vpp.record.verification import Verification


class Archived(Plant):
    """A plant whose entries up to the 60th are in segments."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run(95)
        self.archive(lambda archive: archive.archive_until(60, 1.0))
        self.run(20)
        self.files = self.segments


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


def _replace(plant: Archived, place: int) -> None:
    """Write a segment anew with the same entries, and its digest into the index."""
    path = plant.files[place]
    content = path.read_bytes().replace(b'"from_s":1', b'"from_s":2', 1)
    path.write_bytes(content)
    with plant.sql() as database:
        values = (hashlib.sha256(content).hexdigest(), path.name)
        database.execute("UPDATE archived_segments SET digest = ? WHERE name = ?", values)


def test_what_vouches_for_a_segment_protects_it_after_another_was_lost_and_that_was_accepted(plant: Archived) -> None:
    plant.files[1].unlink()
    plant.accept()
    assert plant.verify().holds
    _replace(plant, 0)
    kind, text, _ = only(plant.verify())
    assert (kind, plant.files[0].name in text, "in the journal" in text) == ("segment", True, True)


def test_a_segment_whose_voucher_was_lost_with_another_cannot_be_changed_once_that_is_accepted(plant: Archived) -> None:
    # The entries that name the first segments move to a segment of their own, which is lost.
    plant.archive(lambda archive: archive.archive_until(120, 2.0))
    plant.run(5)
    lost = next(path for path in plant.segments if int(path.name[:12]) <= 96 <= int(path.name[13:25]))
    lost.unlink()
    texts = [finding.text for finding in plant.verify().findings]
    assert "is missing" in texts[0]
    assert any(f"segment {plant.files[0].name} has digest" in text and "None in the journal" in text for text in texts)
    plant.accept()
    assert plant.verify().holds
    _replace(plant, 0)
    assert plant.kinds() == ["segment"]


def test_entries_in_a_segment_and_still_in_the_table_are_no_fault(plant: Archived) -> None:
    with plant.sql() as database:
        database.execute(
            "INSERT INTO journal (sequence, kind, at_s, body, sha256)"
            " SELECT 60, kind, at_s, body, sha256 FROM journal WHERE sequence = 61"
        )
    assert plant.verify().holds
