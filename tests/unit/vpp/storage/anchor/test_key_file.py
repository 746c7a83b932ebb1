"""The key is made once, for its owner only."""

from pathlib import Path

import pytest

from vpp.domain.errors import ConfigurationError
from vpp.storage.anchor.key_file import make_key, read_key


def test_a_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "config" / "vpp" / "record.key"
    assert read_key(path) is None
    key = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert make_key(path).public == key.public
    again = read_key(path)
    assert again is not None
    assert again.public == key.public
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "record.key"
    make_key(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"VPP_RECORD_KEY.*mode {mode:o}"):
        read_key(path)


def test_a_file_that_holds_no_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "record.key"
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"VPP_RECORD_KEY.*holds no key"):
        read_key(path)


def test_a_key_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(ConfigurationError, match=r"VPP_RECORD_KEY.*cannot be written"):
        make_key(tmp_path / "taken" / "record.key")
