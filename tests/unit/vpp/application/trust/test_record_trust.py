"""Nothing new is promised on a record that was not verified; its head is vouched for while it grows."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE_WALL_S
from tests.unit.vpp.storage.anchor.parts import BEGIN_S, Plant
from vpp.application.trust.record_trust import RecordTrust
from vpp.domain.errors import StorageError, UnverifiedError
from vpp.record.decisions import RESTORED, RestoreDecision
from vpp.record.entry import Head
from vpp.record.heads import SignedHead
from vpp.record.verification import Verification
from vpp.runtime.clock import VirtualClock
from vpp.storage.anchor.anchor import SqlAnchor
from vpp.storage.journal import SqlJournal
from vpp.storage.sql import open_database


class Slow(SqlAnchor):
    """An anchor whose verification waits, and whose export fails, while it is told to; counts looks for decisions."""

    def __init__(self, plant: Plant) -> None:
        super().__init__(open_database(plant.place.url), plant.place)
        self.may_go = threading.Event()
        self.may_go.set()
        self.fault: StorageError | None = None
        self.looks = 0

    def decision(self) -> RestoreDecision | None:
        """Look for a decision."""
        self.looks += 1
        return super().decision()

    def verify_start(self, progress: Callable[[int], object] = lambda _: None) -> Verification:
        """Verify once it may."""
        assert self.may_go.wait(PATIENCE_WALL_S)
        return super().verify_start(progress)

    def export(self, head: Head, at_s: float, *, restored: bool = False) -> SignedHead:
        """Export unless there is a fault."""
        if self.fault is not None:
            raise self.fault
        return super().export(head, at_s, restored=restored)


class Life:
    """One life of a service's record."""

    def __init__(self, plant: Plant) -> None:
        self.clock = VirtualClock(BEGIN_S + 10_000.0)
        self.anchor = Slow(plant)
        self.journal = SqlJournal(open_database(plant.place.url))
        self.trust = RecordTrust(self.anchor, self.journal, self.clock)

    def append(self, kind: str = "test") -> None:
        """Add a durable entry."""
        self.journal.append(kind, self.clock.now_s(), {"x": 1})
        self.journal.flush_now()

    async def until(self, true: Callable[[], bool], *, step_s: float) -> None:
        """Let time pass until a condition holds."""
        async with asyncio.timeout(PATIENCE_WALL_S):
            while not true():
                await self.clock.advance(self.clock.now_s() + step_s)
                await asyncio.sleep(0.001)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    made = Plant(tmp_path)
    made.run(25)
    return made


@pytest.fixture
async def running(plant: Plant) -> AsyncIterator[Life]:
    life = Life(plant)
    yield life
    life.anchor.may_go.set()
    await life.trust.close()
    life.journal.close()


def cut(plant: Plant) -> None:
    with plant.sql() as database:
        database.execute("DELETE FROM journal WHERE sequence > 12")


async def test_a_record_that_ends_with_the_process_is_trusted() -> None:
    trust = RecordTrust(None, None, VirtualClock(0.0))  # type: ignore[arg-type] # not looked at
    await trust.require()
    await trust.committed()
    await trust.close()
    assert trust.trusted


async def test_nothing_is_promised_while_the_record_is_being_verified(running: Life) -> None:
    running.anchor.may_go.clear()
    running.trust.start()
    assert running.trust.verifying
    with pytest.raises(UnverifiedError, match="is being verified"):
        await running.trust.require()
    running.anchor.may_go.set()
    await running.trust.require()
    assert running.trust.trusted


async def test_nothing_is_promised_on_a_record_that_does_not_hold(plant: Plant) -> None:
    cut(plant)
    life = Life(plant)
    with pytest.raises(UnverifiedError, match="entries were deleted at the end"):
        await life.trust.require()
    life.append()
    before = plant.head_file.read_bytes()
    await life.trust.vouch()
    await life.trust.close()
    assert plant.head_file.read_bytes() == before


async def test_a_head_is_exported_when_there_are_new_entries_only(running: Life, plant: Plant) -> None:
    await running.trust.require()
    running.append()
    for _ in range(3):
        await running.trust.committed()
    assert [line.count('"sequence":26') for line in plant.head_file.read_text().splitlines()][-2:] == [0, 1]


