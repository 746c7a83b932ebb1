"""HTTP heads that no station would send, each on a connection of its own."""

import asyncio
import random
from collections.abc import Iterator
from itertools import islice
from urllib.parse import quote

from tests.fuzz.engine import Tally
from tests.fuzz.mutate import ODD_VALUES, mutated_bytes
from tests.fuzz.ocpp_ground import HOSTILE, Ground, ground

NAME = "ocpp-handshakes"
SHARE = 0.1
AT_ONCE = 48
_METHODS = (*("GET",) * 40, "get", "POST", "HEAD", "OPTIONS", "CONNECT", "\x00", "")
_VERSIONS = (*("HTTP/1.1",) * 40, "HTTP/1.0", "HTTP/2.0", "HTTP/1.", "HTTP/9.9", "ICY", "")
_FIELDS: dict[str, tuple[str, ...]] = {
    "Host": ("h", "h:9000", "", "[::1]", "a,b", "\x7f", "evil\r\nX: y"),
    "Upgrade": ("websocket", "WebSocket", "h2c, websocket", "websocket/13", "", ","),
    "Connection": ("Upgrade", "keep-alive, Upgrade", "close", "", ",,"),
    "Sec-WebSocket-Version": ("13", "8", "13, 8", "", "-1", "9" * 40),
    "Sec-WebSocket-Key": ("AAAAAAAAAAAAAAAAAAAAAA==", "abc", "", "====", "\xe9" * 24, "A" * 5000),
    "Sec-WebSocket-Protocol": ("ocpp1.6", "ocpp2.0.1, ocpp2.1", "OCPP1.6", ",", "\xff", "ocpp1.6" * 500),
    "Sec-WebSocket-Extensions": ("permessage-deflate", 'x; y="', ";;;"),
    "Authorization": (
        "Basic ",
        "Basic \xe9\xe9\xe9",
        "Basic ====",
        "Basic " + "A" * 3000,
        "Basic Og==",
        "Bearer",
        "\x00",
    ),
    "Origin": ("https://evil.example", "null", "file://", "http://h", "\xff://", "://"),
    "User-Agent": ("Mozilla/5.0", "arduino-WebSocket-Client", ""),
    "Content-Length": ("0", "5", "-1", "99999999999999999999", "a"),
    "Transfer-Encoding": ("chunked", "identity"),
    "Cookie": ("a=b; " * 50,),
}
_OFTEN = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol")
_IDS = (
    *HOSTILE,
    "nobody",
    "",
    "%",
    "%zz",
    "%ff%fe",
    "%00",
    "%0d%0a",
    "..",
    "../..",
    "a/b",
    "?",
    "#",
    " ",
    "\xdc",
    "\x1b[2J",
)


def inputs(rng: random.Random) -> Iterator[bytes]:
    """Iterate heads, some with something behind them."""
    while True:
        lines = [f"{rng.choice(_METHODS)} {_target(rng)} {rng.choice(_VERSIONS)}", *_fields(rng)]
        head = ("\r\n" if rng.random() < 0.95 else rng.choice(("\n", "\r"))).join((*lines, "", ""))
        data = head.encode("utf-8" if rng.random() < 0.1 else "latin-1", "replace")
        if rng.random() < 0.3:
            data = mutated_bytes(rng, data, rng.choice((1, 1, 3, 10)))
        yield data + (rng.randbytes(rng.randrange(200)) if rng.random() < 0.1 else b"")


async def run(inputs: Iterator[bytes], tally: Tally) -> None:
    """Send each on a connection of its own, many at once, and read what comes to its end."""
    async with ground(tally) as place:
        while batch := list(islice(inputs, AT_ONCE)):
            await asyncio.gather(*(_dial(place, head) for head in batch))
            await place.ask_neighbour()
        tally.notes["connections refused"] = place.sink.refused_connections


async def _dial(place: Ground, head: bytes) -> None:
    line = await place.dial()
    await line.send(head)
    await line.drain()
    line.close()


def _target(rng: random.Random) -> str:
    name = rng.choice(_IDS)
    name = quote(name, safe="%") if rng.random() < 0.3 else name
    before = rng.choice(("/ocpp/", "/ocpp/", "/ocpp/", "/", "", "http://h/ocpp/", "ws://[", "ftp://h/ocpp/", "*", "//"))
    return before + name * rng.choice((1, 1, 1, 1, 2, 1000)) + rng.choice(("", "", "", "/", "?a=b", "#c", "%2f"))


def _fields(rng: random.Random) -> list[str]:
    """Return header fields: in every other request those that belong there, and perhaps one more."""
    sane = rng.random() < 0.5
    names = [name for name in _OFTEN if sane or rng.random() < 0.95]
    fields = [
        f"{name}: {_FIELDS[name][0] if sane or rng.random() < 0.7 else rng.choice(_FIELDS[name])}" for name in names
    ]
    fields += [
        f"{name}: {rng.choice(_FIELDS[name])}" for name in rng.choices(list(_FIELDS), k=rng.choice((0, 0, 1, 3)))
    ]
    if rng.random() < 0.1:
        odd = rng.choice((" folded", "none", ": x", "a b: c", str(rng.choice(ODD_VALUES))))
        fields.insert(rng.randrange(len(fields) + 1), odd)
    return fields
