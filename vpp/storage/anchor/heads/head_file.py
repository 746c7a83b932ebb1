"""File of a fleet's signed heads: one JSON object a line, appended and synchronised."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vpp.domain.errors import FrameError
from vpp.domain.units import SECONDS_PER_DAY
from vpp.record.heads import SignedHead
from vpp.storage.segments.folders import sync_folder

_MOST, _NEWEST = 10_000, 2_000
"""Heads above which a file is thinned, and the newest of them that are always kept: more than a day's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsRead:
    """Content of a file of heads.

    Attributes:
        heads: Heads in the order they were written.
        unreadable: Numbers of the lines that hold no head, from 1, a last line that a crash cut short left out.
        exists: There is such a file.
    """

    heads: Sequence[SignedHead] = ()
    unreadable: Sequence[int] = ()
    exists: bool = False


class HeadFile:
    """Signed heads of one fleet in a folder.

    A head covers all entries before it, so older ones only help to say when something was changed: of those but the
    newest 2,000 the last of each day is kept, and those by which an operator accepted a restored journal.
    """

    def __init__(self, folder: Path, fleet: str) -> None:
        self.path = folder / f"{fleet}.jsonl"
        self._lines = -1

    def read(self) -> HeadsRead:
        """Return the heads.

        Raises:
            OSError: The file cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return HeadsRead()
        lines, heads, unreadable = content.split(b"\n"), [], []
        for number, line in enumerate(lines, start=1):
            try:
                if line:
                    heads.append(SignedHead.of_line(line))
            except FrameError:
                if number < len(lines):
                    unreadable.append(number)
        return HeadsRead(heads=heads, unreadable=unreadable, exists=True)

    def append(self, head: SignedHead) -> None:
        """Append a head; durable when this returns.

        Raises:
            OSError: The file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thin()
        with os.fdopen(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as file:
            # What a crash cut short was never confirmed.
            file.truncate(file.read().rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(head.line().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path.parent)
        self._lines += 1

    def _thin(self) -> None:
        if self._lines < 0:
            self._lines = len(self.read().heads)
        if self._lines < _MOST:
            return
        kept = thinned(self.read().heads)
        draft = self.path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(b"".join(head.line().encode() + b"\n" for head in kept))
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o600)
        draft.replace(self.path)
        self._lines = len(kept)


def thinned(heads: Sequence[SignedHead]) -> Sequence[SignedHead]:
    """Return the newest heads, of the older ones the last of each day (UTC), and every accepted restore."""
    old, new = heads[:-_NEWEST], heads[-_NEWEST:]
    last_of_day = {head.at_s // SECONDS_PER_DAY: position for position, head in enumerate(old)}
    kept = set(last_of_day.values())
    return [head for position, head in enumerate(old) if position in kept or head.restored] + list(new)
