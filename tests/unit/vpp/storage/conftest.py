"""A database that is made where it is asked for, of each kind an operator may choose."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.postgresql import PostgresServer, postgresql
from vpp.storage.sql import open_database


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'made' / 'on demand' / 'vpp.sqlite3'}"
    made: PostgresServer = request.getfixturevalue("server")
    return made.new_url()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()
