"""Checkpoints are made of entries alone, vouched for by the journal, and few."""

import asyncio

import pytest

from tests.unit.vpp.application.recovery.parts import bits, checkpointer, more, recovered, whole
from vpp.bootstrap.store import Store
from vpp.dispatch.commands.command_ledger import CommandLedger
from vpp.domain.errors import StorageError
from vpp.record.checkpoint import CHECKPOINT
from vpp.storage.journal import verify


async def test_the_journal_vouches_for_every_checkpoint(store: Store) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    more(store)
    await making.checkpoint()
    vouching = [entry.body for entry in store.journal.entries((CHECKPOINT,))]
    kept = list(store.checkpoints.newest())[::-1]
    assert [one.is_vouched_by(body) for one, body in zip(kept, vouching, strict=True)] == [True, True]
    assert verify(store.database).count == store.journal.sequence


async def test_where_nothing_was_journalled_since_none_is_made(store: Store) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    length = store.journal.sequence
    await making.checkpoint()
    assert store.journal.sequence == length
    assert len(store.checkpoints.sequences()) == 1


async def test_the_newest_are_kept_and_the_one_the_service_began_with(store: Store) -> None:
    await checkpointer(store).checkpoint()
    began_with = store.checkpoints.sequences()[0]
    making = checkpointer(store)
    for _ in range(4):
        more(store)
        await making.checkpoint()
    kept = store.checkpoints.sequences()
    assert len(kept) == 3
    assert kept[0] == began_with
    assert making.oldest() == kept[1]
    assert bits(recovered(store).state) == whole(store)


async def test_two_at_once_do_not_mix(store: Store) -> None:
    making = checkpointer(store)
    await asyncio.gather(making.checkpoint(), making.checkpoint())
    assert bits(recovered(store).state) == whole(store)


async def test_what_was_made_before_stays_while_storage_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    more(store)

    def failing(*_: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store.checkpoints, "write", failing)
        with pytest.raises(StorageError, match="disk"):
            await making.checkpoint()
    assert bits(recovered(store).state) == whole(store)
    await making.checkpoint()
    assert len(store.checkpoints.sequences()) == 2


async def test_an_entry_that_could_not_be_followed_is_not_followed_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = checkpointer(store)
    await making.checkpoint()
    more(store)
    sent = CommandLedger.end

    def failing(ledger: CommandLedger, *arguments: object) -> None:
        sent(ledger, *arguments)  # type: ignore[arg-type] # as they came
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(CommandLedger, "end", failing)
        with pytest.raises(MemoryError):
            await making.checkpoint()
    await making.checkpoint()
    assert recovered(store).base == store.checkpoints.sequences()[-1]
    assert bits(recovered(store).state) == whole(store)
