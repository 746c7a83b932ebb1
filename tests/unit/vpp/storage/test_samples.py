"""Recorded samples: replayed in order, kept while they cannot be written."""

import pytest
import sqlalchemy as sa

from tests.unit.vpp.storage.parts import START_S, batch, same
from vpp.domain.errors import StorageError
from vpp.storage.samples import SqlTelemetryLog


async def test_samples_are_replayed_in_the_order_they_were_heard(engine: sa.Engine) -> None:
    log = SqlTelemetryLog(engine)
    for cycle in range(450):
        log.append(cycle, START_S + cycle, batch(cycle % 7))
    await log.flush()

    frames = list(log.iterate())
    assert [frame.cycle for frame in frames] == list(range(450))
    assert all(same(frame.batch, batch(frame.cycle % 7)) for frame in frames)
    some = [frame.cycle for frame in log.iterate(from_s=START_S + 10.0, until_s=START_S + 13.0)]
    assert some == [10, 11, 12]
    log.close()


async def test_cycles_that_start_again_after_a_restart_do_not_collide(engine: sa.Engine) -> None:
    for _ in range(2):
        log = SqlTelemetryLog(engine)
        log.append(1, START_S, batch(3))
        log.append(2, START_S + 1.0, batch(3))
        log.close()
    log = SqlTelemetryLog(engine)
    assert [frame.cycle for frame in log.iterate()] == [1, 2, 1, 2]
    log.close()


async def test_samples_that_could_not_be_written_are_told_of_and_kept(engine: sa.Engine) -> None:
    log = SqlTelemetryLog(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE telemetry_frames RENAME TO gone")
    log.append(1, START_S, batch(3))
    with pytest.raises(StorageError, match="the samples cannot be written"):
        await log.flush()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO telemetry_frames")
    await log.flush()
    assert [frame.cycle for frame in log.iterate()] == [1]
    log.close()
