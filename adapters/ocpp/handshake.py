"""The HTTP upgrade of a station: whose path, which password, which version."""

from base64 import b64decode
from binascii import Error as Base64Error
from http import HTTPStatus
from urllib.parse import unquote

from picows import (
    WSCloseCode,
    WSListener,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from adapters.ocpp.wire import Version

PATH = "/ocpp/"
_SUBPROTOCOL = "Sec-WebSocket-Protocol"


def station_id(request: WSUpgradeRequest) -> str:
    """Return the station a path names, an empty string if it names none."""
    path = request.path.decode("ascii", "replace").partition("?")[0]
    return unquote(path.removeprefix(PATH)) if path.startswith(PATH) else ""


def offered(request: WSUpgradeRequest) -> list[str]:
    """Return the subprotocols a station offers."""
    lines = request.headers.getall(_SUBPROTOCOL, [])
    return [word.strip() for line in lines for word in line.split(",") if word.strip()]


def password(request: WSUpgradeRequest, station: str) -> str | None:
    """Return the Basic password given for ``station``, ``None`` if there is none or it is for somebody else."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, word = b64decode(token, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        return None
    return word if colon and user == station else None


def unauthorized() -> WSUpgradeResponseWithListener:
    """Return the refusal that asks for a password."""
    asks = {"WWW-Authenticate": 'Basic realm="ocpp"'}
    response = WSUpgradeResponse.create_error_response(HTTPStatus.UNAUTHORIZED, extra_headers=asks)
    return WSUpgradeResponseWithListener(response, None)


def accepted(version: Version | None, listener: WSListener) -> WSUpgradeResponseWithListener:
    """Return the upgrade; a station that offered no subprotocol gets none named. Compression is never taken up."""
    chosen = {} if version is None else {_SUBPROTOCOL: version.value}
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(chosen), listener)


def no_common_version() -> WSUpgradeResponseWithListener:
    """Return an upgrade that is closed at once, as OCPP-J 1.6 (3.3) wants it."""
    return accepted(None, _Closing())


class _Closing(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send_close(WSCloseCode.PROTOCOL_ERROR)
        transport.disconnect()
