"""Signed heads: position and hash of the journal's last entry at an instant, vouched for by a key kept elsewhere.

Whoever rewrites the journal can compute its whole chain again; a signature he cannot. A head covers every entry up to
its own. Signatures are Ed25519 (RFC 8032), so that a head can be checked where it could not be made::

    signature = Ed25519(key, JSON of ["vpp.head.1", fleet, sequence, sha256, at_s, restored])
"""

from dataclasses import asdict, dataclass

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vpp.domain.errors import FrameError, InputError
from vpp.record.entry import Head

_FORM = "vpp.head.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """Head of a fleet's journal with its signature.

    Attributes:
        fleet: Id of the fleet.
        sequence: Position of the entry that was the last, from 1.
        sha256: Its hash, hexadecimal.
        at_s: When the head was taken, epoch seconds of the service's clock.
        restored: The operator accepted the journal as it stands up to here; earlier heads bind no longer.
        signature: Ed25519, hexadecimal.
    """

    fleet: str
    sequence: int
    sha256: str
    at_s: float
    restored: bool = False
    signature: str = ""

    @property
    def head(self) -> Head:
        """The head that is vouched for."""
        return Head(sequence=self.sequence, sha256=self.sha256)

    def line(self) -> str:
        """Return the head as one line of JSON, without a line end."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of_line(cls, line: str | bytes) -> "SignedHead":
        """Return the head that ``line`` was called on.

        Raises:
            FrameError: The line holds no head.
        """
        try:
            content = orjson.loads(line)
            return cls(
                fleet=str(content["fleet"]),
                sequence=int(content["sequence"]),
                sha256=str(content["sha256"]),
                at_s=float(content["at_s"]),
                restored=bool(content["restored"]),
                signature=str(content["signature"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FrameError(f"no signed head: {error!r}") from error


class HeadKey:
    """Private key that signs heads."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def random(cls) -> "HeadKey":
        """Return a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of_pem(cls, pem: bytes) -> "HeadKey":
        """Return the key of a PEM text.

        Raises:
            InputError: It holds no Ed25519 private key.
        """
        accepted = "a PEM text with an unencrypted Ed25519 private key"
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise InputError("key", f"{len(pem)} bytes", accepted) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise InputError("key", type(private).__name__, accepted)
        return cls(private)

    @property
    def pem(self) -> bytes:
        """The private key as PEM text (PKCS 8, not encrypted)."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public(self) -> str:
        """The public key, 64 hexadecimal digits; whoever holds it can verify heads and sign none."""
        raw = self._private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return raw.hex()

    def sign(self, fleet: str, head: Head, at_s: float, *, restored: bool = False) -> SignedHead:
        """Return a head, taken at ``at_s`` (epoch seconds), with its signature."""
        unsigned = SignedHead(
            fleet=fleet, sequence=head.sequence, sha256=head.sha256, at_s=float(at_s), restored=restored
        )
        return SignedHead(**{**asdict(unsigned), "signature": self.signature(_signed(unsigned))})

    def signature(self, content: bytes) -> str:
        """Return the signature of some content, hexadecimal."""
        return self._private.sign(content).hex()


def verified(head: SignedHead, public: str) -> bool:
    """Return whether a head was signed by the private key that belongs to ``public``, 64 hexadecimal digits."""
    return signature_holds(_signed(head), head.signature, public)


def signature_holds(content: bytes, signature: str, public: str) -> bool:
    """Return whether ``signature`` (hexadecimal) of ``content`` is that of the private key of ``public``."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed(head: SignedHead) -> bytes:
    """Return the bytes that are signed."""
    return orjson.dumps([_FORM, head.fleet, head.sequence, head.sha256, head.at_s, head.restored])
