"""Following of the journal by a standby: the state that a takeover needs, kept up to date; every call blocks."""

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import structlog

from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import engine_version, newest_good, unbroken
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.domain.errors import VppError
from vpp.domain.request import DispatchRequest
from vpp.fleet.index import FleetIndex
from vpp.record.entry import JournalEntry
from vpp.runtime.clock import MachineTime
from vpp.storage.registry_revision import revision_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a standby has read, for the service that leads next.

    Attributes:
        state: Follows the journal; ``None`` where it could not.
        index: The fleet as it is saved now; ``None`` where it is not known to be.
    """

    state: FoldedState | None = None
    index: FleetIndex | None = None


class Following:
    """Folds the entries of the journal as the leader writes them; writes nothing.

    Args:
        settings: Of this process.
        machine: Where steady time comes from.

    Attributes:
        fault: Why the journal cannot be followed now, empty while it is.
        requests: Every request at the end of the last ``catch_up``, newest first; ``None`` before the first.
    """

    def __init__(self, settings: Settings, machine: MachineTime) -> None:
        self.fault = ""
        self.requests: Sequence[DispatchRequest] | None = None
        self._settings, self._machine = settings, machine
        self._store: Store | None = None
        self._index: FleetIndex | None = None
        self._revision: tuple[int, ...] = ()
        self._state: FoldedState | None = None
        self._sealed: Sequence[DispatchRequest] = ()
        self._durable = 0
        self._reached_s = math.nan
        self._stopped = threading.Event()
        self._busy = threading.Lock()

    @property
    def lag_entries(self) -> float:
        """Entries that were durable at the last ``catch_up`` and are not folded yet, NaN before the first are."""
        state = self._state
        return math.nan if state is None else max(self._durable - state.sequence, 0)

    @property
    def lag_s(self) -> float:
        """Wall seconds since the end of the journal was last reached, NaN before the first time."""
        return self._machine.steady_s() - self._reached_s

    def check_kept(self, request_id: str) -> None:
        """Raise ForgottenError for a request that was forgotten."""
        state = self._state
        if state is not None:
            state.dispatch.requests.check_kept(request_id)

    def catch_up(self) -> None:
        """Fold what is durable by now; what keeps it from that is kept as ``fault`` and tried again."""
        with self._busy:
            try:
                if self._state is None:
                    self._begin()
                self._follow()
            except VppError as error:
                self._note(str(error))
            except Exception as error:  # noqa: BLE001 - an entry of another version may be of any shape
                self._note(repr(error))
            else:
                self.fault = ""

    def _note(self, fault: str) -> None:
        """Note what keeps the journal from being followed; the next attempt begins with the newest checkpoint."""
        if fault != self.fault:
            _log.warning("the journal cannot be followed", why=fault)
        self.fault, self._state = fault, None

    def hand_over(self) -> Followed:
        """Return what was read, the state being this object's no more; for a process that has the lease."""
        with self._busy:
            store, state, self._state = self._store, self._state, None
            if store is None or state is None or self.fault:
                return Followed()
            return Followed(state=state, index=self._index if revision_of(store.database) == self._revision else None)

    def close(self) -> None:
        """Stop following, also within a long ``catch_up``."""
        self._stopped.set()
        with self._busy:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _begin(self) -> None:
        """Begin with the newest good checkpoint."""
        settings = self._settings
        if self._store is None:
            self._store = Store.open(settings.database_url, archive=settings.archive_place, migrate=False)
        store, rules = self._store, dispatch_settings(settings)
        self._state = newest_good(
            lambda: FoldedState(lambda: self._fleet(store), rules),
            store.journal,
            store.checkpoints,
            version=engine_version(version("vpp")),
        )

    def _fleet(self, store: Store) -> FleetIndex:
        """Return the fleet as it is saved, read again where it has changed."""
        revision = revision_of(store.database)
        if self._index is None or revision != self._revision:
            self._revision, self._index = revision, store.registry.load()
        return self._index

    def _follow(self) -> None:
        store, state = self._store, self._state
        if store is None or state is None:
            return
        began_s = self._machine.steady_s()
        self._durable = store.journal.durable()
        tail = unbroken(store.journal.entries(after=state.sequence), state.sequence)
        state.follow(self._until_stopped(tail))
        sealed = state.dispatch.requests.all()
        if self.requests is None or sealed != self._sealed:
            self.requests, self._sealed = _with_names(sealed, store), sealed
        if not self._stopped.is_set():
            self._reached_s = began_s

    def _until_stopped(self, entries: Iterator[JournalEntry]) -> Iterator[JournalEntry]:
        for entry in entries:
            if self._stopped.is_set():
                return
            yield entry


def _with_names(requests: Sequence[DispatchRequest], store: Store) -> Sequence[DispatchRequest]:
    """Return requests with the names of their actors, which the journal keeps apart."""
    actors = {step.actor for request in requests for step in request.history}
    actors |= {revision.actor for request in requests for revision in request.revisions}
    tokens = sorted(actors)
    name_of = dict(zip(tokens, store.journal.opened(tokens), strict=True))
    return tuple(
        replace(
            request,
            history=tuple(replace(step, actor=name_of[step.actor]) for step in request.history),
            revisions=tuple(replace(revision, actor=name_of[revision.actor]) for revision in request.revisions),
        )
        for request in requests
    )
