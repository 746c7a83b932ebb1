"""Record of one request: the journal's entries about it, archived ones included, also once it was forgotten."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.official_results import OFFICIAL
from vpp.application.delivery.recovery import ISSUED
from vpp.application.delivery.settlement_runs import FAILED
from vpp.bootstrap.record.audit import progress_bar
from vpp.config import Settings
from vpp.dispatch.regulation.agc_signal import SIGNAL
from vpp.dispatch.requests.forgotten import FORGOTTEN
from vpp.dispatch.requests.register import REVISION, SHORTFALL, TRANSITION
from vpp.domain.errors import ConfigurationError, UnknownIdError
from vpp.domain.timegrid import instant
from vpp.record.entry import JournalEntry
from vpp.storage.anchor.places import has_file
from vpp.storage.journal import SqlJournal
from vpp.storage.sql import open_database

_KINDS = (TRANSITION, REVISION, SHORTFALL, SIGNAL, BASELINE, ISSUED, FAILED, OFFICIAL, FORGOTTEN)
_PRINTED = (
    "from_state",
    "to_state",
    "actor",
    "reason",
    "cause",
    "version",
    "source",
    "delivered_mean_kw",
    "energy_kwh",
)
"""Fields that the text shows, of those an entry has one value of."""


def run_request_record(settings: Settings, request_id: str, *, as_json: bool) -> int:
    """Print the entries about a request; return 0.

    Raises:
        ConfigurationError: There is no database.
        UnknownIdError: No entry that is kept is about it.
    """
    found = record_of(settings, request_id)
    if as_json:
        sys.stdout.write(json.dumps({"request_id": request_id, "entries": [_shown(entry) for entry in found]}) + "\n")
        return 0
    for entry in found:
        facts = ", ".join(
            f"{name} {entry.body[name]}" for name in _PRINTED if isinstance(entry.body.get(name), str | int | float)
        )
        sys.stdout.write(f"{entry.sequence:>10}  {instant(entry.at_s).isoformat()}  {entry.kind}  {facts}\n")
    return 0


def record_of(settings: Settings, request_id: str) -> Sequence[JournalEntry]:
    """Return the entries about a request that are kept, oldest first, its actors by name unless they were erased."""
    url = settings.database_url
    if not has_file(url):
        raise ConfigurationError("VPP_DATA_DIR, VPP_DB_URL: there is no database")
    engine = open_database(url, migrate=False)
    try:
        journal = SqlJournal(engine, settings.archive_place)
        with progress_bar(engine, "reading") as progress:
            sealed = list(_about(journal, request_id, progress))
        journal.close()
        bodies = journal.opened([dict(entry.body) for entry in sealed])
    finally:
        engine.dispose()
    if not sealed:
        raise UnknownIdError("request", request_id)
    return [
        JournalEntry(sequence=e.sequence, kind=e.kind, at_s=e.at_s, body=body, sha256=e.sha256)
        for e, body in zip(sealed, bodies, strict=True)
    ]


def _about(journal: SqlJournal, request_id: str, progress: Callable[[int], None]) -> Iterator[JournalEntry]:
    for entry in journal.entries(_KINDS):
        progress(entry.sequence)
        body: Mapping[str, Any] = entry.body
        if request_id in {body.get("id"), body.get("request_id")} or request_id in body.get("ids", ()):
            yield entry


def _shown(entry: JournalEntry) -> Mapping[str, object]:
    return {
        "sequence": entry.sequence,
        "kind": entry.kind,
        "at": instant(entry.at_s).isoformat(),
        "body": _plain(entry.body),
    }


def _plain(value: object) -> object:
    """Return JSON-like content, an array by its shape: a baseline has the size of the fleet."""
    match value:
        case np.ndarray():
            return {"shape": list(value.shape)}
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value
