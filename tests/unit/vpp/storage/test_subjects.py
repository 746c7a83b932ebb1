"""Names beside the journal: in no entry, no file but their own table, and gone once they are erased."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unit.vpp.stored import stored_bytes
from vpp.domain.errors import StorageError
from vpp.record.names.subject import SubjectKind
from vpp.storage import subjects as storage
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.sql import subjects
from vpp.storage.subjects import altered, erase, first_sealed, overwrite_free_pages, tokens_of


def started(session_id: str) -> dict[str, object]:
    return {"sessions": [{"event": "SessionStarted", "session_id": session_id, "row": 1}], "anchors": []}


def ended(session_id: str) -> dict[str, object]:
    return {"sessions": [{"event": "SessionEnded", "session_id": session_id, "row": 1}], "anchors": []}


def act(actor: str) -> dict[str, object]:
    return {"id": "r", "actor": actor, "reason": "because"}


def written(engine: sa.Engine, *bodies: tuple[str, dict[str, object]]) -> SqlJournal:
    journal = SqlJournal(engine)
    for kind, body in bodies:
        journal.append(kind, 1.0, body)
    journal.flush_now()
    return journal


def sessions(journal: SqlJournal) -> list[str]:
    return [entry.body["sessions"][0]["session_id"] for entry in journal.entries(("cycle",))]  # type: ignore[index] # as written


def test_entries_hold_tokens_and_a_restart_finds_the_names(engine: sa.Engine) -> None:
    journal = written(engine, ("request.transition", act("alice")), ("cycle", started("CS-1:1")))
    assert "alice" not in str([entry.body for entry in journal.entries()])
    again = SqlJournal(engine)
    tree = [entry.body for entry in again.entries()]
    assert again.opened(tree)[0]["actor"] == "alice"
    again.append("cycle", 2.0, ended("CS-1:1"))
    again.append("request.transition", 2.0, act("alice"))
    again.flush_now()
    assert len(set(sessions(again))) == 1, "the same session, the same token"
    assert len(tokens_of(engine, SubjectKind.ACTOR, ["alice"])) == 1


def test_a_name_may_have_any_character(engine: sa.Engine) -> None:
    names = ["CS\0:\ue0001", "CS\0:\ue0000\0", "Späti 🔌:1"]
    journal = written(engine, *(("cycle", started(name)) for name in names))
    assert journal.opened(sessions(SqlJournal(engine))) == names
    assert SqlJournal(engine).opened(sessions(journal)) == names
    assert len(tokens_of(engine, SubjectKind.SESSION, ["CS\0"], whole=False)) == 2


def test_a_session_that_has_ended_is_not_kept_in_memory(engine: sa.Engine) -> None:
    journal = written(engine, ("cycle", started("CS-1:1")), ("cycle", started("CS-1:1")), ("cycle", ended("CS-1:1")))
    assert len(set(sessions(journal))) == 1
    assert journal._subjects._tokens == {}
    assert journal._subjects._pending == []


def test_what_is_erased_is_in_no_file_and_the_chain_verifies(engine: sa.Engine, tmp_path: Path) -> None:
    ids = [f"CS-SECRET-{n}:{n}" for n in range(50)]
    journal = written(engine, *(("cycle", started(one)) for one in ids), ("request.transition", act("alice")))
    before = verify(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")  # statistics hold values, too
    tokens = tokens_of(engine, SubjectKind.SESSION, ["CS-SECRET-7", "CS-SECRET-8:8"], whole=False)
    assert len(tokens) == 2
    with engine.begin() as connection:
        erase(connection, tokens)
    overwrite_free_pages(engine)
    files = stored_bytes(engine, tmp_path)
    assert b"CS-SECRET-7:" not in files
    assert b"CS-SECRET-8:" not in files
    assert b"CS-SECRET-9:" in files
    assert verify(engine) == before
    found = journal.opened(sessions(journal))
    assert [name for name in found if name.startswith("~")] == [sessions(journal)[n] for n in (7, 8)]
    journal.close()


def test_a_station_of_a_longer_name_is_another_one(engine: sa.Engine) -> None:
    written(engine, ("cycle", started("CS_1:1")), ("cycle", started("CS_10:1")), ("cycle", started("CSX1:1")))
    assert len(tokens_of(engine, SubjectKind.SESSION, ["CS_1"], whole=False)) == 1


def test_a_station_whose_name_has_other_letters_in_capitals_is_another_one(engine: sa.Engine) -> None:
    written(engine, ("cycle", started("CS-a:1")), ("cycle", started("CS-A:1")))
    assert len(tokens_of(engine, SubjectKind.SESSION, ["CS-a"], whole=False)) == 1


def test_an_actor_whose_name_was_changed_beside_the_chain_is_found(engine: sa.Engine) -> None:
    written(engine, ("request.transition", act("alice")), ("request.transition", act("bob")))
    assert altered(engine) == []
    with engine.begin() as connection:
        connection.execute(sa.update(subjects).where(subjects.c.name == "alice").values(name="mallory"))
    assert altered(engine) == tokens_of(engine, SubjectKind.ACTOR, ["mallory"])


def test_names_of_entries_that_could_not_be_written_wait_with_them(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqlJournal(engine)
    journal.append("request.transition", 1.0, act("alice"))
    with monkeypatch.context() as broken:
        broken.setattr(journal, "_engine", sa.create_engine("sqlite:////nonexistent/vpp.sqlite"))
        with pytest.raises(StorageError):
            journal.flush_now()
    assert tokens_of(engine, SubjectKind.ACTOR, ["alice"]) == []
    journal.append("request.transition", 2.0, act("bob"))
    journal.flush_now()
    assert len(tokens_of(engine, SubjectKind.ACTOR, ["alice", "bob"])) == 2
    assert journal._subjects._pending == []


def test_a_new_database_has_tokens_from_its_first_entry_on(engine: sa.Engine) -> None:
    assert first_sealed(engine) == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("reads", ["SELECT 1 FROM facts", "LOCK TABLE journal"])
def test_traces_are_said_to_be_left_where_another_session_keeps_them(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    monkeypatch.setattr(storage, "_PATIENCE_WALL_S", 0.2)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as other:
        other.exec_driver_sql(reads)
        with pytest.raises(StorageError, match="erase again"):
            overwrite_free_pages(engine)
    overwrite_free_pages(engine)
