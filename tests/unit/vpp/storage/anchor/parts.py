"""A journal with signed heads, and whoever tampers with it: on real files."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from vpp.application.trust.accepted_restore import check_acceptable, note_acceptance, vouch_for_acceptance
from vpp.record.chain import GENESIS, link
from vpp.record.verification import Verification
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.anchor.verification import AnchorPlace
from vpp.storage.journal import SqlJournal
from vpp.storage.registry import SqlRegistry
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.sql import open_database

BEGIN_S = 1_790_000_000.0


class Plant:
    """One database with its anchor in two other places; every step opens and closes it like a process would."""

    def __init__(self, folder: Path, name: str = "data", heads: str = "state/heads") -> None:
        self.file = folder / name / "vpp.sqlite3"
        self.key = folder / "config" / "record.key"
        self.heads = folder / heads
        self.place = AnchorPlace(url=f"sqlite:///{self.file}", key=self.key, heads=self.heads)
        self.fleet = ""

    def run(self, entries: int, *, export: bool = True, begin_s: float | None = None) -> None:
        """Append some entries, a head after each tenth and at the end."""
        engine = open_database(self.place.url)
        self.fleet = SqlRegistry(engine).fleet_id()
        journal, anchor = SqlJournal(engine), SqlAnchor(engine, self.place)
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
        journal = SqlJournal(engine)
        archive = RecordArchive(engine, journal, SegmentRules(least_bytes=1, most_bytes=900))
        archive.verified(SqlAnchor(engine, self.place).verify_start().manifest if known else None)
        try:
            work(archive)
        finally:
            journal.close()
            engine.dispose()

    def accept(self, at_s: float = BEGIN_S) -> None:
        """Accept the record as it stands, like an operator."""
        engine = open_database(self.place.url)
        journal, anchor = SqlJournal(engine), SqlAnchor(engine, self.place)
        found = anchor.verify()
        check_acceptable(found)
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

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """Yield the database as somebody with a command line has it."""
        connection = sqlite3.connect(self.file)
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


def digest(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
