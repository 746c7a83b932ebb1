"""A plant on each kind of database."""

from pathlib import Path

import pytest

from tests.unit.vpp.storage.anchor.parts import Plant


@pytest.fixture
def server_url(url: str) -> str:
    """URL of a database on a server, empty where it is to be a file."""
    return "" if url.startswith("sqlite") else url


@pytest.fixture
def empty(tmp_path: Path, server_url: str) -> Plant:
    """A plant of which nothing is stored yet."""
    return Plant(tmp_path, server=server_url)
