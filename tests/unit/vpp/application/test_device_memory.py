"""Values found in devices: durable before anything is written over them, recalled after a crash."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from vpp.application.device_memory import FOUND, JournalledMemory
from vpp.domain.errors import RetryError, StorageError
from vpp.record.entry import Head, JournalEntry
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.sql import open_database

LIMITED = {"WMaxLimPct": 70.0, "WMaxLim_Ena": 1.0}


class _Journal:
    """Keeps what is appended; says when it is durable, or that it cannot be."""

    def __init__(self, *, broken: Exception | None = None) -> None:
        self.kinds: list[str] = []
        self.durable = asyncio.Event()
        self._broken = broken

    def append(self, kind: str, at_s: float, body: Mapping[str, object]) -> None:
        assert at_s
        assert body
        self.kinds.append(kind)

    async def flush(self) -> None:
        if self._broken is not None:
            raise self._broken
        await self.durable.wait()

    def head(self) -> Head:
        return Head(0, "")

    def entries(self, kinds: Sequence[str] = (), *, after: int = 0, until: int | None = None) -> Iterator[JournalEntry]:
        assert not kinds
        assert not after
        assert until is None
        return iter(())


async def test_what_is_remembered_comes_back_after_a_crash_and_what_is_closed_does_not(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/vpp.sqlite3")
    memory = JournalledMemory(SqlJournal(database), SYSTEM_CLOCK)
    await memory.remember(3, LIMITED)
    await memory.remember(4, LIMITED)
    await memory.remember(4, {})
    again = JournalledMemory(SqlJournal(database), SYSTEM_CLOCK)
    again.restore(SqlJournal(database).entries())
    assert await again.recall(3) == LIMITED
    assert await again.recall(4) == await again.recall(5) == {}
    assert verify(database).count == 3
    database.dispose()


async def test_nothing_is_remembered_before_it_is_durable_and_what_comes_together_is_one_entry() -> None:
    journal = _Journal()
    memory = JournalledMemory(journal, SYSTEM_CLOCK)
    both = [asyncio.create_task(memory.remember(row, LIMITED)) for row in (1, 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert journal.kinds == [FOUND]
    assert not any(task.done() for task in both)
    journal.durable.set()
    await asyncio.gather(*both)
    assert await memory.recall(2) == LIMITED


async def test_while_storage_fails_control_goes_on_from_memory() -> None:
    journal = _Journal(broken=StorageError("no space left on device"))
    memory = JournalledMemory(journal, SYSTEM_CLOCK)
    await memory.remember(1, LIMITED)
    assert await memory.recall(1) == LIMITED
    assert journal.kinds == [FOUND], "the journal keeps it in its place until it can write"


async def test_any_other_failure_is_said() -> None:
    memory = JournalledMemory(_Journal(broken=OSError("odd")), SYSTEM_CLOCK)
    with pytest.raises(RetryError, match="odd"):
        await memory.remember(1, LIMITED)
