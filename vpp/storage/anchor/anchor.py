"""Anchor of one database's journal: heads signed and exported, the record verified against them."""

import threading

import sqlalchemy as sa

from vpp.domain.errors import StorageError
from vpp.record.decisions import RestoreDecision
from vpp.record.entry import Head
from vpp.record.heads import HeadKey, SignedHead
from vpp.record.verification import Verification
from vpp.storage.anchor.beside import LONG, verify_beside
from vpp.storage.anchor.chain_walk import Progress, last_sequence
from vpp.storage.anchor.decision_file import DecisionFile
from vpp.storage.anchor.heads.head_file import HeadFile
from vpp.storage.anchor.heads.head_post import HeadPost
from vpp.storage.anchor.key_file import make_key, read_key
from vpp.storage.anchor.notes import note
from vpp.storage.anchor.places import MainFile, Occupant, Places, place_of
from vpp.storage.anchor.start_verification import verify_start
from vpp.storage.anchor.verification import AnchorPlace, verify_record
from vpp.storage.registry import known_fleet


class SqlAnchor:
    """Signs heads of a database's journal and verifies it; implements ``vpp.ports.RecordAnchor``; calls block.

    Args:
        engine: The database.
        place: Where key and heads are kept.
        post: Sends heads to a second place, ``None`` where there is none.
    """

    def __init__(self, engine: sa.Engine, place: AnchorPlace, post: HeadPost | None = None) -> None:
        self._engine = engine
        self._place = place
        self._post = post
        self._exporting = threading.Lock()
        self._file: HeadFile | None = None
        self._key: HeadKey | None = None

    def verify(self, progress: Progress = lambda _: None) -> Verification:
        """Compute the whole chain again and compare it with the signed heads.

        Raises:
            ConfigurationError: The key cannot be used.
            OSError: The heads cannot be read.
            StorageError: The database cannot be read now.
        """
        return verify_record(self._engine, self._place, progress)

    def verify_start(self, progress: Progress = lambda _: None) -> Verification:
        """Verify what a start has to (`vpp.storage.anchor.start_verification`), where long in a process of its own.

        ``progress`` may raise to end it; raises as ``verify``.
        """
        long = place_of(self._place.url) is not None and last_sequence(self._engine) >= LONG
        return verify_beside(self._place, progress) if long else verify_start(self._engine, self._place, progress)

    def export(self, head: Head, at_s: float, *, restored: bool = False) -> SignedHead:
        """Sign a head and append it to the fleet's file, durably; makes the key where there is none yet.

        Args:
            head: Of the durable entries.
            at_s: Epoch seconds of the service's clock.
            restored: An operator has accepted the journal as it stands.

        Raises:
            StorageError: The head cannot be kept now.
            ConfigurationError: The key cannot be used.
        """
        with self._exporting:
            fleet = known_fleet(self._engine)
            if fleet is None:
                raise StorageError("the database names no fleet yet, so its journal has no head to sign")
            if self._key is None or restored:
                self._key = read_key(self._place.key) or make_key(self._place.key)
            if self._file is None or restored:
                self._file = HeadFile(self._place.heads, fleet)
            signed = self._key.sign(fleet, head, at_s, restored=restored)
            try:
                self._file.append(signed)
                # After the file: what the database notes can be missing there only if somebody took it away.
                note(self._engine, head, self._key.public)
                occupant = Occupant(fleet=fleet, sequence=head.sequence, main=MainFile.of(self._place.url))
                Places(self._place.heads).note(self._place.url, occupant)
            except OSError as error:
                raise StorageError(f"the signed head cannot be kept in {self._file.path}: {error.strerror}") from error
            if self._post is not None:
                self._post.add(signed)
            return signed

    def send(self) -> int:
        """Send what was not sent yet to the second place; return how many heads still wait.

        Raises:
            StorageError: The place takes nothing now.
        """
        return 0 if self._post is None else self._post.send()

    def decide(self, *, actor: str, reason: str, at_s: float) -> None:
        """Keep an operator's decision to accept the record as it stands, until it is carried out.

        Raises:
            ConfigurationError: The key cannot be used.
            OSError: The decision cannot be written.
        """
        key = read_key(self._place.key) or make_key(self._place.key)
        self._decisions().write(RestoreDecision.signed(key, actor=actor, reason=reason, at_s=at_s))

    def decision(self) -> RestoreDecision | None:
        """Return a decision that waits to be carried out; one that the key did not sign is none."""
        waiting, key = self._decisions().read(), read_key(self._place.key)
        return waiting if waiting is not None and key is not None and waiting.verified(key.public) else None

    def decided(self) -> None:
        """Take the decision away."""
        self._decisions().remove()

    def _decisions(self) -> DecisionFile:
        return DecisionFile(self._place.heads, known_fleet(self._engine) or "")
