"""Entries as they are stored and hashed."""

from dataclasses import dataclass

from vpp.domain.errors import AuditError, FrameError
from vpp.record.chain import link
from vpp.record.entry import JournalEntry
from vpp.record.stored_body import StoredBody, read_body


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """One entry as stored; ``sha256`` is what was stored with it, hexadecimal."""

    sequence: int
    kind: str
    at_s: float
    body: StoredBody
    sha256: str

    def linked(self, before_sha256: str) -> str:
        """Return the hash it should have after an entry whose hash is ``before_sha256``."""
        return link(before_sha256, self.sequence, self.kind, self.at_s, *self.body)

    def entry(self) -> JournalEntry:
        """Return what it says.

        Raises:
            AuditError: Its body cannot be read.
        """
        try:
            body = read_body(*self.body)
        except FrameError as error:
            raise AuditError(
                f"journal entry {self.sequence} ({self.kind}) cannot be read: {error}; entries follow it, so it is"
                " damage and no torn write: restore the database from a backup"
            ) from error
        return JournalEntry(sequence=self.sequence, kind=self.kind, at_s=self.at_s, body=body, sha256=self.sha256)
