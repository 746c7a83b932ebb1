"""The archive moves every recorded sample into the store once, whatever happens in between."""

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from vpp.domain.telemetry import Quantity, TelemetryBatch
from vpp.storage.samples import SqlTelemetryLog
from vpp.storage.sql import telemetry_frames
from vpp.storage.telemetry.archive import ArchiveRules, TelemetryArchive
from vpp.storage.telemetry.store import TelemetryStore

DAY = 20_000 * 86_400.0


class Place:
    """A database with frames, and an archive that follows them into a folder."""

    def __init__(self, folder: Path, engine: sa.Engine, **rules: float) -> None:
        self.engine = engine
        self.log = SqlTelemetryLog(self.engine)
        self.folder = folder
        self.rules = ArchiveRules(**rules)
        self.archive = self.opened()

    def opened(self) -> TelemetryArchive:
        """Return an archive as after a restart."""
        store = TelemetryStore(str(self.folder / "telemetry"))
        return TelemetryArchive(self.engine, store, now_s=lambda: DAY + 86_400.0, rules=self.rules)

    async def record(self, *values: float) -> None:
        """Let the fast loop record one cycle a value."""
        for value in values:
            self.log.append(1, DAY + value, TelemetryBatch.of([(7, Quantity.POWER_KW, value, DAY + value)]))
        await self.log.flush()

    def kept(self) -> list[float]:
        """Return what the store holds."""
        found = self.archive.store.history(7, from_s=DAY, to_s=DAY + 86_400.0)
        return [float(value) for value in found.values]

    def close(self) -> None:
        """End everything."""
        self.log.close()
        self.archive.close()


async def test_what_was_recorded_is_moved_once_and_in_order_over_restarts(tmp_path: Path, engine: sa.Engine) -> None:
    place = Place(tmp_path, engine)
    await place.record(1.0, 2.0)
    assert place.archive.catch_up() == 2
    assert place.archive.catch_up() == 0
    await place.record(*np.arange(3.0, 150.0))
    place.archive = place.opened()
    assert place.archive.catch_up() == 147
    assert place.kept() == list(np.arange(1.0, 150.0))
    place.close()


async def test_a_write_that_fails_is_done_again(
    tmp_path: Path, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, engine)
    await place.record(1.0)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(place.archive.store, "write", full)
        place.archive._try_to_catch_up()
    assert place.kept() == []
    place.archive._try_to_catch_up()
    assert place.kept() == [1.0]
    place.close()


async def test_tidying_compacts_and_forgets_frames_that_are_in_the_store(tmp_path: Path, engine: sa.Engine) -> None:
    place = Place(tmp_path, engine, keep_frames_days=0.5)
    await place.record(1.0, 86_300.0)
    place.archive.catch_up()
    await place.record(2.0)
    place.archive.tidy()
    with place.engine.connect() as connection:
        left = connection.execute(sa.select(telemetry_frames.c.at_s)).scalars().all()
    assert sorted(left) == [DAY + 2.0, DAY + 86_300.0], "recent ones stay, and those that are not in the store yet"
    assert place.archive.store.size().hot_files == 0
    place.archive.catch_up()
    assert place.kept() == [1.0, 2.0, 86_300.0]
    place.close()


async def test_closing_writes_what_is_left(tmp_path: Path, engine: sa.Engine) -> None:
    place = Place(tmp_path, engine)
    place.archive.start(areas=lambda: np.zeros(8, dtype=np.int32))
    await place.record(5.0)
    place.log.close()
    place.archive.close()
    place.archive = place.opened()
    assert place.kept() == [5.0]
    place.archive.close()


async def test_an_archive_waits_while_its_process_does_not_lead(tmp_path: Path, engine: sa.Engine) -> None:
    place = Place(tmp_path, engine)
    await place.record(1.0)
    place.archive.start(areas=lambda: np.zeros(8, dtype=np.int32), may_write=lambda: False)
    place.archive.close()
    place.archive = place.opened()
    assert place.kept() == []
    place.archive.catch_up()
    assert place.kept() == [1.0]
    place.close()
