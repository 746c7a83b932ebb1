"""WebSocket frames that no station would send: each input is what one connection says after its handshake."""

import asyncio
import random
from collections.abc import Iterator
from itertools import count, islice

from adapters.kit.websocket.frames import xor
from adapters.ocpp.messages.ocpp_j import Version
from tests.fuzz.engine import Tally
from tests.fuzz.mutate import mutated_bytes
from tests.fuzz.ocpp_ground import HOSTILE, Ground, ground

NAME = "ocpp-websocket"
SHARE = 0.13
AT_ONCE = len(HOSTILE)
"""One connection of each station: a second would put out the first."""
_MASKS = (b"\x11\x22\x33\x44", b"\0\0\0\0", b"\xff\xff\xff\xff")
_TEXTS = (
    b'[2,"1","Heartbeat",{}]',
    b'[2,"2","MeterValues",{"connectorId":1,"meterValue":[]}]',
    '[2,"\u00fc\U0001f600","Heartbeat",{}]'.encode(),
    b'[2,"\xff","Heartbeat",{}]',
    b"\xed\xa0\x80",
    b"",
    b"x" * 126,
    b" " * 70_000,
)
_SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 262_144, 262_145, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
_CODES = (0, 999, 1000, 1001, 1004, 1005, 1006, 1007, 1015, 1016, 2999, 3000, 4999, 5000, 65_535)


def inputs(rng: random.Random) -> Iterator[bytes]:
    """Iterate the bytes of a whole connection."""
    while True:
        data = b"".join(_some(rng) for _ in range(rng.choice((1, 1, 2, 3, 8))))
        yield mutated_bytes(rng, data, rng.choice((1, 2, 5))) if rng.random() < 0.3 else data


async def run(inputs: Iterator[bytes], tally: Tally) -> None:
    """Have each hostile station open a connection, say its input and hang up."""
    async with ground(tally) as place:
        lets_in = count()
        while batch := list(islice(inputs, AT_ONCE)):
            work = (_say(place, name, data, lets_in) for name, data in zip(HOSTILE, batch, strict=False))
            await asyncio.gather(*work)
            await place.ask_neighbour()
        tally.notes["let in"] = next(lets_in)


async def _say(place: Ground, name: str, data: bytes, lets_in: "count[int]") -> None:
    line = await place.dial()
    if not await line.upgrade(name, Version.V16):
        raise AssertionError(f"{name} was not let in")
    next(lets_in)
    await line.send(data)
    await line.drain()
    line.close()


def _some(rng: random.Random) -> bytes:  # noqa: PLR0911 - a way each
    """Return a frame or a few that belong together."""
    match rng.randrange(8):
        case 0:
            return rng.randbytes(rng.choice((1, 2, 3, 8, 14, 60)))
        case 1:
            return _head(rng, rng.randrange(256), rng.choice(_SIZES)) + rng.randbytes(rng.randrange(20))
        case 2:
            return _frame(
                rng, 0x88, rng.choice(_CODES).to_bytes(2, "big") + rng.choice((b"", b"bye", b"\xff", b"x" * 124))
            )
        case 3:
            return _fragments(rng)
        case 4:
            return _frame(rng, rng.choice((0x89, 0x8A, 0x09, 0x0A)), rng.randbytes(rng.choice((0, 5, 125, 126))))
        case 5:
            return _frame(rng, rng.randrange(256), rng.choice(_TEXTS))
        case _:
            return _frame(rng, 0x81, rng.choice(_TEXTS))


def _fragments(rng: random.Random) -> bytes:
    """Return a message in pieces, with something amid them now and then, and perhaps without an end."""
    text, frames, first = rng.choice(_TEXTS), [], rng.choice((0x01, 0x01, 0x02, 0x00))
    step = rng.choice((0, 1, 7, 4096))
    pieces = [text[at : at + step] for at in range(0, min(len(text), 40 * step), step)] if step else [b""] * 30
    for piece in pieces:
        frames.append(_frame(rng, first, piece))
        first = 0x00
        if rng.random() < 0.05:
            frames.append(_frame(rng, rng.choice((0x89, 0x81, 0x01, 0x82)), b"amid"))
    return b"".join((*frames, _frame(rng, 0x80, b"")) if rng.random() < 0.8 else frames)


def _frame(rng: random.Random, first: int, payload: bytes) -> bytes:
    if rng.random() < 0.03:
        return _head(rng, first, len(payload))[:-4] + payload
    mask = rng.choice(_MASKS)
    return _head(rng, first, len(payload))[:-4] + mask + xor(payload, mask)


def _head(rng: random.Random, first: int, size: int) -> bytes:
    """Return first byte, length in one of the forms that can hold it, and a mask."""
    if size < 126 and rng.random() < 0.9:
        length = bytes((0x80 | size,))
    elif size < 1 << 16 and rng.random() < 0.9:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + _MASKS[0]
