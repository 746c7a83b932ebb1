"""Place of the journal's key and of its signed heads: outside the data folder, which they guard."""

import os
from pathlib import Path

from vpp.domain.errors import ConfigurationError


def record_place(data_dir: Path, key: Path | None, heads: Path | None) -> tuple[Path, Path]:
    """Return the file of the key and the folder of the heads, both absolute.

    Args:
        data_dir: Data folder.
        key: File as it was set, ``None`` for ``vpp/record.key`` in the user's configuration folder.
        heads: Folder as it was set, ``None`` for ``vpp/heads`` in the user's state folder.

    Raises:
        ConfigurationError: One of them lies in the data folder, or a user without a home folder needs a default.
    """
    try:
        key = (key or _users("XDG_CONFIG_HOME", ".config") / "record.key").expanduser().resolve()
        heads = (heads or _users("XDG_STATE_HOME", ".local/state") / "heads").expanduser().resolve()
    except RuntimeError as error:
        raise ConfigurationError(f"VPP_RECORD_KEY, VPP_RECORD_HEADS: {error}; give both") from error
    for name, path in (("VPP_RECORD_KEY", key), ("VPP_RECORD_HEADS", heads)):
        if path.is_relative_to(data_dir.expanduser().resolve()):
            raise ConfigurationError(f"{name}: {path} lies in VPP_DATA_DIR, which it guards; give another place")
    return key, heads


def _users(variable: str, otherwise: str) -> Path:
    """Return this program's folder among a user's; raises RuntimeError where there is no home folder."""
    given = os.environ.get(variable)
    return (Path(given) if given else Path.home() / otherwise) / "vpp"
