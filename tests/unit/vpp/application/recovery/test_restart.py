"""A restart begins at the newest checkpoint that is good, and never at one that is not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tests.unit.vpp.application.recovery.parts import (
    NOW_S,
    VERSION,
    bits,
    checkpointer,
    fresh,
    more,
    recovered,
    whole,
)
from vpp.application.delivery.recovery import ISSUED
from vpp.application.recovery.folded_state import FORMAT, READABLE
from vpp.application.recovery.restart import newest_good
from vpp.application.requests.shadow_quotes import WINDOWS
from vpp.bootstrap.store import Store
from vpp.fleet.members.changes import CHANGED, FleetChange, MemberChange
from vpp.record.checkpoint import CHECKPOINT, Checkpoint
from vpp.record.state_codec import StateTree, encode_state
from vpp.storage.sql import checkpoints, journal


def _change(store: Store, **values: object) -> None:
    """Change columns of the newest checkpoint behind the service's back."""
    newest = sa.select(sa.func.max(checkpoints.c.sequence)).scalar_subquery()
    with store.database.begin() as connection:
        connection.execute(sa.update(checkpoints).where(checkpoints.c.sequence == newest).values(values))


def _replaced(store: Store, state: dict[str, object]) -> None:
    """Put another state into the newest checkpoint, one that the journal vouches for."""
    newest = next(store.checkpoints.newest())
    forged = Checkpoint(
        sequence=newest.sequence,
        at_s=newest.at_s,
        version=newest.version,
        chain_sha256=newest.chain_sha256,
        body=encode_state(state),
    )
    store.checkpoints.write(forged)
    store.journal.append(CHECKPOINT, NOW_S, forged.entry())
    store.journal.flush_now()


FAULTS: dict[str, Callable[[Store], None]] = {
    "body cut": lambda store: _change(store, body=b"VS"),
    "body of another moment": lambda store: _change(store, body=next(store.checkpoints.newest()).body[:-1] + b"\0"),
    "another version": lambda store: _change(store, version="0.1/0"),
    "another chain": lambda store: _change(store, chain_sha256="0" * 64),
    "beyond the journal": lambda store: _change(store, sequence=10**9),
    "lacks a part": lambda store: _replaced(store, {"dispatch": {}}),
}


async def test_a_restart_reads_the_checkpoint_and_the_tail_only(store: Store) -> None:
    before = store.journal.sequence
    await checkpointer(store).checkpoint()
    entries = more(store)
    found = recovered(store)
    assert (found.base, found.tail) == (before, len(entries) - before)
    assert bits(found.state) == whole(store)


async def test_without_a_checkpoint_all_entries_are_read(store: Store) -> None:
    found = recovered(store)
    assert (found.base, found.tail) == (0, store.journal.sequence)
    assert bits(found.state) == whole(store)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_checkpoint_that_is_not_good_is_passed_over_for_the_one_before(store: Store, fault: str) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    more(store)
    await making.checkpoint()
    first, second = store.checkpoints.sequences()
    assert recovered(store).base == second

    FAULTS[fault](store)
    with capture_logs() as logs:
        found = recovered(store)

    assert found.base == first
    assert bits(found.state) == whole(store)
    assert [line["log_level"] for line in logs if line["event"] == "checkpoint passed over"] == ["warning"]


async def test_a_crash_between_a_checkpoint_and_its_entry_leaves_the_one_before(store: Store) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    first = store.checkpoints.sequences()[0]
    more(store)
    state = fresh(store)
    state.follow(store.journal.entries())
    head = store.journal.head()
    store.checkpoints.write(
        Checkpoint(
            sequence=head.sequence,
            at_s=NOW_S,
            version=VERSION,
            chain_sha256=head.sha256,
            body=encode_state(state.state()),
        )
    )
    found = recovered(store)
    assert found.base == first
    assert bits(found.state) == whole(store)


async def test_a_checkpoint_of_entries_that_were_torn_is_passed_over(store: Store) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    more(store)
    await making.checkpoint()
    first, second = store.checkpoints.sequences()
    with store.database.begin() as connection:
        connection.execute(sa.delete(journal).where(journal.c.sequence >= second))
    found = recovered(store)
    assert found.base == first
    assert bits(found.state) == whole(store)


