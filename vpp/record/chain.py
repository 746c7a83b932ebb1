"""Hash chain of the journal: canonical JSON, and the link from one entry to the next.

Each entry's hash covers the hash before it (Merkle 1979, Haber and Stornetta 1991)::

    sha256[k] = SHA-256(sha256[k-1] || canonical JSON of [sequence, kind, at_s, body] || packed body)

A packed body (`vpp.record.stored_body`) is hashed as stored; the body in the JSON is ``null`` then. Canonical JSON has
sorted keys, no white space and ``null`` for NaN and infinities, which JSON lacks.
"""

import hashlib

import orjson

GENESIS = "0" * 64
"""Stands before the first entry."""


def link(  # noqa: PLR0917 - the parts of an entry in their order
    previous_sha256: str, sequence: int, kind: str, at_s: float, body: str, packed: bytes = b""
) -> str:
    """Return the hash of an entry that follows ``previous_sha256``, its body as text and packed bytes."""
    content = orjson.dumps([sequence, kind, at_s, orjson.Fragment(body)])
    return hashlib.sha256(previous_sha256.encode() + content + packed).hexdigest()
