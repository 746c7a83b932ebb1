"""The HTTP upgrade to WebSocket, both ends (RFC 6455, 4), with Basic passwords and subprotocols."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha1
from http import HTTPStatus

from adapters.kit.websocket.http_head import Request

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION_13 = "13"
_NONCE_BYTES = 16


def check_upgrade(request: Request, *, connection_tolerated: bool) -> HTTPStatus | None:
    """Return the status to refuse a request with, ``None`` for a valid WebSocket upgrade (RFC 6455, 4.2.1).

    Args:
        request: Its head.
        connection_tolerated: ``Connection: Upgrade`` may be missing, as from some firmware (lbbrhzn/ocpp#1984).
    """
    headers = request.headers
    if not request.version.startswith("HTTP/1.") or request.version == "HTTP/1.0":
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if request.method != "GET":
        return HTTPStatus.METHOD_NOT_ALLOWED
    upgraded = connection_tolerated or "upgrade" in _tokens(headers, "connection")
    if "host" not in headers or _has_body(headers) or not upgraded or "websocket" not in _tokens(headers, "upgrade"):
        return HTTPStatus.BAD_REQUEST
    if not _is_nonce(headers.get("sec-websocket-key", "")):
        return HTTPStatus.BAD_REQUEST
    if headers.get("sec-websocket-version") != _VERSION_13:
        return HTTPStatus.UPGRADE_REQUIRED
    return None


def is_of_browser(request: Request) -> bool:
    """Tell whether a web page asks: any page could otherwise speak for a device and displace the real one.

    A browser names the page's origin (RFC 6455, 10.2). Libraries on devices name one too, the server's own or
    ``file://`` (Links2004/arduinoWebSockets), without a browser's user agent; these are let in.
    """
    headers = request.headers
    origin = headers.get("origin")
    if origin is None:
        return False
    if headers.get("user-agent", "").startswith("Mozilla/") or "sec-fetch-mode" in headers:
        return True
    own = origin.partition("://")[2].lower() == headers.get("host", "").lower()
    return not (own or origin.lower() in {"file://", ""})


def offered(request: Request) -> list[str]:
    """Return the subprotocols that a device offers."""
    return [word.strip() for word in request.headers.get("sec-websocket-protocol", "").split(",") if word.strip()]


def password(request: Request, device: str) -> str | None:
    """Return the Basic password given for ``device``, ``None`` where there is none or it is another device's.

    A key may be set in hex digits and sent as the bytes they stand for (security whitepaper of OCPP 1.6): bytes that
    are no text are returned in digits.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, word = b64decode(token.strip(), validate=True).partition(b":")
    except ValueError:  # no base64, or no ASCII
        return None
    if not colon or user != device.encode():
        return None
    try:
        return word.decode()
    except UnicodeDecodeError:
        return word.hex()


def refusal(status: HTTPStatus, **headers: str) -> bytes:
    """Return a whole response that refuses; an underscore in a header's name stands for a dash."""
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n"
    return head.encode()


def unauthorized(realm: str) -> bytes:
    """Return the refusal that asks for a password."""
    return refusal(HTTPStatus.UNAUTHORIZED, WWW_Authenticate=f'Basic realm="{realm}"')


def accepted(request: Request, subprotocol: str | None) -> bytes:
    """Return the upgrade; names no subprotocol to a device that offered none. Compression is never agreed on."""
    chosen = b"" if subprotocol is None else b"Sec-WebSocket-Protocol: " + subprotocol.encode() + b"\r\n"
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + _accept(request.headers["sec-websocket-key"].encode("latin-1"))
        + b"\r\n"
        + chosen
        + b"\r\n"
    )


def request(*, host: str, path: str, key: bytes, subprotocol: str, authorization: str = "") -> bytes:
    """Return a client's request; ``key`` is base64 of 16 bytes, ``authorization`` the whole header's value."""
    asks = f"Authorization: {authorization}\r\n" if authorization else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {subprotocol}\r\n{asks}\r\n"
    ).encode()


def basic(device: str, word: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + b64encode(f"{device}:{word}".encode()).decode()


def is_accepted(head: bytes, key: bytes) -> bool:
    """Tell whether a response completes the upgrade of a client that sent ``key``."""
    first, *lines = head.decode("latin-1").split("\r\n")
    return first.split(" ")[1:2] == ["101"] and _headers(lines).get("sec-websocket-accept") == _accept(key).decode()


def retry_after_s(head: bytes) -> float:
    """Return the seconds a refusal asks to wait, 0 where it asks for none."""
    _, *lines = head.decode("latin-1").split("\r\n")
    word = _headers(lines).get("retry-after", "")
    return float(word) if word.isdecimal() else 0.0


def _accept(key: bytes) -> bytes:
    return b64encode(sha1(key + _GUID).digest())  # noqa: S324 - RFC 6455 wants this hash; it secures nothing


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _tokens(headers: Mapping[str, str], name: str) -> set[str]:
    """Return the words of a field that lists some, in lower case."""
    return {word.strip().lower() for word in headers.get(name, "").split(",")}


def _has_body(headers: Mapping[str, str]) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_nonce(key: str) -> bool:
    """Tell whether a key is base64 of 16 bytes."""
    try:
        return len(b64decode(key, validate=True)) == _NONCE_BYTES
    except ValueError:
        return False