async def test_a_minute_with_new_entries_ends_with_a_head(running: Life, plant: Plant) -> None:
    loop = asyncio.create_task(running.trust.run())
    await running.trust.require()
    for _ in range(3):
        running.append()
        reached = f'"sequence":{running.journal.head().sequence},'
        await running.until(lambda: reached in plant.head_file.read_text(), step_s=5.0)  # noqa: B023 - awaited here
    loop.cancel()
    await asyncio.wait((loop,))


async def test_a_clean_stop_leaves_nothing_unprotected(plant: Plant) -> None:
    life = Life(plant)
    await life.trust.require()
    life.append()
    await life.trust.close()
    assert plant.verify().unprotected == 0


async def test_a_head_that_cannot_be_kept_stops_nothing_and_is_counted(running: Life, plant: Plant) -> None:
    await running.trust.require()
    running.append()
    running.anchor.fault = StorageError("no room")
    await running.trust.committed()
    assert (running.trust.failing, running.trust.failures) == ("no room", 1)
    await running.trust.require()
    running.anchor.fault = None
    await running.trust.committed()
    assert running.trust.failing == ""
    assert plant.verify().unprotected == 0


async def test_a_running_service_takes_a_decision_up(plant: Plant) -> None:
    cut(plant)
    life = Life(plant)
    loop = asyncio.create_task(life.trust.run())
    with pytest.raises(UnverifiedError):
        await life.trust.require()
    life.anchor.decide(actor="operator", reason="backup of Monday", at_s=life.clock.now_s())
    await life.until(lambda: life.trust.trusted, step_s=5.0)
    loop.cancel()
    await asyncio.wait((loop,))
    (entry,) = life.journal.entries([RESTORED])
    assert (entry.body["actor"], entry.body["reason"]) == ("operator", "backup of Monday")
    assert entry.body["old_head"] == {"sequence": 25, "sha256": entry.body["old_head"]["sha256"]}  # type: ignore[index] # JSON
    assert life.anchor.decision() is None
    life.append()
    await life.trust.close()
    assert plant.verify().holds


async def test_a_key_that_cannot_be_used_any_more_ends_no_service(plant: Plant) -> None:
    life = Life(plant)
    plant.key.chmod(0o644)
    loop = asyncio.create_task(life.trust.run())
    with pytest.raises(UnverifiedError, match=r"it cannot be verified: .* has mode 644"):
        await life.trust.require()
    await life.until(lambda: life.anchor.looks >= 3 or loop.done(), step_s=5.0)
    assert not loop.done()
    plant.key.chmod(0o600)
    await life.until(lambda: life.trust.trusted, step_s=100.0)
    loop.cancel()
    await asyncio.wait((loop,))
    await life.trust.close()


def test_an_accepted_gap_accepts_no_longer_one(plant: Plant) -> None:
    def lose(first: int, last: int) -> None:
        with plant.sql() as database:
            database.execute("DELETE FROM journal WHERE sequence BETWEEN ? AND ?", (first, last))

    lose(11, 12)
    plant.accept()
    assert plant.verify().holds
    lose(13, 20)
    assert plant.kinds() == ["gap"]


async def test_a_decision_that_the_key_did_not_sign_is_none(plant: Plant) -> None:
    cut(plant)
    life = Life(plant)
    life.anchor.decide(actor="operator", reason="a", at_s=1.0)
    file = plant.heads / f"{plant.fleet}.decision"
    file.write_text(file.read_text().replace('"reason":"a"', '"reason":"b"'))
    assert life.anchor.decision() is None


async def test_heads_that_are_put_back_are_found_without_a_decision(plant: Plant) -> None:
    kept = plant.head_file.read_bytes()
    plant.head_file.unlink()
    life = Life(plant)
    loop = asyncio.create_task(life.trust.run())
    with pytest.raises(UnverifiedError, match="their file is gone"):
        await life.trust.require()
    plant.head_file.write_bytes(kept)
    await life.until(lambda: life.trust.trusted, step_s=100.0)
    loop.cancel()
    await asyncio.wait((loop,))
    assert list(life.journal.entries([RESTORED])) == []
