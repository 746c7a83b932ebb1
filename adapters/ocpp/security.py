"""Who may speak for a station: keys checked by one hash, and the three security profiles of OCPP.

A key is random and long (16 bytes and more), so no slow hash protects it: a key-derivation function of 20 ms would
make the return of 200,000 stations an hour's work. What is kept is HMAC-SHA-256 of station and key under a secret of
the service's own; a stolen table is of no use without it.
"""

import hashlib
import hmac
import secrets
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vpp.domain.errors import InputError

KEY_BYTES = 16
_DIGEST_BYTES = 32


def new_key() -> str:
    """Return a fresh station key, 32 hex digits."""
    return secrets.token_hex(KEY_BYTES)


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
        rows = sorted((_name(station), _digest(secret, station, key)) for station, key in keys)
        names = np.array([name for name, _ in rows], dtype=np.uint64)
        digests = np.frombuffer(b"".join(digest for _, digest in rows), dtype=np.uint8)
        return cls(names, digests.reshape(-1, _DIGEST_BYTES), secret)

    @classmethod
    def load(cls, path: Path, secret: bytes) -> "KeyTable":
        """Return a table that ``save`` wrote; its pages are shared by all processes that load it."""
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        return cls(rows["name"], rows["digest"], secret)

    def save(self, path: Path) -> None:
        """Write the table to a ``.npy`` file; the secret is not in it."""
        rows = np.empty(len(self), dtype=[("name", np.uint64), ("digest", np.uint8, _DIGEST_BYTES)])
        rows["name"], rows["digest"] = self._names, self._digests
        np.save(path, rows, allow_pickle=False)

    def __len__(self) -> int:
        return len(self._names)

    def __call__(self, station: str, password: str | None) -> bool:
        """Tell whether ``password`` is the station's key; takes the same time for any wrong one."""
        name = _name(station)
        place = int(np.searchsorted(self._names, np.uint64(name)))
        known = place < len(self._names) and int(self._names[place]) == name
        kept = self._digests[place].tobytes() if known else bytes(_DIGEST_BYTES)
        given = _digest(self._secret, station, password or "")
        return hmac.compare_digest(kept, given) and known and password is not None


def server_context(certificate: Path, key: Path, *, station_ca: Path | None = None) -> ssl.SSLContext:
    """Return the TLS side of security profile 2, or of profile 3 where ``station_ca`` signs stations.

    Raises:
        OSError: A file cannot be read or holds no certificate (``ssl.SSLError`` is one).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if station_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(station_ca)
    return context


def identities(sock: ssl.SSLSocket) -> frozenset[str]:
    """Return the names in a peer's verified certificate: its common name and its DNS names; empty without one."""
    certificate: Any = sock.getpeercert() or {}  # typeshed has no shape for it
    common = {value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"}
    return frozenset(common | {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"})


def _name(station: str) -> int:
    return int.from_bytes(hashlib.sha256(station.encode()).digest()[:8], "big")


def _digest(secret: bytes, station: str, key: str) -> bytes:
    return hmac.digest(secret, f"{station}\0{key}".encode(), "sha256")
