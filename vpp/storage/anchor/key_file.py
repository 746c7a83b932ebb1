"""File of the key that signs heads: made once, readable by its owner only."""

import os
import secrets
from pathlib import Path

from vpp.domain.errors import ConfigurationError, InputError
from vpp.record.heads import HeadKey

_OTHERS = 0o077
"""Permissions of group and others."""


def read_key(path: Path) -> HeadKey | None:
    """Return the key in a file, ``None`` where there is no such file.

    Raises:
        ConfigurationError: Others than its owner may read the file, or it holds no key.
    """
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"VPP_RECORD_KEY: {path} cannot be read: {error.strerror}") from error
    if os.name == "posix" and mode & _OTHERS:
        raise ConfigurationError(
            f"VPP_RECORD_KEY: {path} has mode {mode & 0o777:o}, so others may read it; give it mode 600, or make a new"
            " key if others have read it"
        )
    try:
        return HeadKey.of_pem(content)
    except InputError as error:
        raise ConfigurationError(f"VPP_RECORD_KEY: {path} holds no key: {error}") from error


def make_key(path: Path) -> HeadKey:
    """Make a key in a file with mode 600 and return it; return the one that is there, if there is one.

    Raises:
        ConfigurationError: The file cannot be written, or the key that is there cannot be used.
    """
    key, draft = HeadKey.random(), path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(key.pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # whole or not at all, and never over a key that is there
        except FileExistsError:
            there = read_key(path)
            if there is not None:
                return there
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"VPP_RECORD_KEY: {path} cannot be written: {error.strerror}") from error
    return key
