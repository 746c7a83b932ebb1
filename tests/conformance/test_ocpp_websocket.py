"""RFC 6455 on raw sockets: what is no WebSocket fails its own connection, by the code that says why."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from structlog.typing import EventDict

from adapters.kit.websocket import frames
from adapters.kit.websocket.fragments import MAX_FRAGMENTS
from adapters.kit.websocket.frames import MAX_MESSAGE_BYTES, CloseCode, Opcode, close_fault, head_fault
from adapters.kit.websocket.handshake import basic
from adapters.kit.websocket.paths import Paths
from adapters.ocpp.central_system.security import KeyTable
from adapters.ocpp.messages.ocpp_j import Version
from tests.conformance.ocpp_bench import Sink, central, station
from tests.fuzz.ocpp_ground import Line, dialled
from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import ConfigurationError

MASK = b"\x11\x22\x33\x44"
BEAT = b'[2,"beat","Heartbeat",{}]'
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x81, 0x82, 0x80, 0x88, 0x89, 0x8A
BEGIN = TEXT & 0x7F
NEXT = CONTINUATION & 0x7F


def frame(first: int, payload: bytes = b"", *, mask: bytes = MASK) -> bytes:
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + mask + frames.xor(payload, mask)


@asynccontextmanager
async def opened(sink: Sink, **changes: object) -> AsyncIterator[Line]:
    async with central(sink, **changes) as link, station(link, "CP2") as neighbour:
        line = await dialled(link.port)
        assert await line.upgrade("CP1", Version.V16)
        yield line
        line.close()
        assert (await neighbour.call("Heartbeat", {}))[0] == 3


async def ended(line: Line) -> list[tuple[int, bytes]]:
    """Return every frame up to the end of the connection."""
    found = []
    while await line.read():
        found += line.frames()
    return found + line.frames()


def answers(found: list[tuple[int, bytes]]) -> int:
    return sum(orjson.loads(payload)[:2] == [3, "beat"] for first, payload in found if first == TEXT)


WRONG = {
    "an opcode nobody knows": (frame(0x83), 1002, "opcode"),
    "a control opcode nobody knows": (frame(0x8B), 1002, "opcode"),
    "a continuation of nothing": (frame(CONTINUATION, BEAT), 1002, "fragment"),
    "a first part of a continuation of nothing": (frame(NEXT, BEAT), 1002, "fragment"),
    "a whole text amid fragments": (frame(BEGIN, b"[2,") + frame(TEXT, BEAT), 1002, "fragment"),
    "a second beginning amid fragments": (frame(BEGIN, b"[2,") + frame(BEGIN, BEAT), 1002, "fragment"),
    "a binary amid fragments": (frame(BEGIN, b"[2,") + frame(BINARY, BEAT), 1002, "fragment"),
    "a ping in fragments": (frame(PING & 0x7F, b"a"), 1002, "control"),
    "a close in fragments": (frame(CLOSE & 0x7F, b"\x03\xe8"), 1002, "control"),
    "a long ping": (frame(PING, b"a" * 126), 1002, "control"),
    "the head of a ping too long to ever come": (b"\x89\xff" + (1 << 40).to_bytes(8, "big") + MASK, 1002, "control"),
    "a frame without a mask": (b"\x81" + bytes((len(BEAT),)) + BEAT, 1002, "unmasked"),
    "the head of a frame without a mask": (b"\x81\x7e\xff\xff", 1002, "unmasked"),
    "a message too long": (frame(TEXT, b" " * (MAX_MESSAGE_BYTES + 1)), 1009, "too_long"),
    "a length beyond 63 bits": (b"\x81\xff" + b"\xff" * 8 + MASK, 1009, "too_long"),
    "fragments too long together": (
        frame(BEGIN, b" " * MAX_MESSAGE_BYTES) + frame(CONTINUATION, b" "),
        1009,
        "too_long",
    ),
    "fragments too many": (frame(BEGIN) + frame(NEXT) * MAX_FRAGMENTS, 1009, "too_long"),
    "text that is none": (frame(TEXT, b'[2,"\xff","Heartbeat",{}]'), 1007, "utf8"),
    "a surrogate": (frame(TEXT, b'["\xed\xa0\x80"]'), 1007, "utf8"),
    "text that is none over two fragments": (frame(BEGIN, b'["\xc3') + frame(CONTINUATION, b'"]'), 1007, "utf8"),
    "meter values that are none": (
        frame(TEXT, b'[2,"m","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"\xe0\x80"}]}]'),
        1007,
        "utf8",
    ),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002, "close"),
    "a close code nobody may send": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002, "close"),
    "a close reason that is no text": (frame(CLOSE, b"\x03\xe8\xff"), 1007, "close"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_frame_fails_its_connection_with_the_code_that_says_why(what: str) -> None:
    wrong, code, reason = WRONG[what]
    sink = Sink()
    async with opened(sink) as line:
        await line.send(frame(TEXT, BEAT) + wrong + frame(TEXT, BEAT))
        found = await ended(line)
    assert answers(found) == 1  # what came before is answered, what came after is not
    assert found[-1] == (CLOSE, code.to_bytes(2, "big"))
    assert sink.rejected == [reason]


RIGHT = {
    "a message in fragments": frame(BEGIN, BEAT[:5]) + frame(NEXT, BEAT[5:9]) + frame(CONTINUATION, BEAT[9:]),
    "every byte a fragment, none of them copied twice": frame(BEGIN)
    + b"".join(frame(NEXT, bytes((byte,))) for byte in BEAT)
    + frame(NEXT) * 500
    + frame(CONTINUATION),
    "control frames between fragments": frame(BEGIN, BEAT[:5])
    + frame(PING, b"now")
    + frame(PONG)
    + frame(CONTINUATION, BEAT[5:]),
    "a length in eight bytes though short": b"\x81\xff" + len(BEAT).to_bytes(8, "big") + b"\0\0\0\0" + BEAT,
    "a character cut in two": frame(BEGIN, BEAT[:-2] + b'"a":"\xc3')
    + frame(CONTINUATION, b'\xa9"}]')
    + frame(TEXT, BEAT),
    "a binary message, which is dropped": frame(BINARY, BEAT) + frame(TEXT, BEAT),
    "a binary message in fragments, which is no text": frame(BINARY & 0x7F)
    + frame(CONTINUATION, BEAT)
    + frame(TEXT, BEAT),
    "reserved bits, which are looked through": frame(TEXT | 0x40, BEAT),
}


@pytest.mark.parametrize("what", RIGHT)
@pytest.mark.parametrize("chop", [1, 1 << 20])
async def test_a_lawful_message_is_answered_however_it_is_cut(what: str, chop: int) -> None:
    sink = Sink()
    async with opened(sink) as line:
        data = RIGHT[what] + frame(CLOSE, (3000).to_bytes(2, "big"))
        for at in range(0, len(data), chop):
            await line.send(data[at : at + chop])
        found = await ended(line)
    lawful = answers(found)
    assert lawful == (2 if "cut in two" in what else 1)
    assert found[-1] == (CLOSE, (3000).to_bytes(2, "big"))  # its own code
    assert [payload for first, payload in found if first == PONG] == ([b"now"] if "control" in what else [])
    assert sink.rejected.count("binary") == ("binary" in what)


@pytest.mark.parametrize(
    ("code", "fault"),
    [(code, None) for code in (1000, 1003, 1007, 1014, 3000, 4999)]
    + [(code, CloseCode.PROTOCOL_ERROR) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)],
)
def test_close_codes_that_may_be_sent(code: int, fault: CloseCode | None) -> None:
    assert close_fault(code.to_bytes(2, "big")) == fault
    assert close_fault(code.to_bytes(2, "big") + "Grüße".encode()) == fault


def test_heads_are_judged_by_opcode_length_and_place() -> None:
    for kind in Opcode:
        control = kind >= Opcode.CLOSE
        assert bool(head_fault(0x80 | kind, 126, amid=False)) == (control or kind is Opcode.CONTINUATION)
        assert bool(head_fault(kind, 0, amid=True)) == (control or kind is not Opcode.CONTINUATION)
        assert head_fault(0x80 | 0x70 | kind, 125, amid=kind is Opcode.CONTINUATION) == ""


# The handshake.

USUAL = {
    "Host": "vpp.example:9000",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "ocpp1.6",
}


async def status(
    port: int,
    *lines: str,
    line: str = "GET /ocpp/CP1 HTTP/1.1",
    left_out: str = "",
    **changes: str,
) -> tuple[int, dict[str, str]]:
    """Return status and header fields of the response to a request that is the usual one with changes."""
    fields = {name: changes.get(name.replace("-", "_"), value) for name, value in USUAL.items() if name != left_out}
    head = "\r\n".join((line, *(f"{name}: {value}" for name, value in fields.items()), *lines, "", ""))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode("latin-1"))
    async with asyncio.timeout(PATIENCE_WALL_S):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    writer.close()
    first, *others = answer.split("\r\n")
    return int(first.split(" ")[1]), dict(other.lower().split(": ", 1) for other in others if other)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (101, {}),
        (101, {"Upgrade": "h2c, WebSocket"}),
        (101, {"Connection": "keep-alive, upgrade"}),
        (101, {"left_out": "Connection"}),
        (101, {"line": "GET http://vpp.example:9000/ocpp/CP1 HTTP/1.1"}),
        (101, {"line": "GET /ocpp/CP1?x=/y HTTP/1.1"}),
        (101, {"line": "GET /ocpp/%43P1/ HTTP/1.1"}),
        (505, {"line": "GET /ocpp/CP1 HTTP/1.0"}),
        (505, {"line": "GET /ocpp/CP1 HTTP/2.0"}),
        (400, {"line": "GET /ocpp/CP1 HTTP/1.banana"}),
        (400, {"line": "GET  /ocpp/CP1 HTTP/1.1"}),
        (400, {"line": "GET /ocpp/\u00dc HTTP/1.1"}),
        (400, {"line": "GET /ocpp/%ff HTTP/1.1"}),
        (400, {"line": "GET ftp://x/ocpp/CP1 HTTP/1.1"}),
        (400, {"line": "GET http://[/ocpp/CP1 HTTP/1.1"}),
        (405, {"line": "POST /ocpp/CP1 HTTP/1.1"}),
        (405, {"line": "get /ocpp/CP1 HTTP/1.1"}),
        (400, {"left_out": "Host"}),
        (400, {"left_out": "Upgrade"}),
        (400, {"Upgrade": "notwebsocketatall"}),
        (400, {"left_out": "Sec-WebSocket-Key"}),
        (400, {"Sec_WebSocket_Key": "abc"}),
        (400, {"Sec_WebSocket_Key": "\u00e9\u00e9"}),
        (426, {"left_out": "Sec-WebSocket-Version"}),
        (426, {"Sec_WebSocket_Version": "8"}),
        (404, {"line": "GET /ocpp/CP1%00 HTTP/1.1"}),
        (404, {"line": "GET /ocpp/ HTTP/1.1"}),
    ],
)
async def test_a_request_that_is_no_upgrade_is_refused_by_name(expected: int, changes: dict[str, str]) -> None:
    async with central(Sink()) as link:
        found, fields = await status(link.port, **changes)
        assert found == expected
        if expected == 426:
            assert fields["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    "line",
    [
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Host: again",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        " folded",
        "no colon",
        "Blank : before the colon",
        "X: \x00",
        "X: a\rb",
        "\u00e9: x",
    ],
)
async def test_a_header_that_can_be_read_two_ways_is_refused(line: str) -> None:
    async with central(Sink()) as link:
        assert (await status(link.port, line))[0] == 400
        assert (await status(link.port, "Content-Length: 0", "X: \u00e9"))[0] == 101


BAD_CREDENTIALS = (
    "Basic \u00e9\u00e9\u00e9",
    "Basic \x00\x01",
    "Basic",
    "Basic ====",
    "Basic Q1AxOg",
    "Bearer x",
    "Digest username=CP1",
    "",
    "Basic " + "A" * 4000,
    basic("CP1", "wrong"),
    basic("NOBODY", "wrong"),
    "Basic /////w==",
)


@pytest.mark.parametrize("credentials", BAD_CREDENTIALS)
async def test_with_keys_a_known_id_and_an_unknown_one_are_refused_alike(credentials: str) -> None:
    sink = Sink()
    async with central(sink, authenticate=KeyTable.of([("CP1", "right")], b"secret")) as link:
        async with asyncio.timeout(PATIENCE_WALL_S):
            said = [
                await status(link.port, f"Authorization: {credentials}", line=f"GET /ocpp/{name} HTTP/1.1")
                for name in ("CP1", "NOBODY", "CP2")
            ]
        assert said == [(401, said[0][1])] * 3
        assert (await status(link.port, f"Authorization: {basic('CP1', 'right')}"))[0] == 101
        assert [refused.reason for refused in sink.refused_connections] == [
            "unauthorized",
            "unknown_station",
            "unauthorized",
        ]
        assert sink.rejected == ["unauthorized"] * 3


async def test_without_keys_malformed_credentials_change_nothing_and_an_unknown_id_is_not_found() -> None:
    async with central(Sink()) as link:
        for credentials in BAD_CREDENTIALS:
            assert (await status(link.port, f"Authorization: {credentials}"))[0] == 101
            unknown = await status(link.port, f"Authorization: {credentials}", line="GET /ocpp/NOBODY HTTP/1.1")
            assert unknown[0] == 404


@pytest.mark.parametrize(
    "lines",
    [
        ("Origin: https://evil.example",),
        ("Origin: null",),
        ("Origin: http://vpp.example:9000", "User-Agent: Mozilla/5.0 (X11)"),
        ("Origin: http://vpp.example:9000", "Sec-Fetch-Mode: websocket"),
        ("Origin: file://", "User-Agent: Mozilla/5.0 (X11)"),
    ],
)
async def test_a_web_page_is_refused_and_does_not_put_out_the_station_it_names(lines: tuple[str, ...]) -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as real:
        for name in ("CP1", "NOBODY"):
            assert (await status(link.port, *lines, line=f"GET /ocpp/{name} HTTP/1.1"))[0] == 403
        assert (await real.call("Heartbeat", {}))[0] == 3
        assert sink.rejected == ["browser", "browser"]


@pytest.mark.parametrize("origin", ["file://", "http://vpp.example:9000", "ws://VPP.example:9000"])
async def test_a_library_that_names_an_origin_of_no_page_is_let_in(origin: str) -> None:
    async with central(Sink()) as link:
        assert (await status(link.port, f"Origin: {origin}"))[0] == 101


# Paths, and connections refused.


async def test_stations_come_in_by_every_path_that_is_set_and_by_no_other() -> None:
    paths = ("/ocpp/{id}", "/steve/websocket/CentralSystemService/{id}", "/cs/{id}/ws", "/{id}")
    sink = Sink()
    async with central(sink, paths=paths) as link:
        for path in ("/ocpp/CP1", "/steve/websocket/CentralSystemService/CP1", "/cs/CP1/ws", "/CP1", "/CP1/?x=1"):
            assert (await status(link.port, line=f"GET {path} HTTP/1.1"))[0] == 101
        for path in ("/other/CP1", "/cs/CP1/", "/"):
            assert (await status(link.port, line=f"GET {path} HTTP/1.1"))[0] == 404
        assert [refused.identity for refused in sink.refused_connections] == ["other/CP1", "cs/CP1/", "/"]


@pytest.mark.parametrize("paths", [(), ("ocpp/{id}",), ("/ocpp/",), ("/{id}/{id}",), ("/\u00e9/{id}",)])
def test_a_pattern_that_is_none_is_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        Paths(paths)


async def test_who_knocked_is_known_by_id_address_and_reason_with_control_characters_escaped(
    logs: list[EventDict],
) -> None:
    sink = Sink()
    async with central(sink) as link:
        for path in ("NOBODY", "NOBODY", "evil%0d%0aINFO%20fake", "%1b%5b31mred", "%E2%80%AEtxt", "a" * 3000):
            assert (await status(link.port, line=f"GET /ocpp/{path} HTTP/1.1"))[0] == 404
        assert [refused.identity[:30] for refused in sink.refused_connections] == [
            *("NOBODY", "NOBODY", "evil\\r\\nINFO fake", "\\x1b[31mred", "\\u202etxt", "a" * 30)
        ]
        assert {(refused.peer, refused.reason) for refused in sink.refused_connections} == {
            ("127.0.0.1", "unknown_station")
        }
        assert max(len(refused.identity) for refused in sink.refused_connections) == 120
        lines = [line for line in logs if line["event"] == "device refused"]
        told = [(line["device"], line["peer"], line["reason"]) for line in lines]
        assert told.count(("NOBODY", "127.0.0.1", "unknown_station")) == 1  # once in ten minutes
        assert len(logs) == len(lines) == 5
        assert all(word.isprintable() for words in told for word in words)


async def test_a_flood_of_ids_fills_no_log(logs: list[EventDict]) -> None:
    sink = Sink()
    async with central(sink) as link:
        for number in range(60):
            await status(link.port, line=f"GET /ocpp/N{number} HTTP/1.1")
        assert len(sink.refused_connections) == 60
        assert len(logs) < 50  # twenty at once, and one in five seconds


async def test_a_head_that_never_ends_is_refused_and_counted() -> None:
    sink = Sink()
    async with central(sink) as link:
        line = await dialled(link.port)
        await line.send(b"GET /ocpp/CP1 HTTP/1.1\r\nX: " + b"y" * 20_000)
        while await line.read():
            pass
        assert line.got.startswith(b"HTTP/1.1 431 ")
        assert sink.rejected == ["bad_request"]
        line.close()


async def test_connections_that_say_nothing_give_way_to_stations_where_there_is_no_room() -> None:
    sink = Sink()
    async with central(sink) as link, station(link) as here:
        link._server._acceptor._most = 8
        mute = [await dialled(link.port) for _ in range(30)]
        async with station(link, "CP2") as neighbour:
            assert (await neighbour.call("Heartbeat", {}))[0] == 3
            assert (await here.call("Heartbeat", {}))[0] == 3
        assert set(sink.rejected) == {"crowded"}
        assert len(link._server.context.awaiting_head) < 10
        assert not await mute[0].read()  # the oldest have gone
        for line in mute:
            line.close()
