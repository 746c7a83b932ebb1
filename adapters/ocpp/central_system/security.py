"""Station credentials: keys checked by one hash, and the three security profiles of OCPP.

A key is random and long (16 bytes and more), so no slow hash protects it: a key-derivation function of 20 ms would
make the return of 200,000 stations an hour's work. What is kept is HMAC-SHA-256 of station and key under a secret of
the service's own; a stolen table is of no use without it.
"""

import hashlib
import hmac
import os
import secrets
import ssl
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from vpp.domain.errors import ConfigurationError, InputError

_log = structlog.get_logger(__name__)

KEY_BYTES = 16
_DIGEST_BYTES = 32
_HEAD_BYTES = 128
"""Of a ``.npy`` file with no rows."""
_RECORD = np.dtype([("name", np.uint64), ("digest", np.uint8, _DIGEST_BYTES)])


def new_key() -> str:
    """Return a fresh station key, 32 hex digits, 126 bits of them random.

    The bytes it stands for are never valid UTF-8 (they begin with a continuation byte), so that a station that sends
    these instead of the digits, as the security whitepaper of OCPP 1.6 has it, can be distinguished.
    """
    first, *rest = secrets.token_bytes(KEY_BYTES)
    return bytes((0x80 | first & 0x3F, *rest)).hex()


class KeyTable:
    """Keys of any number of stations, 40 bytes each, in two arrays that processes can share.

    Args:
        names: First eight bytes of each station's SHA-256, rising, shape ``(n,)``.
        digests: HMAC of each station's key, shape ``(n, 32)``.
        secret: Key of the HMAC.
    """

    def __init__(self, names: npt.NDArray[np.uint64], digests: npt.NDArray[np.uint8], secret: bytes) -> None:
        if digests.shape != (len(names), _DIGEST_BYTES):
            raise InputError("digests", digests.shape, f"an array of shape ({len(names)}, {_DIGEST_BYTES})")
        self._names = names
        self._digests = digests
        self._secret = secret

    @classmethod
    def of(cls, keys: Iterable[tuple[str, str]], secret: bytes) -> "KeyTable":
        """Return the table of ``(station, key)`` pairs."""
        return cls(*_columns(keys, secret), secret)

    @classmethod
    def load(cls, path: Path, secret: bytes) -> "KeyTable":
        """Return a table that ``save`` wrote; its pages are shared by all processes that load it.

        Raises:
            ConfigurationError: The file cannot be read, or was not written by ``save``.
        """
        try:
            # Without a mapping where it is empty, which no file can be mapped for.
            rows = np.load(path, mmap_mode="r" if path.stat().st_size > _HEAD_BYTES else None, allow_pickle=False)
        except OSError as error:
            raise ConfigurationError(f"{path} is no table of station keys: {error.strerror}") from error
        except (ValueError, EOFError) as error:
            raise ConfigurationError(f"{path} is no table of station keys, as vpp keys issue makes them") from error
        if rows.dtype != _RECORD or rows.ndim != 1:
            raise ConfigurationError(f"{path} is no table of station keys: it holds {rows.dtype}")
        return cls(rows["name"], rows["digest"], secret)

    def save(self, path: Path) -> None:
        """Write the table to a file in one step, as it may be read meanwhile; the secret is not in it."""
        rows = np.empty(len(self), dtype=_RECORD)
        rows["name"], rows["digest"] = self._names, self._digests
        fresh = path.with_name(f"{path.name}.new")
        with fresh.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def changed(self, keys: Iterable[tuple[str, str]] = (), *, revoked: Iterable[str] = ()) -> "KeyTable":
        """Return the table with other keys for some stations, and without those whose key is ``revoked``."""
        other_names, other_digests = _columns(keys, self._secret)
        gone = np.fromiter((_name(station) for station in revoked), dtype=np.uint64)
        kept = ~np.isin(self._names, np.concatenate((other_names, gone)))
        names = np.concatenate((self._names[kept], other_names))
        digests = np.concatenate((self._digests[kept], other_digests))
        order = np.argsort(names, kind="stable")
        return KeyTable(names[order], digests[order], self._secret)

    def __contains__(self, station: object) -> bool:
        return isinstance(station, str) and self._place(_name(station)) is not None

    def __len__(self) -> int:
        return len(self._names)

    def __call__(self, station: str, password: str | None) -> bool:
        """Tell whether ``password`` is the station's key; takes the same time for any wrong one."""
        place = self._place(_name(station))
        kept = bytes(_DIGEST_BYTES) if place is None else self._digests[place].tobytes()
        given = _digest(self._secret, station, password or "")
        return hmac.compare_digest(kept, given) and place is not None and password is not None

    def _place(self, name: int) -> int | None:
        place = int(self._names.searchsorted(np.uint64(name)))
        return place if place < len(self._names) and int(self._names[place]) == name else None


class KeyFile:
    """The keys of a file, read anew whenever it has been replaced; a station whose key is revoked stays out then.

    Args:
        path: What ``KeyTable.save`` wrote.
        secret: Key of the HMAC.

    Raises:
        ConfigurationError: The file is no such table.
    """

    def __init__(self, path: Path, secret: bytes) -> None:
        self._path = path
        self._secret = secret
        self._stamp = _stamp(path)
        self._table = KeyTable.load(path, secret)

    def __len__(self) -> int:
        return len(self._table)

    def __call__(self, station: str, password: str | None) -> bool:
        """Judge as ``KeyTable`` does; a look at the file costs two microseconds, a handshake forty."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._reload()
        return self._table(station, password)

    def _reload(self) -> None:
        """Take what is there now; what was there before where that is of no use."""
        try:
            self._table = KeyTable.load(self._path, self._secret)
        except ConfigurationError as error:
            _log.warning("station keys not reloaded, earlier ones stay in force", why=str(error))
        else:
            _log.info("station keys reloaded", path=str(self._path), stations=len(self._table))


def server_context(certificate: Path, key: Path, *, station_ca: Path | None = None) -> ssl.SSLContext:
    """Return the TLS side of security profile 2, or of profile 3 where ``station_ca`` signs stations.

    A station gets one ticket to come back with: its next handshake then costs a fraction.

    Raises:
        OSError: A file cannot be read or holds no certificate (``ssl.SSLError`` is one).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 1
    context.load_cert_chain(certificate, key, password="")
    if station_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(station_ca)
    return context


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _columns(keys: Iterable[tuple[str, str]], secret: bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    rows = sorted((_name(station), _digest(secret, station, key)) for station, key in keys)
    names = np.array([name for name, _ in rows], dtype=np.uint64)
    digests = np.frombuffer(b"".join(digest for _, digest in rows), dtype=np.uint8)
    return names, digests.reshape(-1, _DIGEST_BYTES)


def _name(station: str) -> int:
    return int.from_bytes(hashlib.sha256(station.encode()).digest()[:8], "big")


def _digest(secret: bytes, station: str, key: str) -> bytes:
    return hmac.digest(secret, f"{station}\0{key}".encode(), "sha256")
