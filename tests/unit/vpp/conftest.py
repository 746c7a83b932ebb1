"""A database that is made where it is asked for, of each kind an operator may choose."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.postgresql import PostgresServer, postgresql
from vpp.storage.segments import shelf
from vpp.storage.sql import open_database


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'made' / 'on demand' / 'vpp.sqlite3'}"
    made: PostgresServer = request.getfixturevalue("server")
    # No file is there that an archive could lie beside; services are given the folder.
    monkeypatch.setattr(shelf, "folder_beside", lambda _: tmp_path / "record")
    return made.new_url()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()
