"""Changes of the fleet that were stored, and that a crash has kept out of the journal."""

import structlog

from vpp.fleet.members.changes import CHANGED, version_named
from vpp.ports import Journal, Registry

_log = structlog.get_logger(__name__)


def record_unrecorded(journal: Journal, registry: Registry) -> int:
    """Append the entries of a stored change that the journal lacks, durably; return how many these were; blocks.

    So the change is whole in both with its author, or in neither: what was not stored is not there.

    Raises:
        StorageError: The database takes nothing now.
        AuditError: The journal cannot be read.
    """
    change = registry.unrecorded()
    if change is None:
        return 0
    there = {version_named(entry.body) for entry in journal.entries((CHANGED,), after=change.after)}
    missing = [body for body in change.bodies if version_named(body) not in there]
    for body in missing:
        journal.append(CHANGED, change.at_s, body)
    journal.flush_now()
    registry.recorded()
    if missing:
        _log.warning(
            "change of the fleet recorded after a crash", entries=len(missing), author=change.bodies[0]["actor"]
        )
    return len(missing)
