"""Kinds of journal entries: every one once, with the version of its body and the module that writes and reads it.

A body says its version under ``v`` once that is above 1; readers take every version up to the one named here. An entry
of a kind, or of a version, that is not known was written by a newer service: whoever folds the journal refuses it,
since what it decided would be lost, unless the entry says under ``passable`` that nothing would.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vpp.domain.errors import AuditError
from vpp.record.entry import JournalEntry


class Kind(NamedTuple):
    """One kind of entry.

    Attributes:
        name: Name in the journal; it never changes.
        owner: Module that holds its codec.
        says: Meaning of an entry.
        version: Newest version of its body.
    """

    name: str
    owner: str
    says: str
    version: int = 1


_TABLE = (
    Kind(
        "baseline.issued",
        "vpp.application.delivery.baseline_freezing",
        "the baseline of a request, frozen at acceptance or lengthened",
    ),
    Kind(
        "baseline.sessions",
        "vpp.application.delivery.session_baselines",
        "what every charging session would have taken in a quarter of an hour",
    ),
    Kind("cycle", "vpp.application.loops.cycle_inputs", "inputs of a cycle: sessions, anchors, samples"),
    Kind("device.found", "vpp.application.device_memory", "owners' values of devices before the first write"),
    Kind("dispatch.burden", "vpp.dispatch.flexibility.fairness", "time every row was shed, energy it deferred"),
    Kind("dispatch.tracking", "vpp.dispatch.tracking_memory", "target and delivery of a request in a cycle"),
    Kind("fleet.changed", "vpp.fleet.members.changes", "members joined, were changed or retired, with their author"),
    Kind("fleet.connected", "vpp.fleet.members.changes", "the fleet has grown; written before fleet.changed"),
    Kind("fleet.left", "vpp.fleet.members.changes", "devices of some rows hold nothing of ours any more"),
    Kind("journal.torn", "vpp.storage.journal", "entries torn by a crash were set aside"),
    Kind("performance.issued", "vpp.application.delivery.recovery", "the measured delivery of a request"),
    Kind("plan.installed", "vpp.application.loops.slow_loop", "a plan is in force"),
    Kind("plan.intended", "vpp.application.loops.slow_loop", "a re-dispatch is in force, or withdrawn"),
    Kind(
        "quote.windows",
        "vpp.application.requests.shadow_quotes",
        "windows quoted for nobody, and what became of those that are over",
    ),
    Kind("record.archived", "vpp.storage.segments.shelf", "entries moved to a segment"),
    Kind("record.checkpoint", "vpp.record.checkpoint", "a checkpoint was made, with its hash"),
    Kind("record.pruned", "vpp.storage.segments.shelf", "the oldest segments were deleted"),
    Kind(
        "record.redacted",
        "vpp.record.erasure.redaction",
        "names were erased from entries of an earlier version, with the hashes of what is left",
    ),
    Kind("record.restored", "vpp.record.decisions", "an operator accepted a record that did not verify"),
    Kind("regulation.signal", "vpp.dispatch.regulation.agc_signal", "values of a regulation signal"),
    Kind("regulation.tick", "vpp.application.loops.cycle_inputs", "a step between two cycles"),
    Kind(
        "requests.forgotten",
        "vpp.dispatch.requests.forgotten",
        "requests whose retention is over were forgotten, and what stays known of them",
    ),
    Kind("request.revision", "vpp.dispatch.requests.register", "a change of a request was asked and quoted"),
    Kind("request.shortfall", "vpp.dispatch.requests.register", "a shortfall flag was set, changed or cleared"),
    Kind("request.transition", "vpp.dispatch.requests.register", "a request was made, or changed its state", version=2),
    Kind(
        "samples.erased",
        "vpp.record.erasure.erased_samples",
        "rows and times of which every sample was erased, with a driver or an operator",
    ),
    Kind("service.started", "vpp.bootstrap.parts.restoration", "a service began to lead"),
    Kind("setpoints.outcomes", "vpp.dispatch.commands.journal_codec", "answers of devices to commands"),
    Kind("setpoints.sent", "vpp.dispatch.commands.journal_codec", "commands, before they are sent"),
    Kind(
        "setpoints.verdicts",
        "vpp.dispatch.commands.journal_codec",
        "commands that ended without an answer, or were compared with their meters",
    ),
    Kind(
        "settlement.official",
        "vpp.application.delivery.official_results",
        "the market operator's result of a settled request, one version",
    ),
    Kind(
        "standing.availability",
        "vpp.application.standing.availability_book",
        "what a standing commitment kept available in a quarter of an hour",
    ),
    Kind(
        "standing.changed",
        "vpp.application.standing.standing_book",
        "a standing commitment was entered, ended or forgotten",
    ),
    Kind("settlement.failed", "vpp.application.delivery.settlement_runs", "a request could not be settled, and why"),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _TABLE}


def is_known(entry: JournalEntry) -> bool:
    """Return whether an entry can be read; false for one of a newer service without which nothing is lost.

    Raises:
        AuditError: Its kind, or the version of its body, is not known, and something would be lost.
    """
    kind, version = KINDS.get(entry.kind), entry.body.get("v", 1)
    if kind is not None and isinstance(version, int) and version <= kind.version:
        return True
    if entry.body.get("passable") is True:
        return False
    what = f"kind {entry.kind!r}" if kind is None else f"version {version} of kind {entry.kind!r}"
    raise AuditError(
        f"journal entry {entry.sequence} is of {what}, which this service does not know: a newer one wrote it; start"
        " that version, or restore a backup from before the upgrade"
    )
