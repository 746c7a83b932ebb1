"""The journal's table keeps what a restart needs, the archive the rest; a failure is told and holds nobody up."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from vpp.application.recovery.archiving import Archiving
from vpp.runtime.clock import VirtualClock
from vpp.storage.journal import SqlJournal, verify
from vpp.storage.segments.archive import RecordArchive, SegmentRules
from vpp.storage.sql import journal

DAY_S = 86_400.0


class Plant:
    """A journal that gets a hundred entries a day, with its archive."""

    def __init__(self, engine: sa.Engine, keep_days: float) -> None:
        self.engine, self.clock = engine, VirtualClock(0.0)
        self.journal = SqlJournal(engine)
        self.trusted = True
        self.told: list[tuple[bool, str]] = []
        self.archiving = Archiving(
            RecordArchive(engine, self.journal, SegmentRules(most_entries=100)),
            oldest=lambda: self.journal.sequence - 10,
            trusted=lambda: self.trusted,
            clock=self.clock,
            keep_days=keep_days,
            tell=lambda failing, why: self.told.append((failing, why)),
        )

    async def days(self, count: int) -> None:
        """Append some days' entries, with a turn of the upkeep after each."""
        for _ in range(count):
            for _ in range(100):
                self.journal.append("decision", self.clock.now_s(), {"text": "x" * 200})
            self.journal.flush_now()
            await self.clock.advance(self.clock.now_s() + DAY_S)
            await self.archiving.archive()

    def sizes(self) -> tuple[int, int]:
        """Return pages of the database, and bytes of the archive."""
        with self.engine.connect() as connection:
            pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)
        return pages, sum(path.stat().st_size for path in self.folder.iterdir())

    @property
    def folder(self) -> Path:
        """Folder of the archive."""
        return Path(str(self.journal.shelf.folder))

    def block(self) -> None:
        """Put a file where the folder should be."""
        self.folder.write_text("no folder")

    def unblock(self) -> None:
        """Take that file away."""
        self.folder.unlink()

    @property
    def in_table(self) -> list[int]:
        """Sequences of the table."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(journal.c.sequence).order_by(journal.c.sequence)).scalars())


async def test_what_lies_before_the_oldest_checkpoint_is_archived_and_its_own_entry_stays(engine: sa.Engine) -> None:
    plant = Plant(engine, keep_days=0.0)
    await plant.days(3)
    assert plant.told == [(False, "")] * 3
    assert len(plant.in_table) < 150
    assert plant.in_table[-1] - plant.in_table[0] >= 10
    assert verify(engine).first == 1


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_with_a_retention_disk_is_flat(engine: sa.Engine) -> None:
    plant = Plant(engine, keep_days=5.0)
    sizes = []
    for _ in range(30):
        await plant.days(1)
        sizes.append(plant.sizes())
    first, second = sizes[8:19], sizes[19:]
    assert max(size for size, _ in second) <= max(size for size, _ in first)
    assert max(size for _, size in second) <= 1.1 * max(size for _, size in first)
    found = verify(engine)
    assert found.first > 100
    assert found.count < 1000


async def test_a_failure_is_told_and_over_when_it_is_over(engine: sa.Engine) -> None:
    plant = Plant(engine, keep_days=0.0)
    plant.block()
    await plant.days(1)
    plant.unblock()
    await plant.days(1)
    assert [failing for failing, _ in plant.told] == [True, False]
    assert "record" in plant.told[0][1]
    verify(engine)


async def test_a_record_that_is_not_trusted_stays_as_it_is(engine: sa.Engine) -> None:
    plant = Plant(engine, keep_days=1.0)
    plant.trusted = False
    await plant.days(3)
    assert len(plant.in_table) == 300
    plant.trusted = True
    await plant.days(1)
    assert len(plant.in_table) < 150
