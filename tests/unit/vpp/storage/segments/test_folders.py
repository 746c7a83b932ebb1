"""A folder's list of files is synchronised; a folder that is not there is told."""

from pathlib import Path

import pytest

from vpp.storage.segments.folders import sync_folder


def test_a_folder_is_synchronised_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    sync_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "none")
