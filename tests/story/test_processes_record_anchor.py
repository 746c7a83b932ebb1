"""Tampering with the record while the service is down: found by the next start and by the audit, until one decides."""

import json
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import pytest

from tests.patience import PATIENCE_WALL_S
from tests.story.processes import environment, last_words, running, stop, vpp, wait_until
from vpp.record.chain import GENESIS, link
from vpp.record.decisions import RESTORED
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.anchor.verification import AnchorPlace
from vpp.storage.journal import SqlJournal
from vpp.storage.sql import open_database

ENTRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A data folder and the record's key and heads beside it."""

    folder: Path
    env: Mapping[str, str]

    @property
    def database(self) -> Path:
        """The database."""
        return self.folder / "data" / "vpp.sqlite3"

    @property
    def wal(self) -> Path:
        """Its write-ahead log."""
        return self.database.with_name("vpp.sqlite3-wal")

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """Yield the database."""
        connection = sqlite3.connect(self.database)
        yield connection
        connection.commit()
        connection.close()

    def audit(self) -> tuple[int, dict[str, object]]:
        """Return exit code and content of ``vpp audit verify --json``."""
        ended = vpp("audit", "verify", "--json", env=self.env)
        assert ended.err == ""
        return ended.code, json.loads(ended.out)

    def readiness(self) -> bool | None:
        """Return whether the running service says that it trusts the record, ``None`` while it says nothing."""
        try:
            answer = httpx.get(f"http://{self.env['VPP_HTTP']}/readyz", timeout=PATIENCE_WALL_S).json()
        except (httpx.HTTPError, ValueError):
            return None
        trusted: bool | None = answer["checks"].get("record")  # a process that stands by says nothing of it
        return trusted

    @contextmanager
    def service(self) -> Iterator[Path]:
        """Run the service until it has been asked to stop, which it does cleanly; yield its log."""
        log = self.folder / "serve.log"
        with running("serve", env=self.env, log=log) as process:
            wait_until(lambda: self.readiness() is not None)
            yield log
            assert stop(process, signal.SIGTERM) == 0, last_words(log)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Return a plant that ran, was killed, ran again and was stopped cleanly."""
    folder = tmp_path_factory.mktemp("anchor") / "plant"
    folder.mkdir()
    plant = Plant(folder=folder, env=environment(folder / "data"))
    with plant.service():
        wait_until(lambda: plant.readiness() is True)
    engine = open_database(f"sqlite:///{plant.database}")
    journal = SqlJournal(engine)
    for number in range(ENTRIES):
        journal.append("test", float(number), {"actor": "dispatcher", "number": number, "passable": True})
    journal.flush_now()
    journal.close()
    engine.dispose()
    with plant.service():
        wait_until(lambda: plant.readiness() is True)
    assert plant.audit()[1]["unprotected"] == 0
    shutil.copytree(folder, folder.with_name("kept"))
    return plant


@pytest.fixture
def plant(sound: Plant) -> Plant:
    """Return it as it was."""
    shutil.rmtree(sound.folder)
    shutil.copytree(sound.folder.with_name("kept"), sound.folder)
    return sound


def last_half_cut(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence > ?", (ENTRIES // 2,))


def all_deleted(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal")


def database_deleted(plant: Plant) -> None:
    for file in plant.database.parent.glob("vpp.sqlite3*"):
        file.unlink()


def actors_rewritten(plant: Plant) -> None:
    with plant.sql() as database:
        sha256 = GENESIS
        rows = database.execute("SELECT sequence, kind, at_s, body, packed FROM journal ORDER BY sequence").fetchall()
        for sequence, kind, at_s, body, packed in rows:
            text = body
            if kind == "test":
                text = orjson.dumps(orjson.loads(body) | {"actor": "nobody"}, option=orjson.OPT_SORT_KEYS).decode()
            sha256 = link(sha256, sequence, kind, at_s, text, packed or b"")
            database.execute("UPDATE journal SET body = ?, sha256 = ? WHERE sequence = ?", (text, sha256, sequence))


def one_byte_flipped(plant: Plant) -> None:
    content = bytearray(plant.database.read_bytes())
    content[content.index(b'"dispatcher","number":77')] ^= 1
    plant.database.write_bytes(content)


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (last_half_cut, "cut"),
        pytest.param(all_deleted, "deleted", marks=pytest.mark.variant),
        (database_deleted, "deleted"),
        pytest.param(actors_rewritten, "rewritten", marks=pytest.mark.variant),
        pytest.param(one_byte_flipped, "altered", marks=pytest.mark.variant),
    ],
)
def test_tampering_is_found_by_the_audit_and_by_the_next_start(
    plant: Plant, tamper: Callable[[Plant], None], kind: str
) -> None:
    tamper(plant)
    code, before = plant.audit()
    assert (code, before["verified"]) == (1, False)
    with plant.service() as log:
        wait_until(lambda: "record does not verify" in log.read_text())
        assert plant.readiness() is False
        assert httpx.get(f"http://{plant.env['VPP_HTTP']}/metrics", timeout=PATIENCE_WALL_S).text.count(
            "vpp_record_trusted 0.0"
        )
    code, after = plant.audit()
    assert code == 1
    for found in (before, after):
        first, *_ = found["findings"]  # type: ignore[misc] # JSON
        assert first["kind"] == kind
        assert first["text"]
        assert first["action"]


def test_a_write_ahead_log_removed_after_a_crash_is_found(plant: Plant) -> None:
    url, record = f"sqlite:///{plant.database}", Path(plant.env["VPP_RECORD_HEADS"])
    place = AnchorPlace(url=url, key=Path(plant.env["VPP_RECORD_KEY"]), heads=record)
    engine, crashed = open_database(url), plant.folder / "crashed"
    journal = SqlJournal(engine)
    for number in range(20):
        journal.append("test", float(number), {"number": number, "passable": True})
    journal.flush_now()
    SqlAnchor(engine, place).export(journal.head(), SYSTEM_CLOCK.now_s())
    # Killed here: nothing was closed, and the log lies beside the main file.
    shutil.copytree(plant.database.parent, crashed)
    journal.close()
    engine.dispose()
    shutil.rmtree(plant.database.parent)
    shutil.copytree(crashed, plant.database.parent)
    plant.wal.unlink()
    code, found = plant.audit()
    assert (code, found["findings"][0]["kind"]) == (1, "wal_cut")  # type: ignore[index] # JSON
    with plant.service() as log:
        wait_until(lambda: "record does not verify" in log.read_text())


def test_the_running_service_takes_a_decision_up_and_takes_commitments_again(plant: Plant) -> None:
    last_half_cut(plant)
    with plant.service() as log:
        wait_until(lambda: "record does not verify" in log.read_text())
        ended = vpp("audit", "accept-restore", "--reason", "backup of Monday", "--actor", "li", env=plant.env)
        assert (ended.code, "accepted" in ended.out) == (0, True), ended.err
        assert plant.readiness() is True
        assert "record accepted as it stands" in log.read_text()
    assert plant.audit()[0] == 0
    with plant.service():
        wait_until(lambda: plant.readiness() is True)


@pytest.mark.parametrize(
    "tamper",
    [
        last_half_cut,
        database_deleted,
        pytest.param(actors_rewritten, marks=pytest.mark.variant),
        pytest.param(one_byte_flipped, marks=pytest.mark.variant),
    ],
)
def test_a_decision_is_carried_out_while_no_service_runs(plant: Plant, tamper: Callable[[Plant], None]) -> None:
    tamper(plant)
    if tamper is database_deleted:
        assert vpp("audit", "accept-restore", "--reason", "none", env=plant.env).code == 2
        with plant.service() as log:
            wait_until(lambda: "record does not verify" in log.read_text())
    ended = vpp("audit", "accept-restore", "--reason", "a new beginning", env=plant.env)
    assert ended.code == 0, ended.err
    code, found = plant.audit()
    assert (code, found["unprotected"]) == (0, 0)
    with plant.sql() as database:
        ((body,),) = database.execute("SELECT body FROM journal WHERE kind = ?", (RESTORED,)).fetchall()
    assert json.loads(body)["reason"] == "a new beginning"
    with plant.service():
        wait_until(lambda: plant.readiness() is True)
    again = vpp("audit", "accept-restore", "--reason", "again", env=plant.env)
    assert (again.code, "nothing to accept" in again.err) == (2, True)


def test_a_second_change_of_an_accepted_entry_is_found(plant: Plant) -> None:
    one_byte_flipped(plant)
    assert vpp("audit", "accept-restore", "--reason", "no backup", env=plant.env).code == 0
    assert plant.audit()[0] == 0
    content = bytearray(plant.database.read_bytes())
    content[content.index(b'"number":77') + 9] ^= 1
    plant.database.write_bytes(content)
    code, found = plant.audit()
    assert (code, found["findings"][0]["kind"]) == (1, "altered")  # type: ignore[index] # JSON