async def test_a_state_of_an_earlier_moment_is_found(store: Store) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    more(store)
    await making.checkpoint()
    first, second = store.checkpoints.sequences()
    early = newest_good(lambda: fresh(store), store.journal, store.checkpoints, version=VERSION, until=second - 1)
    assert early.sequence == first


def widened(store: Store) -> None:
    """Let every device have a far greater power at last, which the journal says."""
    index = store.registry.load()
    members = tuple(
        MemberChange(kind="resource", position=row, old=one, new=replace(one, p_max_kw=one.p_max_kw + 500.0, version=2))
        for row, one in enumerate(index.resources)
    )
    change = FleetChange(at_s=NOW_S, actor="op", members=members)
    store.registry.save(index, change)
    for body in change.bodies():
        store.journal.append(CHANGED, NOW_S, {**body, "resources": len(index)})
    store.journal.flush_now()


async def test_an_entry_of_a_newer_service_without_which_nothing_is_lost_is_not_read(store: Store) -> None:
    before = recovered(store).state
    store.journal.append(WINDOWS, NOW_S, {"v": 2, "passable": True, "windows": "of another form"})
    store.journal.flush_now()
    found = recovered(store)
    assert found.state.sequence == before.sequence + 1
    assert encode_state(found.state.state()) == encode_state(before.state())


def ended(store: Store) -> bytes:
    """Return the state at the end of the journal as a restart finds it, less its position."""
    return encode_state(recovered(store).state.state()["dispatch"]["commands"])


async def test_entries_are_followed_with_the_nameplates_of_then(store: Store) -> None:
    before = ended(store)
    widened(store)
    assert ended(store) == before, "no checkpoint: later changes are taken back"
    await checkpointer(store).checkpoint()
    assert recovered(store).base > 0
    assert ended(store) == before, "a checkpoint has the nameplates of its entry"


LATER: dict[int, tuple[tuple[str, ...], ...]] = {
    2: (("dispatch", "range_kw"),),
    3: (("windows",),),
    4: (("dispatch", "requests", "made"), ("dispatch", "requests", "forgotten"), ("delivery", "forgotten")),
    5: (("delivery", "officials"),),
    8: (("standing",), ("availability",)),
}
"""What each format of checkpoints is the first to have."""
VERSIONED = 5
"""The first format in which a measurement has a version."""


def in_format(number: int, tree: StateTree) -> StateTree:
    """Return a state tree less what checkpoints of a format do not have."""
    for *place, name in (path for first, paths in LATER.items() if first > number for path in paths):
        part = tree
        for step in place:
            part = part[step]
        del part[name]
    if number < VERSIONED:
        for issued in tree["delivery"]["issued"].values():
            del issued[4:]  # the version of a measurement
    return tree


@pytest.mark.parametrize("number", READABLE)
async def test_a_checkpoint_of_every_format_is_read(store: Store, number: int) -> None:
    body = {"request_id": "req-1", "delivered_mean_kw": 900.0, "spread_kw": {}, "shares": None}
    store.journal.append(ISSUED, NOW_S, body)
    store.journal.flush_now()
    before = ended(store)
    tree, head = in_format(number, recovered(store).state.state()), store.journal.head()
    made = Checkpoint(
        sequence=head.sequence,
        at_s=NOW_S,
        version=VERSION.replace(f"/{FORMAT}", f"/{number}"),
        chain_sha256=head.sha256,
        body=encode_state(tree),
    )
    store.checkpoints.write(made)
    store.journal.append(CHECKPOINT, NOW_S, made.entry())
    widened(store)
    found = recovered(store)
    assert found.base == head.sequence
    assert found.state.delivery.issued["req-1"].version == 1
    assert ended(store) == before
    assert bits(found.state) == whole(store)


@pytest.mark.parametrize("made_by", ["0.1/0", f"0.1/{FORMAT + 1}", f"0.2/{FORMAT}", "1", ""])
async def test_a_checkpoint_of_another_product_or_format_is_passed_over(store: Store, made_by: str) -> None:
    await checkpointer(store).checkpoint()
    _change(store, version=made_by)
    found = recovered(store)
    assert (found.base, bits(found.state)) == (0, whole(store))
