"""What can be read of a damaged journal is, and the rest is named."""

import pytest
import sqlalchemy as sa

from vpp.domain.errors import StorageError
from vpp.storage.journal import SqlJournal
from vpp.storage.segments import salvage


@pytest.fixture(autouse=True)
def _filled(engine: sa.Engine) -> None:
    record = SqlJournal(engine)
    for number in range(600):
        record.append("test", float(number), {"number": number})
    record.flush_now()
    record.close()


def change(engine: sa.Engine, sequence: int, body: object) -> None:
    with engine.begin() as connection:
        text = "UPDATE journal SET body = CAST(:body AS TEXT) WHERE sequence = :sequence"
        connection.execute(sa.text(text), {"body": body, "sequence": sequence})


def salvaged(engine: sa.Engine, **part: int) -> tuple[list[int], list[int]]:
    lost: list[int] = []
    kept = [entry.sequence for entry in SqlJournal(engine).salvage(lambda n, _: lost.append(n), **part)]
    return kept, lost


def test_a_sound_journal_is_salvaged_whole(engine: sa.Engine) -> None:
    assert salvaged(engine) == (list(range(1, 601)), [])
    assert salvaged(engine, after=250, until=260) == (list(range(251, 261)), [])


@pytest.mark.parametrize("body", ['{"number":', b'{"number":"\xff"}', '{"number":7777}', "[]"], ids=str)
@pytest.mark.parametrize("sequence", [1, 250, 251, 600])
def test_a_damaged_entry_is_named_and_its_neighbours_are_read(engine: sa.Engine, sequence: int, body: object) -> None:
    change(engine, sequence, body)
    kept, lost = salvaged(engine)
    assert lost == [sequence]
    assert kept == [n for n in range(1, 601) if n != sequence]


def test_the_first_entry_of_a_part_is_compared_with_the_one_before_it(engine: sa.Engine) -> None:
    change(engine, 301, '{"number":7777}')
    assert salvaged(engine, after=300, until=302) == ([302], [301])


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_server_that_is_away_is_no_damage(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, OSError("server closed the connection unexpectedly"))

    monkeypatch.setattr(salvage, "_next", away)
    with pytest.raises(StorageError, match="server closed"):
        salvaged(engine)
