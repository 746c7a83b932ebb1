"""Audit of the record: verified against its signed heads, and restored ones accepted."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy.engine import make_url

from vpp.bootstrap.record.anchor import anchor_place
from vpp.config import Settings
from vpp.domain.errors import ConfigurationError
from vpp.record.chain import GENESIS
from vpp.record.entry import Head
from vpp.record.verification import Finding, FindingKind, Verification
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.anchor.chain_walk import last_sequence
from vpp.storage.anchor.places import Places, has_file
from vpp.storage.sql import open_database

_SHOWN = 10
_RESTORE = "restore the database from a backup, then decide with vpp audit accept-restore --reason TEXT"


def run_audit(settings: Settings, *, as_json: bool) -> int:
    """Verify the record and print what was found; return 0 only if it holds."""
    began = perf_counter()
    found = verification(settings)
    body = {**found.body(), "seconds": round(perf_counter() - began, 3)}
    sys.stdout.write(json.dumps(body) + "\n" if as_json else _text(found))
    return 0 if found.holds else 1


def verification(settings: Settings) -> Verification:
    """Verify the record of the settings' database, with a progress bar on a terminal.

    Raises:
        ConfigurationError: There is no database, and none is known to have been there; or the key cannot be used.
    """
    place = anchor_place(settings)
    if not has_file(place.url):
        there = Places(place.heads).occupant(place.url)
        if there is None:
            raise ConfigurationError(f"VPP_DATA_DIR, VPP_DB_URL: there is no database at {_shown(place.url)}")
        gone = f"the database of fleet {there.fleet!r}, with entries up to {there.sequence}, is gone: no file is left"
        return _unread(Finding(kind=FindingKind.DELETED, sequence=1, text=gone, action=_RESTORE))
    try:
        engine = open_database(place.url)
    except sa.exc.DatabaseError as error:
        text = f"the database cannot be opened: {error.orig or error}"
        return _unread(Finding(kind=FindingKind.DAMAGED, text=text, action=f"check the disk; {_RESTORE}"))
    try:
        with progress_bar(engine, "verifying") as progress:
            return SqlAnchor(engine, place).verify(progress)
    finally:
        engine.dispose()


def _unread(finding: Finding) -> Verification:
    return Verification(entries=0, head=Head(0, GENESIS), heads=0, last_head=None, unprotected=0, findings=[finding])


def _text(found: Verification) -> str:
    """Return a verification as people read it."""
    last = found.last_head
    heads = "no signed heads" if last is None else f"{found.heads} signed heads, the last of entry {last.sequence}"
    lines = [f"{found.entries} entries, head {found.head.sha256}", heads]
    for finding in found.findings[:_SHOWN]:
        lines += [f"{finding.kind.value}: {finding.text}", f"  what to do: {finding.action}"]
    if len(found.findings) > _SHOWN:
        lines.append(f"and {len(found.findings) - _SHOWN} more; --json names them all")
    lines += [f"note: {note}" for note in found.notes]
    return "\n".join([*lines, "the record holds" if found.holds else "the record does not hold"]) + "\n"


@contextmanager
def progress_bar(engine: sa.Engine, doing: str) -> Iterator[Callable[[int], None]]:
    """Yield what shows the number of entries read on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=last_sequence(engine) if console.is_terminal else None)
        yield lambda count: bar.update(task, completed=count)


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
