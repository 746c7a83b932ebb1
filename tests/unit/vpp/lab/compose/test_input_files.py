"""Files of a user in place of what is built in."""

import gzip
from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.lab.compose.input_files import InputFiles


def test_without_files_there_are_no_sessions_and_the_builtin_weather() -> None:
    files = InputFiles()
    assert files.read_sessions(1) is None
    assert "July" in files.read_weather().source


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", gzip.compress(b"city,site,port,start,end,kwh\n" * 100)[:-12], b"\x1f\x8b\x08" + b"\0" * 40],
    ids=["no text", "cut off", "damaged"],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / ("given.csv.gz" if content.startswith(b"\x1f\x8b") else "given.csv")
    path.write_bytes(content)
    files = InputFiles(sessions=path, weather=path)
    with pytest.raises(InputError, match=path.name):
        files.read_sessions(1)
    with pytest.raises(InputError, match=path.name):
        files.read_weather()
