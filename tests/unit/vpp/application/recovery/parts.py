"""A journal of a small city that was cut off in a hold, and what folds it."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.places import FIXTURES
from vpp.application.recovery.checkpointer import Checkpointer
from vpp.application.recovery.folded_state import FoldedState
from vpp.application.recovery.restart import Recovered, date_back, engine_version, recover
from vpp.bootstrap.parts.policies import dispatch_settings
from vpp.bootstrap.store import Store
from vpp.lab.simulate.city import virtual_settings
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import encode_state
from vpp.runtime.clock import VirtualClock

VERSION = engine_version("0.1")
NOW_S = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return the store of a service that died in a hold."""
    content = gzip.decompress((FIXTURES / "journal-2f8590a" / "hold.sqlite3.gz").read_bytes())
    (tmp_path / "vpp.sqlite3").write_bytes(content)
    opened = Store.open(virtual_settings(tmp_path).database_url)
    yield opened
    opened.close()


def fresh(store: Store) -> FoldedState:
    """Return a state that has followed nothing."""
    index = store.registry.load()
    return FoldedState(lambda: index, dispatch_settings(virtual_settings(Path())))


def recovered(store: Store, version: str = VERSION) -> Recovered:
    """Return the state at the end of the journal, from a checkpoint if there is a good one."""
    return recover(lambda: fresh(store), store.journal, store.checkpoints, version=version)


def checkpointer(store: Store, keep: int = 2) -> Checkpointer:
    """Return what makes checkpoints from the end of the journal on."""
    return Checkpointer(
        recovered(store),
        lambda: recovered(store),
        journal=store.journal,
        checkpoints=store.checkpoints,
        clock=VirtualClock(NOW_S),
        version=VERSION,
        keep=keep,
    )


def more(store: Store, count: int = 3) -> Sequence[JournalEntry]:
    """Append some entries that change the state, the last ones of the journal once more as far as they may be."""
    kinds = ("setpoints.verdicts", "dispatch.tracking", "regulation.signal")
    known = {entry.kind: entry for entry in store.journal.entries() if entry.kind in kinds}
    for _ in range(count):
        for entry in known.values():
            store.journal.append(entry.kind, NOW_S, entry.body)
    store.journal.flush_now()
    return tuple(store.journal.entries())


def bits(state: FoldedState) -> bytes:
    """Return everything of a state as bytes, which are equal only where every bit is."""
    return encode_state(state.state()) + str(state.sequence).encode()


def whole(store: Store) -> bytes:
    """Return the state after all entries, as bytes."""
    state = fresh(store)
    date_back(state, store.journal)
    state.follow(store.journal.entries())
    return bits(state)
