"""Files of a user in place of what is built in."""

import gzip
from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.lab.compose.input_files import InputFiles, read_file


def test_without_files_there_are_no_sessions_and_the_builtin_weather() -> None:
    files = InputFiles()
    assert files.read_sessions(1) is None
    assert "July" in files.read_weather().source


def test_what_was_not_given_is_not_read() -> None:
    assert read_file("--prices", None, lambda path: path.read_text()) is None


def test_a_file_that_is_no_text_is_named_with_its_option(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="--prices"):
        read_file("--prices", path, lambda p: p.read_text(encoding="utf-8"))


def test_a_damaged_archive_is_named_with_its_option(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv.gz"
    path.write_bytes(gzip.compress(b"hour,price\n" * 100)[:-12])
    with pytest.raises(InputError, match="--prices"):
        read_file("--prices", path, lambda p: gzip.decompress(p.read_bytes()))
