"""A journal with signed heads, and whoever tampers with it: on real files."""

import hashlib
import importlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from vpp.application.trust.accepted_restore import check_acceptable, note_acceptance, vouch_for_acceptance
from vpp.record.chain import GENESIS, link
from vpp.record.verification import Verification
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.anchor.verification import AnchorPlace
from vpp.storage.journal import SqlJournal
from vpp.storage.registry import SqlRegistry
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.sql import metadata, open_database

BEGIN_S = 1_790_000_000.0


class Plant:
    """One database with its anchor in two other places; every step opens and closes it like a process would."""

    def __init__(self, folder: Path, name: str = "data", heads: str = "state/heads", *, server: str = "") -> None:
        self.file = folder / name / "vpp.sqlite3"
        self.key = folder / "config" / "record.key"
        self.heads = folder / heads
        url, archive = (server, self.file.parent / "record") if server else (f"sqlite:///{self.file}", None)
        self.place = AnchorPlace(url=url, key=self.key, heads=self.heads, archive=archive)
        self.fleet = ""

    def run(self, entries: int, *, export: bool = True, begin_s: float | None = None) -> None:
        """Append some entries, a head after each tenth and at the end."""
        engine = open_database(self.place.url)
        self.fleet = SqlRegistry(engine).fleet_id()
        journal, anchor = SqlJournal(engine, self.place.archive), SqlAnchor(engine, self.place)
        for number in range(entries):
            at_s = (BEGIN_S if begin_s is None else begin_s) + journal.sequence
            journal.append(f"kind.{number % 3}", at_s, {"actor": "dispatcher", "number": number, "text": "x" * 40})
            if export and (number % 10 == 9 or number == entries - 1):
                journal.flush_now()
                anchor.export(journal.head(), at_s)
        journal.flush_now()
        journal.close()
        engine.dispose()

    def verify(self) -> Verification:
        """Verify like ``vpp audit verify``."""
        engine = open_database(self.place.url)
        try:
            return SqlAnchor(engine, self.place).verify()
        finally:
            engine.dispose()

    def verify_start(self) -> Verification:
        """Verify like a start."""
        engine = open_database(self.place.url)
        try:
            return SqlAnchor(engine, self.place).verify_start()
        finally:
            engine.dispose()

    def archive(self, work: Callable[[RecordArchive], object], *, known: bool = True) -> None:
        """Have the archive do something, like a service that has verified its start, or like an earlier version."""
        engine = open_database(self.place.url)
        journal = SqlJournal(engine, self.place.archive)
        archive = RecordArchive(engine, journal, SegmentRules(least_bytes=1, most_bytes=900))
        archive.verified(SqlAnchor(engine, self.place).verify_start().manifest if known else None)
        try:
            work(archive)
        finally:
            journal.close()
            engine.dispose()

    def accept(self, at_s: float = BEGIN_S) -> None:
        """Accept the record as it stands, like an operator."""
        found = self.verify()
        check_acceptable(found)
        engine = open_database(self.place.url)
        journal, anchor = SqlJournal(engine, self.place.archive), SqlAnchor(engine, self.place)
        anchor.decide(actor="operator", reason="disk", at_s=at_s)
        decision = anchor.decision()
        assert decision is not None
        note_acceptance(journal, found, decision, at_s)
        journal.flush_now()
        vouch_for_acceptance(journal, anchor, at_s)
        journal.close()
        engine.dispose()

    @property
    def segments(self) -> list[Path]:
        """The files of the archive, oldest first."""
        return sorted((self.file.parent / "record").iterdir())

    def kinds(self) -> list[str]:
        """Return the kinds of findings."""
        return [finding.kind.value for finding in self.verify().findings]

    @property
    def head_file(self) -> Path:
        """The file of heads."""
        return self.heads / f"{self.fleet}.jsonl"

    def destroy(self) -> None:
        """Leave nothing of the database."""
        if not self.place.archive:
            self.file.unlink()
            return
        with self.sql() as database:
            database.execute("DROP SCHEMA public CASCADE")
            database.execute("CREATE SCHEMA public")

    def backup(self) -> Callable[[], None]:
        """Copy database and archive; return what puts them back."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        kept = shutil.copytree(self.file.parent, self.file.parent.with_name("backup"))
        rows = self._rows() if self.place.archive else {}

        def restore() -> None:
            shutil.rmtree(self.file.parent)
            shutil.copytree(kept, self.file.parent, copy_function=shutil.copyfile)  # with a time of their own
            if not rows:
                return
            engine = open_database(self.place.url)
            with engine.begin() as connection:
                for table, content in rows.items():
                    connection.execute(sa.delete(table))
                    if content:
                        connection.execute(sa.insert(table), content)
            engine.dispose()

        return restore

    def _rows(self) -> dict[sa.Table, list[dict[str, object]]]:
        engine = open_database(self.place.url)
        with engine.connect() as connection:
            tables = metadata.sorted_tables
            found = {one: [dict(row) for row in connection.execute(sa.select(one)).mappings()] for one in tables}
        engine.dispose()
        return found

    @contextmanager
    def sql(self) -> Iterator["Tampering"]:
        """Yield the database as somebody with a command line has it."""
        connection = Tampering(self.place.url)
        try:
            yield connection
            connection.commit()
        finally:
            connection.close()

    def rewrite(self, first: int, actor: str = "nobody", *, until: int | None = None) -> None:
        """Change the actor of entries from ``first`` on and hash the whole chain again."""
        with self.sql() as connection:
            rows = connection.execute("SELECT sequence, kind, at_s, body FROM journal ORDER BY sequence").fetchall()
            sha256 = GENESIS
            for sequence, kind, at_s, body in rows:
                text = body
                if sequence >= first and (until is None or sequence <= until):
                    text = orjson.dumps({**orjson.loads(body), "actor": actor}, option=orjson.OPT_SORT_KEYS).decode()
                sha256 = link(sha256, sequence, kind, at_s, text)
                connection.execute(
                    "UPDATE journal SET body = ?, sha256 = ? WHERE sequence = ?", (text, sha256, sequence)
                )

    def flip(self, wanted: bytes, *, file: Path | None = None) -> None:
        """Flip the lowest bit of the first byte of a text in a file."""
        target = file or self.file
        content = bytearray(target.read_bytes())
        place = content.index(wanted)
        content[place] ^= 1
        target.write_bytes(content)


class Tampering:
    """Connection of somebody who is no part of the service; parameters are question marks."""

    def __init__(self, url: str) -> None:
        self._is_file = url.startswith("sqlite")
        opened = sqlite3.connect(url.removeprefix("sqlite:///")) if self._is_file else _server(url)
        self._raw: Any = opened
        self.commit, self.close = self._raw.commit, self._raw.close

    def execute(self, statement: str, values: Sequence[object] = ()) -> Any:  # noqa: ANN401 - a driver's cursor
        """Execute one statement."""
        if self._is_file or not values:
            return self._raw.execute(statement, *([values] if values else []))
        return self._raw.execute(statement.replace("?", "%s"), values)


def _server(url: str) -> object:
    return importlib.import_module("psycopg").connect(url.replace("+psycopg", ""))


def digest(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
