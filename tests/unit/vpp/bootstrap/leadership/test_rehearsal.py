"""A rehearsal composes a service over the present fleet and leaves the database as it was."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from vpp.bootstrap.leadership import rehearsal
from vpp.bootstrap.leadership.rehearsal import rehearse
from vpp.config import Settings
from vpp.domain.site import Area
from vpp.fleet.index import FleetIndex
from vpp.runtime.clock import SYSTEM_CLOCK
from vpp.storage.registry import SqlRegistry
from vpp.storage.sql import open_database


@pytest.mark.parametrize("revision", [None, "0002", "9999"])
def test_nothing_is_written(revision: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(data_dir=tmp_path)
    engine = open_database(settings.database_url)
    grown = FleetIndex(areas=(Area(id="a", name="A"),), operators=(), transformers=(), sites=(), resources=())
    SqlRegistry(engine).add(FleetIndex.empty(), grown)
    if revision is not None:
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :of"), {"of": revision})
    monkeypatch.setattr(rehearsal, "warm_up", lambda: None)  # has a test of its own
    before = _content(engine)
    rehearse(settings, SYSTEM_CLOCK)
    assert _content(engine) == before
    engine.dispose()


def test_a_fault_of_any_kind_ends_the_rehearsal_and_not_the_standby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "warm_up", lambda: None)

    def broken(*_: object) -> None:
        raise KeyError("a member of an unknown kind")

    monkeypatch.setattr(rehearsal, "Service", broken)
    settings = Settings.load(data_dir=tmp_path)
    open_database(settings.database_url).dispose()
    rehearse(settings, SYSTEM_CLOCK)


def _content(engine: sa.Engine) -> list[str]:
    """Return every row of the database as a line of SQL."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        return list(driver.iterdump())
