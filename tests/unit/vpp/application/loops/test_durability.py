"""Cycles wait for their record, but not for a storage that fails; nothing new is promised meanwhile."""

import asyncio

import pytest

from vpp.application.loops.durability import Durability
from vpp.domain.errors import AuditError, SpoolFullError, StorageError


class Spool:
    """A store whose writes the test lets go on, or fail."""

    def __init__(self) -> None:
        self.pending = self.pending_bytes = self.dropped = 0
        self.fault: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.attempts = 0

    def add(self) -> None:
        """Have one more to write."""
        self.pending += 1
        self.pending_bytes += 10

    async def flush(self) -> None:
        """Write what was there at the beginning."""
        self.attempts += 1
        count = self.pending
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        self.pending -= count
        self.pending_bytes = 10 * self.pending


class Stage:
    """Three spools and what watches over them."""

    def __init__(self, *, patience_wall_s: float = 600.0, most_bytes: int = 1000) -> None:
        self.samples, self.meters, self.journal = Spool(), Spool(), Spool()
        self.durability = Durability(
            samples=self.samples,
            meters=self.meters,
            journal=self.journal,
            patience_wall_s=patience_wall_s,
            most_bytes=most_bytes,
        )

    async def cycle(self) -> None:
        """Record something of every kind, and have it written."""
        for spool in (self.samples, self.meters, self.journal):
            spool.add()
        await self.durability.settle()


async def test_a_cycle_waits_until_its_record_is_durable() -> None:
    stage = Stage()
    await stage.cycle()
    assert stage.durability.spooled() == {"samples": 0, "meters": 0, "journal": 0}
    assert not stage.durability.failing
    stage.durability.require()


async def test_while_a_write_fails_cycles_go_on_and_nothing_new_is_promised() -> None:
    stage = Stage()
    stage.journal.fault = StorageError("the journal cannot be written: disk full")
    await stage.cycle()
    assert stage.durability.failing
    assert stage.durability.parts() == {"samples": False, "meters": False, "journal": True}
    with pytest.raises(StorageError, match=r"nothing new is promised .* disk full"):
        stage.durability.require()
    stage.journal.open.clear()  # the next attempt hangs: nobody waits for it
    for _ in range(3):
        await stage.cycle()
    assert stage.journal.pending == 4

    stage.journal.fault = None
    stage.journal.open.set()
    while stage.durability.failing:
        await stage.cycle()
    assert stage.durability.spooled() == {"samples": 0, "meters": 0, "journal": 0}
    stage.durability.require()


async def test_a_part_that_fails_keeps_no_other_from_being_written() -> None:
    stage = Stage()
    stage.samples.fault = StorageError("the samples cannot be written")
    await stage.cycle()
    assert stage.durability.spooled() == {"samples": 1, "meters": 0, "journal": 0}


async def test_a_write_that_does_not_end_counts_as_failing_the_second_time() -> None:
    stage = Stage(patience_wall_s=0.0)
    stage.journal.open.clear()
    await stage.cycle()
    assert not stage.durability.failing, "a machine may be busy for once"
    await stage.cycle()
    assert "not written within" in stage.durability.reason
    assert stage.durability.parts()["journal"]
    stage.journal.open.set()
    while stage.durability.failing:
        await stage.durability.settle()
        await asyncio.sleep(0)
    assert stage.journal.pending == 0


async def test_the_service_stops_before_decisions_use_up_memory() -> None:
    stage = Stage(most_bytes=30)
    stage.journal.fault = StorageError("the journal cannot be written: disk full")
    for _ in range(3):
        await stage.cycle()
    with pytest.raises(SpoolFullError, match=r"4 decisions.*VPP_SPOOL_MB.*disk full"):
        await stage.cycle()


async def test_another_writer_of_the_journal_stops_the_service() -> None:
    stage = Stage()
    stage.journal.fault = AuditError("entry 1 is taken")
    with pytest.raises(AuditError, match="taken"):
        await stage.cycle()
