"""Hash chain of the journal: canonical JSON, and the link from one entry to the next.

Each entry's hash covers the hash before it (Merkle 1979, Haber and Stornetta 1991)::

    sha256[k] = SHA-256(sha256[k-1] || canonical JSON of [sequence, kind, at_s, body] || packed body)

A packed body (`vpp.record.stored_body`) is hashed as stored; the body in the JSON is ``null`` then. Canonical JSON has
sorted keys, no white space and ``null`` for NaN and infinities, which JSON lacks.
"""

import hashlib
from collections.abc import Mapping

import orjson

from vpp.domain.errors import InputError

GENESIS = "0" * 64
"""Stands before the first entry."""

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def canonical_json(body: Mapping[str, object]) -> str:
    """Return ``body`` with sorted keys and without white space, NaN as ``null``.

    Raises:
        InputError: It holds a value that JSON lacks.
    """
    try:
        return orjson.dumps(body, option=_CANONICAL, default=_plain).decode()
    except TypeError as error:
        raise InputError("body", type(body).__name__, f"JSON-like content ({error})") from error


def link(  # noqa: PLR0917 - the parts of an entry in their order
    previous_sha256: str, sequence: int, kind: str, at_s: float, body: str, packed: bytes = b""
) -> str:
    """Return the hash of an entry that follows ``previous_sha256``, its body as text and packed bytes."""
    content = orjson.dumps([sequence, kind, at_s, orjson.Fragment(body)])
    return hashlib.sha256(previous_sha256.encode() + content + packed).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
