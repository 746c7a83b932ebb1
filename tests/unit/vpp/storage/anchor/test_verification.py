"""Whatever is done to what a signed head covers is found, and told apart, with what to do."""

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unit.vpp.storage.anchor.parts import BEGIN_S, Plant
from vpp.domain.errors import ConflictError
from vpp.record.chain import link
from vpp.record.entry import Head
from vpp.record.heads import HeadKey
from vpp.storage.anchor import diagnosis
from vpp.storage.anchor.acceptances import digest_of
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.anchor.chain_walk import walk
from vpp.storage.anchor.key_file import make_key
from vpp.storage.journal import SqlJournal
from vpp.storage.sql import open_database


@pytest.fixture
def plant(empty: Plant) -> Plant:
    empty.run(95)
    return empty


of_a_file = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def test_a_record_left_alone_holds(plant: Plant) -> None:
    found = plant.verify()
    assert (found.findings, found.notes) == ([], [])
    assert (found.entries, found.head.sequence, found.heads, found.unprotected) == (95, 95, 10, 0)


def test_a_record_that_goes_on_holds(plant: Plant) -> None:
    plant.run(25)
    assert plant.verify().holds


def test_a_new_database_and_one_without_heads_hold(empty: Plant) -> None:
    empty.run(0)
    assert empty.verify().holds
    empty.run(5, export=False)
    found = empty.verify()
    assert found.holds
    assert "no signed head" in found.notes[0]
    assert found.unprotected == 5


