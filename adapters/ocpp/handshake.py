"""The HTTP upgrade of a station, both ends: whose path, which password, which version."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from http import HTTPStatus
from urllib.parse import unquote

from adapters.ocpp.wire import Version
from vpp.domain.errors import FrameError

PATH = "/ocpp/"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION_13 = "13"
_WORDS_OF_A_REQUEST = 3


@dataclass(frozen=True, slots=True)
class Request:
    """The head of an HTTP request; names of headers in lower case, repeated ones joined by commas."""

    method: str
    path: str
    headers: Mapping[str, str]


def parse_request(head: bytes) -> Request:
    """Return a request's head; raises FrameError where it is none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != _WORDS_OF_A_REQUEST or not words[2].startswith("HTTP/1."):
        raise FrameError(f"no HTTP request: {first[:80]!r}")
    return Request(words[0], words[1], _headers(lines))


def check_upgrade(request: Request, *, connection_tolerated: bool) -> HTTPStatus | None:
    """Return what to refuse a request with that is no WebSocket upgrade, ``None`` if it is one.

    Args:
        request: What came.
        connection_tolerated: Some firmware leaves out ``Connection: Upgrade`` (lbbrhzn/ocpp#1984); let it in.
    """
    headers = request.headers
    if request.method != "GET":
        return HTTPStatus.METHOD_NOT_ALLOWED
    if "websocket" not in headers.get("upgrade", "").lower() or not headers.get("sec-websocket-key"):
        return HTTPStatus.BAD_REQUEST
    if "upgrade" not in headers.get("connection", "").lower() and not connection_tolerated:
        return HTTPStatus.BAD_REQUEST
    if headers.get("sec-websocket-version", _VERSION_13) != _VERSION_13:
        return HTTPStatus.UPGRADE_REQUIRED
    return None


def station_id(request: Request) -> str:
    """Return the station a path names, an empty string if it names none."""
    path = request.path.partition("?")[0]
    return unquote(path.removeprefix(PATH)) if path.startswith(PATH) else ""


def offered(request: Request) -> list[str]:
    """Return the subprotocols a station offers."""
    return [word.strip() for word in request.headers.get("sec-websocket-protocol", "").split(",") if word.strip()]


def password(request: Request, station: str) -> str | None:
    """Return the Basic password given for ``station``, ``None`` if there is none or it is for somebody else.

    A key is set in hex digits, and the security whitepaper of OCPP 1.6 has the bytes they stand for sent: what is no
    text is returned in digits.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, word = b64decode(token, validate=True).partition(b":")
    except Base64Error:
        return None
    if not colon or user != station.encode():
        return None
    try:
        return word.decode()
    except UnicodeDecodeError:
        return word.hex()


def refusal(status: HTTPStatus, **headers: str) -> bytes:
    """Return a whole response that lets nobody in; an underscore in a header's name stands for a dash."""
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n"
    return head.encode()


def unauthorized() -> bytes:
    """Return the refusal that asks for a password."""
    return refusal(HTTPStatus.UNAUTHORIZED, WWW_Authenticate='Basic realm="ocpp"')


def accepted(request: Request, version: Version | None) -> bytes:
    """Return the upgrade; a station that offered no subprotocol gets none named. Compression is never taken up."""
    chosen = b"" if version is None else b"Sec-WebSocket-Protocol: " + version.value.encode() + b"\r\n"
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + _accept(request.headers["sec-websocket-key"].encode("latin-1"))
        + b"\r\n"
        + chosen
        + b"\r\n"
    )


def request(*, host: str, path: str, key: bytes, version: Version, authorization: str = "") -> bytes:
    """Return a station's request; ``key`` is base64 of 16 bytes, ``authorization`` the whole header's value."""
    asks = f"Authorization: {authorization}\r\n" if authorization else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {version.value}\r\n{asks}\r\n"
    ).encode()


def basic(station: str, word: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + b64encode(f"{station}:{word}".encode()).decode()


def is_accepted(head: bytes, key: bytes) -> bool:
    """Tell whether a response lets a station in that sent ``key``."""
    first, *lines = head.decode("latin-1").split("\r\n")
    return first.split(" ")[1:2] == ["101"] and _headers(lines).get("sec-websocket-accept") == _accept(key).decode()


def retry_after_s(head: bytes) -> float:
    """Return the seconds a refusal asks to wait, 0 where it asks for none."""
    _, *lines = head.decode("latin-1").split("\r\n")
    word = _headers(lines).get("retry-after", "")
    return float(word) if word.isdecimal() else 0.0


def _accept(key: bytes) -> bytes:
    return b64encode(sha1(key + _GUID).digest())  # noqa: S324 - RFC 6455 wants this one; it secures nothing


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers
