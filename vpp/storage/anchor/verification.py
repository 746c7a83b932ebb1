"""Verification of the record against the signed heads kept outside the data directory."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from vpp.domain.errors import StorageError
from vpp.record.entry import Head
from vpp.record.heads import SignedHead, verified
from vpp.record.verification import Finding, FindingKind, Verification
from vpp.storage.anchor.acceptances import without_accepted
from vpp.storage.anchor.chain_walk import Progress, Walk, walk
from vpp.storage.anchor.diagnosis import DECIDE, Evidence, anchor_findings, chain_findings
from vpp.storage.anchor.heads.head_file import HeadFile, HeadsRead
from vpp.storage.anchor.key_file import read_key
from vpp.storage.anchor.notes import noted_head, noted_key
from vpp.storage.anchor.places import MainFile, Occupant, Places
from vpp.storage.anchor.redacted import without_redacted
from vpp.storage.anchor.sqlite_check import damage
from vpp.storage.registry import known_fleet
from vpp.storage.sql import journal, storing, torn_entries
from vpp.storage.subjects import altered


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorPlace:
    """Where the anchor of a database is kept.

    Attributes:
        url: SQLAlchemy URL of the database.
        key: File of the key.
        heads: Folder of the heads.
        archive: Folder of the journal's segments; ``None`` for the one beside an SQLite file.
    """

    url: str
    key: Path
    heads: Path
    archive: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outside:
    """What lies outside the database.

    Attributes:
        fleet: Fleet of the database.
        read: Its heads.
        good: Whether each is one of this fleet's with a good signature.
        public: Public key in force, ``None`` where the key is gone.
        occupant: What was last vouched for at the database's place.
    """

    fleet: str
    read: HeadsRead
    good: Sequence[bool]
    public: str | None
    occupant: Occupant | None

    @property
    def since(self) -> int:
        """Position of the first head that binds: the last accepted restore, else the first of all."""
        pairs = zip(self.read.heads, self.good, strict=True)
        return max((n for n, (head, good) in enumerate(pairs) if good and head.restored), default=0)

    @property
    def restores(self) -> Sequence[SignedHead]:
        """Heads with a good signature by which an operator accepted a restored record."""
        return [head for head, good in zip(self.read.heads, self.good, strict=True) if good and head.restored]

    @property
    def binding(self) -> Sequence[SignedHead]:
        """Heads that bind and have a good signature, by sequence: a leader that was deposed may write last."""
        since = self.since
        good = [head for head, good in zip(self.read.heads[since:], self.good[since:], strict=True) if good]
        return sorted(good, key=lambda head: head.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a walk over the chain is compared with, read before it begins.

    Attributes:
        outside: What lies outside the database.
        noted: Head that the database says was exported last.
        signer: Public key that signed it.
        main: Main file of the database.
    """

    outside: _Outside
    noted: Head | None
    signer: str | None
    main: MainFile | None

    @classmethod
    def of(cls, engine: sa.Engine, place: AnchorPlace) -> "Comparison":
        """Read it; raises as ``verify_record``."""
        main = MainFile.of(place.url)
        fleet, noted, signer = known_fleet(engine) or "", noted_head(engine), noted_key(engine)
        return cls(outside=_outside(place, fleet), noted=noted, signer=signer, main=main)

    @property
    def wanted(self) -> Collection[int]:
        """Entries whose hashes a walk has to note."""
        return {head.sequence for head in self.outside.binding}

    def result(
        self, engine: sa.Engine, walked: Walk, *, accepted: int = 0, redacted: int = 0, by_digest: int = 0
    ) -> Verification:
        """Compare a walk.

        Args:
            engine: The database.
            walked: What was met.
            accepted: Faults that were taken out of it because an operator accepted them.
            redacted: Entries that were taken out of it because names were erased from them.
            by_digest: Entries before the walk that were compared by the hashes of their files.
        """
        binding = self.outside.binding
        compared = [head for head in binding if not by_digest or head.sequence > walked.archived]
        last = binding[-1] if binding else None
        unprotected = max(walked.head.sequence - (0 if last is None else last.sequence), 0)
        return Verification(
            entries=walked.count + by_digest,
            head=walked.head,
            heads=len(compared),
            last_head=last,
            unprotected=unprotected,
            findings=self._findings(engine, walked),
            notes=[*_notes(walked, last, unprotected), *_accepted_notes(accepted), *_redacted_notes(redacted)],
            by_digest=by_digest,
            manifest=walked.manifest or None,
        )

    def _findings(self, engine: sa.Engine, walked: Walk) -> Sequence[Finding]:
        evidence = Evidence(
            fleet=self.outside.fleet,
            heads=self.outside.binding,
            noted=self.noted,
            occupant=self.outside.occupant,
            main=self.main,
            later=partial(_later, engine),
            set_aside=_set_aside(engine),
        )
        return [
            *damage(engine, walked),
            *chain_findings(walked),
            *_head_findings(self.outside, self.noted, self.signer),
            *anchor_findings(walked, evidence),
            *_name_findings(engine),
        ]


def verify_record(engine: sa.Engine, place: AnchorPlace, progress: Progress = lambda _: None) -> Verification:
    """Compute the whole chain again and compare it with the signed heads; writes nothing.

    Raises:
        ConfigurationError: The key cannot be used.
        OSError: The heads cannot be read.
        StorageError: The database cannot be read now.
    """
    compared = Comparison.of(engine, place)
    with storing("the record"):
        walked = walk(engine, compared.wanted, progress, archive=place.archive)
        redacted = without_redacted(walked, compared.outside.binding)
        accepted = without_accepted(engine, walked, compared.outside.restores, place.archive)
        return compared.result(engine, walked, accepted=accepted, redacted=redacted)


def _later(engine: sa.Engine, at_s: float) -> int | None:
    """Return the first entry made after an epoch second; reads the whole journal."""
    with engine.connect() as connection:
        first: int | None = connection.execute(
            sa.select(sa.func.min(journal.c.sequence)).where(journal.c.at_s > at_s)
        ).scalar()
    return first


def _set_aside(engine: sa.Engine) -> Sequence[int]:
    """Return the sequences of entries that were set aside as torn, none where they cannot be read."""
    try:
        with engine.connect() as connection:
            return connection.execute(sa.select(torn_entries.c.sequence)).scalars().all()
    except sa.exc.DatabaseError:
        return []


def _name_findings(engine: sa.Engine) -> Iterator[Finding]:
    """Yield a fault where an actor's name was changed beside the chain: tokens commit to names."""
    try:
        wrong = altered(engine)
    except StorageError:  # what keeps the table from being read is a finding of its own
        return
    if wrong:
        yield Finding(
            kind=FindingKind.REWRITTEN,
            text=f"{len(wrong)} names of actors are not those that the journal's tokens were made of, the first that of"
            f" {wrong[0]}",
            action="restore the table subjects from a backup; acts under these tokens are nobody's until then",
        )


def _outside(place: AnchorPlace, fleet: str) -> _Outside:
    key = read_key(place.key)
    public = None if key is None else key.public
    read = HeadFile(place.heads, fleet).read() if fleet else HeadsRead()
    return _Outside(
        fleet=fleet,
        read=read,
        good=[public is not None and head.fleet == fleet and verified(head, public) for head in read.heads],
        public=public,
        occupant=Places(place.heads).occupant(place.url),
    )


def _notes(walked: Walk, last: SignedHead | None, unprotected: int) -> Sequence[str]:
    if last is None and walked.count:
        return ["no signed head has been exported yet: the chain was checked against itself only"]
    if last is None or not unprotected:
        return []
    late = f"{unprotected} entries after the last signed head (entry {last.sequence}) are protected by nothing yet"
    return [f"{late}: whoever can write the database can change, remove or add them unseen until the next head"]


def _accepted_notes(count: int) -> Sequence[str]:
    return [f"{count} faults of the chain were accepted by an operator (entries record.restored)"] if count else []


def _redacted_notes(count: int) -> Sequence[str]:
    return [f"names were erased from {count} entries of an earlier version (entries record.redacted)"] if count else []


def _head_findings(outside: _Outside, noted: Head | None, signer: str | None) -> Iterator[Finding]:
    """Yield the faults of heads and key."""
    read, there = outside.read, outside.occupant
    vouched = noted is not None or (there is not None and there.fleet == outside.fleet)
    if vouched and not read.exists:
        yield Finding(
            kind=FindingKind.HEADS_MISSING,
            text=f"signed heads of fleet {outside.fleet!r} were exported and their file is gone",
            action=f"put the file back (VPP_RECORD_HEADS) from its copy; without one, {DECIDE}",
        )
        return
    if read.unreadable:
        yield Finding(
            kind=FindingKind.HEADS_UNREADABLE,
            text=f"lines {', '.join(map(str, read.unreadable[:5]))} of the file of heads hold no head",
            action=f"put the file back from its copy; without one, {DECIDE}",
        )
    if read.heads:
        yield from _signature_findings(outside, signer)
    latest = (outside.binding or read.heads or (None,))[-1]
    if noted is not None and (latest is None or noted.sequence > latest.sequence):
        yield Finding(
            kind=FindingKind.HEADS_CUT,
            sequence=noted.sequence,
            text=f"a head of entry {noted.sequence} was exported, and the file of heads ends with"
            f" {'none' if latest is None else f'that of entry {latest.sequence}'}",
            action=f"put the file back from its copy; without one, {DECIDE}",
        )


def _signature_findings(outside: _Outside, signer: str | None) -> Iterator[Finding]:
    if outside.public is None:
        yield Finding(
            kind=FindingKind.KEY_MISSING,
            text="the key that signed the heads is gone",
            action=f"put the file back (VPP_RECORD_KEY); if it is lost, {DECIDE} makes a new one",
        )
        return
    good, since = outside.binding, outside.since
    wrong = [h for h, is_good in zip(outside.read.heads[since:], outside.good[since:], strict=True) if not is_good]
    if (wrong and not good) or (signer is not None and signer != outside.public):
        yield Finding(
            kind=FindingKind.KEY_EXCHANGED,
            text=f"the heads were signed by another key than {outside.public[:16]}…, which is in VPP_RECORD_KEY now",
            action=f"put the former key back; if you exchanged it on purpose, {DECIDE}",
        )
    elif wrong:
        yield Finding(
            kind=FindingKind.SIGNATURE,
            sequence=wrong[0].sequence,
            text=f"{len(wrong)} signed heads have a wrong signature, the first that of entry {wrong[0].sequence}: they"
            " were not made by the key in VPP_RECORD_KEY, or were changed",
            action=f"put the file of heads back from its copy; without one, {DECIDE}",
        )