def test_the_last_half_cut_is_found(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence > 47")
    (finding,) = plant.verify().findings
    assert (finding.kind, finding.sequence) == ("cut", 48)
    assert "up to 95" in finding.text
    assert "accept-restore" in finding.action


def test_a_cut_is_found_after_a_service_went_on(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence > 47")
    plant.run(100, export=False, begin_s=BEGIN_S + 1000.0)
    assert plant.kinds() == ["cut"]


def test_everything_deleted_is_found(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal")
    (finding,) = plant.verify().findings
    assert finding.kind == "deleted"
    assert "all 95 entries" in finding.text
    plant.run(100, export=False, begin_s=BEGIN_S + 1000.0)
    assert plant.kinds() == ["deleted"]


def test_a_deleted_database_is_found_by_its_place(plant: Plant) -> None:
    plant.destroy()
    former = plant.fleet
    assert plant.kinds() == ["deleted"]
    plant.run(3, export=False)
    assert plant.fleet != former
    (finding,) = plant.verify().findings
    assert finding.kind == "deleted"
    assert former in finding.text


@pytest.mark.parametrize("first", [1, 52, 95])
def test_actors_rewritten_and_hashed_again_are_found(plant: Plant, first: int) -> None:
    plant.rewrite(first)
    (finding,) = plant.verify().findings
    assert finding.kind == "rewritten"
    assert finding.sequence == (first - 1) // 10 * 10 + 1
    assert "hashed again" in finding.text


def test_a_single_entry_rewritten_long_ago_is_found(plant: Plant) -> None:
    plant.rewrite(12, until=12)
    assert plant.kinds() == ["rewritten"]


def test_a_write_ahead_log_that_was_cut_is_found(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.run(30)
    engine = open_database(plant.place.url)
    journal = SqlJournal(engine)
    for number in range(20):
        journal.append("late", BEGIN_S + 100.0 + number, {"number": number})
    journal.flush_now()
    SqlAnchor(engine, plant.place).export(journal.head(), BEGIN_S + 120.0)
    # Killed here: nothing is closed, and the log lies beside the database.
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for file in plant.file.parent.glob("vpp.sqlite3*"):
        shutil.copy2(file, crashed / file.name)
    engine.dispose()
    for file in crashed.iterdir():
        shutil.copy2(file, plant.file.parent / file.name)
    assert plant.verify().holds
    for file in crashed.iterdir():
        shutil.copy2(file, plant.file.parent / file.name)
    plant.file.with_name("vpp.sqlite3-wal").unlink()
    plant.file.with_name("vpp.sqlite3-shm").unlink(missing_ok=True)
    (finding,) = plant.verify().findings
    assert (finding.kind, finding.sequence) == ("wal_cut", 31)
    assert "-wal" in finding.action


@pytest.mark.parametrize("column", ["body", "sha256", "kind"])
def test_one_changed_character_is_found_with_its_entry(plant: Plant, column: str) -> None:
    with plant.sql() as database:
        (text,) = database.execute(f"SELECT {column} FROM journal WHERE sequence = 33").fetchone()  # noqa: S608
        changed = text[:3] + chr(ord(text[3]) ^ 1) + text[4:]
        database.execute(f"UPDATE journal SET {column} = ? WHERE sequence = 33", (changed,))  # noqa: S608
    findings = plant.verify().findings
    assert (findings[0].kind, findings[0].sequence) == ("altered", 33)


@of_a_file
def test_one_flipped_byte_in_the_file_is_found_wherever_it_lies(plant: Plant) -> None:
    whole = plant.file.read_bytes()
    missed = []
    for place in range(18, len(whole), 1531):
        content = bytearray(whole)
        content[place] ^= 0x20
        plant.file.write_bytes(content)
        try:
            holds = plant.verify().holds
        except Exception:  # noqa: BLE001 - a database that cannot even be opened is found, too
            holds = False
        if holds:
            missed.append(place)
    plant.file.write_bytes(whole)
    journalled = {place for place in missed if _is_journal(plant, whole, place)}
    assert journalled == set()


def _is_journal(plant: Plant, whole: bytes, place: int) -> bool:
    """Return whether a byte is part of what the journal says: changing it changes what is read."""
    with plant.sql() as database:
        before = database.execute("SELECT * FROM journal").fetchall()
        kinds = database.execute("SELECT kind, sequence FROM journal ORDER BY kind, sequence").fetchall()
    content = bytearray(whole)
    content[place] ^= 0x20
    plant.file.write_bytes(content)
    try:
        with plant.sql() as database:
            after = database.execute("SELECT * FROM journal").fetchall()
            kinds_after = database.execute("SELECT kind, sequence FROM journal ORDER BY kind, sequence").fetchall()
    finally:
        plant.file.write_bytes(whole)
    return (before, kinds) != (after, kinds_after)


@of_a_file
def test_a_byte_that_is_no_text_any_more_is_found(plant: Plant) -> None:
    content = plant.file.read_bytes()
    plant.file.write_bytes(content.replace(b'"number":1,', b'"number":\xff,', 1))
    assert plant.kinds() == ["altered"]


def test_an_entry_taken_from_the_middle_is_found(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence BETWEEN 41 AND 43")
    finding = plant.verify().findings[0]
    assert (finding.kind, finding.sequence) == ("gap", 41)
    assert "41 to 43" in finding.text


def test_an_older_backup_is_found(plant: Plant) -> None:
    restore = plant.backup()
    plant.run(40)
    restore()
    (finding,) = plant.verify().findings
    assert (finding.kind, finding.sequence) == ("older_state", 96)
    assert "restored a backup" in finding.action
    plant.run(100, export=False, begin_s=BEGIN_S + 5000.0)
    assert plant.kinds() == ["older_state"]


@of_a_file
def test_another_fleets_database_is_found(plant: Plant, tmp_path: Path) -> None:
    other = Plant(tmp_path, "elsewhere")
    other.run(20)
    assert other.verify().holds
    shutil.copy2(other.file, plant.file)
    (finding,) = plant.verify().findings
    assert finding.kind == "other_fleet"
    assert plant.fleet in finding.text
    assert other.fleet in finding.text


def test_a_missing_file_of_heads_is_found(plant: Plant) -> None:
    plant.head_file.unlink()
    assert plant.kinds() == ["heads_missing"]


def test_a_cut_file_of_heads_is_found(plant: Plant) -> None:
    lines = plant.head_file.read_text().splitlines()
    plant.head_file.write_text("\n".join(lines[:4]) + "\n")
    (finding,) = plant.verify().findings
    assert (finding.kind, finding.sequence) == ("heads_cut", 95)
    plant.head_file.write_text("")
    assert plant.kinds() == ["heads_cut"]


def test_a_line_that_holds_no_head_is_found(plant: Plant) -> None:
    lines = plant.head_file.read_text().splitlines()
    plant.head_file.write_text("\n".join([*lines[:2], "rubbish", *lines[2:]]) + "\n")
    (finding,) = plant.verify().findings
    assert finding.kind == "heads_unreadable"
    assert "lines 3" in finding.text


def test_an_exchanged_key_is_found(plant: Plant) -> None:
    plant.key.unlink()
    assert plant.kinds() == ["key_missing"]
    make_key(plant.key)
    assert plant.kinds() == ["key_exchanged"]


def test_heads_signed_anew_by_another_key_are_found(plant: Plant) -> None:
    forger = HeadKey.random()
    plant.rewrite(5)
    with plant.sql() as database:
        ((sequence, sha256),) = database.execute(
            "SELECT sequence, sha256 FROM journal ORDER BY sequence DESC LIMIT 1"
        ).fetchall()
    plant.head_file.write_text(forger.sign(plant.fleet, Head(sequence, sha256), BEGIN_S).line() + "\n")
    assert "key_exchanged" in plant.kinds()


def test_a_wrong_signature_is_found_with_its_head(plant: Plant) -> None:
    lines = plant.head_file.read_text().splitlines()
    lines[3] = lines[3].replace('"sequence":40', '"sequence":41')
    plant.head_file.write_text("\n".join(lines) + "\n")
    (finding,) = plant.verify().findings
    assert (finding.kind, finding.sequence) == ("signature", 41)


def test_what_was_added_by_hand_after_the_last_head_is_told_to_be_unprotected(plant: Plant) -> None:
    with plant.sql() as database:
        ((before,),) = database.execute("SELECT sha256 FROM journal WHERE sequence = 95").fetchall()
        sha256 = link(before, 96, "forged", BEGIN_S, "{}")
        database.execute(
            "INSERT INTO journal (sequence, kind, at_s, body, sha256) VALUES (96, 'forged', ?, '{}', ?)",
            (BEGIN_S, sha256),
        )
    found = plant.verify()
    assert found.holds
    assert found.unprotected == 1
    assert "protected by nothing yet" in found.notes[0]


def _lose(plant: Plant, first: int, last: int) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence BETWEEN ? AND ?", (first, last))


@pytest.mark.parametrize("column", ["body", "kind", "at_s", "packed"])
def test_the_entry_after_an_accepted_gap_cannot_be_changed_unseen(plant: Plant, column: str) -> None:
    _lose(plant, 41, 43)
    plant.accept()
    plant.run(10)
    assert plant.verify().holds
    with plant.sql() as database:
        value = {"body": "{}", "kind": "forged", "at_s": 1.0, "packed": b"x"}[column]
        database.execute(f"UPDATE journal SET {column} = ? WHERE sequence = 44", (value,))  # noqa: S608
    assert "gap" in plant.kinds()


def test_a_gap_that_an_earlier_version_accepted_stays_accepted(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose(plant, 41, 43)
    with monkeypatch.context() as earlier:
        earlier.setattr(diagnosis, "gap_digest", lambda gap: digest_of(f"{gap.first} {gap.last}"))
        plant.accept()
    assert plant.verify().holds
    _lose(plant, 44, 44)
    assert plant.kinds() == ["gap"]


def test_more_gaps_than_can_be_named_are_a_finding_and_cannot_be_accepted(empty: Plant) -> None:
    plant = empty
    plant.run(230)
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence % 2 = 0 AND sequence < 230")
    findings = plant.verify().findings
    assert "in 114 places" in [finding for finding in findings if finding.kind == "gap"][-1].text
    with pytest.raises(ConflictError, match="too many places"):
        plant.accept()


def test_verifying_writes_nothing_outside(plant: Plant) -> None:
    before = {path: path.read_bytes() for path in (plant.head_file, plant.key)}
    plant.verify()
    assert {path: path.read_bytes() for path in before} == before


def test_a_server_that_is_away_is_no_damage() -> None:
    away = sa.create_engine("postgresql+psycopg://vpp@127.0.0.1:1/vpp")
    with pytest.raises(sa.exc.OperationalError):
        walk(away, [])
