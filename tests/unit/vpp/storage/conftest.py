"""A database that is made where it is asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from vpp.storage.sql import open_database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'made' / 'on demand' / 'vpp.sqlite3'}"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()
