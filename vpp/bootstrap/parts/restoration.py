"""Restoration from the journal: requests, leases, baselines, sessions and owners' values of the runs before."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from vpp.application.cycle_record import array_of, baseline_of, session_of
from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.session_baselines import SESSIONS
from vpp.application.loops.cycle_inputs import CYCLE
from vpp.bootstrap.parts.core import Core
from vpp.bootstrap.parts.device_plane import give_memory
from vpp.bootstrap.parts.requests import RequestParts
from vpp.bootstrap.parts.watch import WatchParts
from vpp.ports import DeviceLink
from vpp.record.entry import JournalEntry
from vpp.state.image import ProcessImage

STARTED = "service.started"


def restore(core: Core, requests: RequestParts, watch: WatchParts, links: Sequence[DeviceLink]) -> None:
    """Bring the parts to where the journal ends, and record the start of this run."""
    journal, now_s = core.store.journal, core.clock.now_s()
    torn = journal.set_torn_aside(now_s)
    if torn:
        watch.alarms.watch("journal_torn", core.clock.now_s(), on=True, entries=torn)
    entries = list(journal.entries())
    core.engine.restore(entries, now_s)
    for entry in entries:
        if entry.kind == CYCLE:
            restore_sessions(core.image, entry)
        elif entry.kind == BASELINE:
            request = core.engine.book.get(str(entry.body["request_id"]))
            requests.measurement.keep(request, baseline_of(entry.body))
        elif entry.kind == SESSIONS:
            means: Any = entry.body
            requests.measurement.sessions.keep(float(means["start_s"]), array_of(means["mean_kw"]))
    requests.settlement.restore(entries)
    requests.measurement.resume(entries)
    requests.announcements.restore(core.engine.book.all())
    give_memory(links, entries, journal, core.clock)
    # The very instant everything was restored for, so that a replay restores the same.
    body = {"epoch": core.epoch, "resources": len(core.index), "version": version("vpp")}
    journal.append(STARTED, now_s, body)


def restore_sessions(image: ProcessImage, entry: JournalEntry) -> None:
    """Write the charging sessions and the anchored states of charge of a journalled cycle into the image."""
    events: Any = entry.body["sessions"]
    for body in events:
        image.write_session(session_of(body))
    anchors: Any = entry.body["anchors"]
    for row, soc in anchors:
        image.anchor(row, soc)
