"""``vpp keys``: keys for charging stations, and the file their hashes are kept in."""

import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

from adapters.ocpp.central_system.security import KeyTable, new_key
from vpp.domain.csv_table import lines_in_file
from vpp.domain.errors import ConfigurationError, InputError

_SECRET_BYTES = 32
_LONGEST_ID = 48
"""OCPP 2.x, part 4, 3.1.1; 1.6 names no bound."""
_PRIVATE = 0o600


def issue_keys(stations: Path, table: Path, out: Path, *, renew: bool) -> None:
    """Give every station of a list a key: its hash is written to ``table``, the key itself only to ``out``.

    Stations that have a key keep it unless ``renew``. The secret of a new table is made beside it.

    Raises:
        InputError: An id in the list is none.
        ConfigurationError: The table is none, its secret is missing, or ``out`` is there already.
    """
    kept = _table_at(table)
    fresh = [(name, new_key()) for name in _ids(stations) if renew or name not in kept]
    if fresh:
        _write_keys(out, fresh)
        kept = kept.changed(fresh)
        kept.save(table)
    sys.stderr.write(f"{len(fresh)} keys issued{f' to {out}' if fresh else ''}; {table} has {len(kept)} now\n")


def revoke_keys(stations: Path, table: Path) -> None:
    """Take the keys of a list of stations out of ``table``; raises as ``issue_keys`` does."""
    kept = _table_at(table)
    left = kept.changed(revoked=_ids(stations))
    left.save(table)
    sys.stderr.write(f"{len(kept) - len(left)} keys revoked; {table} has {len(left)} now\n")


def _table_at(path: Path) -> KeyTable:
    secret_at = path.with_suffix(".secret")
    if path.exists() and not secret_at.exists():
        raise ConfigurationError(f"the secret of {path} is not at {secret_at}; without it no key can be added")
    if not secret_at.exists():
        _write_private(secret_at, secrets.token_hex(_SECRET_BYTES))
    secret = secret_at.read_bytes().strip()
    return KeyTable.load(path, secret) if path.exists() else KeyTable.of((), secret)


def _ids(file: Path) -> list[str]:
    """Return the stations named in a file, one a line, or in the first column of a CSV that begins ``station``."""
    firsts = (line.cells[0] for line in lines_in_file(file, least=0))
    found = [cell.strip() for cell in firsts if cell.strip() and cell[0] != "#"]
    names = found[1:] if found[:1] == ["station"] else found
    for name in names:
        if ":" in name or "/" in name or len(name) > _LONGEST_ID or not name.isprintable():
            raise InputError("station", name, f"an id of at most {_LONGEST_ID} characters without ':' and '/'")
    return list(dict.fromkeys(names))


def _write_keys(out: Path, keys: Iterable[tuple[str, str]]) -> None:
    _write_private(out, "station,key\n" + "".join(f"{name},{key}\n" for name, key in keys))


def _write_private(path: Path, text: str) -> None:
    """Write a new file that only we may read; never over one that is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} is there already; keys are never written over others") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
