"""Restoration from the journal: requests, leases, baselines, sessions and owners' values of the runs before."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version

import structlog

from vpp.application.cycle_record import schedule_of
from vpp.application.delivery.forgotten_calls import ForgottenCalls
from vpp.application.delivery.past_delivery import PastDelivery
from vpp.application.loops.slow_loop import PLAN
from vpp.application.operating_picture import PlansInForce
from vpp.application.recovery.archiving import ARCHIVE_FAILING, Archiving
from vpp.application.recovery.checkpointer import Checkpointer
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import Recovered, engine_version, recover, unbroken
from vpp.application.registry.unrecorded_changes import record_unrecorded
from vpp.bootstrap.parts.core import Core
from vpp.bootstrap.parts.device_plane import give_memory
from vpp.bootstrap.parts.requests import RequestParts
from vpp.bootstrap.parts.watch import WatchParts
from vpp.domain.errors import AuditError
from vpp.domain.schedule import Schedule
from vpp.ports import DeviceLink, Journal
from vpp.runtime.supervisor import fault_in

_log = structlog.get_logger(__name__)
STARTED = "service.started"


def restore(
    core: Core,
    plans: PlansInForce,
    requests: RequestParts,
    watch: WatchParts,
    links: Sequence[DeviceLink],
    *,
    ahead: FoldedState | None = None,
) -> Recovered:
    """Bring the parts to where the journal ends, and record the start of this run.

    Args:
        core: Fleet, engine, storage.
        plans: The plans in force.
        requests: Requests and their delivery.
        watch: Alarms.
        links: Device links.
        ahead: State that has followed the journal so far, of a process that stood by; else the newest checkpoint's.

    Returns:
        The state that everything was restored from.
    """
    journal, now_s = core.store.journal, core.clock.now_s()
    torn = _torn(journal, now_s)
    if torn:
        watch.alarms.watch("journal_torn", core.clock.now_s(), on=True, entries=torn)
    record_unrecorded(journal, core.store.registry)
    recovered = None if ahead is None else _followed_to_the_end(core, ahead)
    if recovered is None:
        recovered = recovered_of(core)
    take_up(core, requests, links, recovered.state, now_s)
    number = recovered.state.delivery.plan
    plan = plan_at(journal, number, now_s)
    plans.schedule = plan or plans.schedule
    # The very instant everything was restored for, so that a replay restores the same.
    body = {
        "epoch": core.epoch,
        "resources": len(core.index),
        "version": version("vpp"),
        "checkpoint": recovered.base,
        "after": recovered.state.sequence,
        "plan": 0 if plan is None else number,
    }
    journal.append(STARTED, now_s, body)
    return recovered


def recovered_of(core: Core) -> Recovered:
    """Return the state at the end of the journal, from the newest good checkpoint; blocks."""
    return recover(
        lambda: FoldedState(lambda: core.engine.index, core.engine.settings),
        core.store.journal,
        core.store.checkpoints,
        version=engine_version(version("vpp")),
        damaged=core.trust.guards,
    )


def plan_at(journal: Journal, sequence: int, now_s: float) -> Schedule | None:
    """Return the plan that stands in an entry of the journal, ``None`` where there is none or its steps are over."""
    entry = next(journal.entries((PLAN,), after=sequence - 1, until=sequence), None) if sequence else None
    schedule = None if entry is None else schedule_of(entry.body)
    return schedule if schedule is not None and now_s < schedule.grid.end_s else None


def checkpointer_of(core: Core, recovered: Recovered, keep: int) -> Checkpointer:
    """Return what goes on from the state of a restart to make checkpoints, the newest ``keep`` of which stay."""
    return Checkpointer(
        recovered,
        partial(recovered_of, core),
        journal=core.store.journal,
        checkpoints=core.store.checkpoints,
        clock=core.clock,
        version=engine_version(version("vpp")),
        keep=keep,
    )


def _torn(journal: Journal, now_s: float) -> int:
    """Set what a crash has torn aside; more than that is damage, which the verification names."""
    try:
        return journal.set_torn_aside(now_s)
    except AuditError as error:
        _log.error("journal is damaged at its end", why=str(error))
        return 0


def _followed_to_the_end(core: Core, ahead: FoldedState) -> Recovered | None:
    """Return the state at the journal's end, ``None`` where an entry on the way is damaged or gone."""
    ahead.take_index_from(lambda: core.engine.index)
    tail = unbroken(core.store.journal.entries(after=ahead.sequence), ahead.sequence)
    fault = fault_in(lambda: ahead.follow(tail))
    if fault is not None:
        _log.error("journal not followed to its end, begun again from a checkpoint", why=repr(fault))
        return None
    newest = max(core.store.checkpoints.sequences(), default=0)
    return Recovered(state=ahead, base=newest, tail=ahead.sequence - newest)


def archiving_steps(
    core: Core, watch: WatchParts, checkpointer: Checkpointer, keep_days: float
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Return the step that archives what lies before the oldest checkpoint; none where nothing is archived."""
    archive = core.store.archive
    if archive is None:
        return {}
    archive.verified(None)  # what an earlier lead of this process knew
    core.trust.verified = lambda found: archive.verified(found.manifest)

    def tell(failing: bool, why: str) -> None:  # noqa: FBT001 - as the caller has it
        watch.alarms.watch(ARCHIVE_FAILING, core.clock.now_s(), on=failing, why=why)

    archiving = Archiving(
        archive,
        oldest=checkpointer.oldest,
        trusted=lambda: core.trust.trusted,
        clock=core.clock,
        keep_days=keep_days,
        tell=tell,
    )
    return {"archive": archiving.archive}


def take_up(core: Core, requests: RequestParts, links: Sequence[DeviceLink], folded: FoldedState, now_s: float) -> None:
    """Bring the parts to a folded state; commands under way then end as unreachable, which is journalled."""
    journal, delivery = core.store.journal, folded.delivery
    # The journal and what is folded from it hold tokens; the service itself works with names.
    sealed = folded.state()
    open_sessions = sealed["charging"]["sessions"]
    state = journal.opened(sealed, [*open_sessions["ids"], *open_sessions["early_ids"]])
    core.engine.load(state["dispatch"], now_s)
    core.image.load_sessions(state["charging"])
    requests.measurement.resume(
        PastDelivery(
            journal=journal,
            baselines=dict(delivery.baselines),
            session_means=dict(delivery.session_means),
            cycles=state["dispatch"]["tracking"]["cycles"],
            forgotten=ForgottenCalls.of(delivery.forgotten.body()),
        )
    )
    requests.settlement.resume(delivery.issued)
    requests.shadows.resume(state["windows"])
    requests.standing.service.resume(state["standing"])
    requests.availability.resume(state["availability"])
    requests.official.resume(delivery.officials)
    requests.announcements.restore(core.engine.book.all())
    give_memory(links, state["devices"], journal, core.clock)
