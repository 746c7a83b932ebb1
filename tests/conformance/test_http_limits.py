"""Whoever sends half a request, reads nothing or opens too much is let go, and others are answered meanwhile."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from tests.patience import PATIENCE_WALL_S
from vpp.api import connections, problems
from vpp.api.connections import GuardedProtocol
from vpp.api.limits import BodyLimit
from vpp.api.routes.stream import Seats
from vpp.domain.errors import RetryError

_SOON_WALL_S = 0.1


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def] # noqa: ANN202 - as uvicorn's
        """Capture none."""
        yield


def _app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(BodyLimit, max_bytes=1000, exceptions={"/large": 10**7}, pause_wall_s=_SOON_WALL_S)
    problems.install(app)

    @app.post("/echo")
    @app.post("/large")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/flood")
    async def flood() -> StreamingResponse:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)

        return StreamingResponse(endless())

    return app


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Return the port of a server with little patience for bodies and readers."""
    monkeypatch.setattr(connections, "HEAD_WALL_S", PATIENCE_WALL_S)
    monkeypatch.setattr(connections, "UNREAD_WALL_S", _SOON_WALL_S)
    monkeypatch.setattr(connections, "MOST_OF_ONE_CLIENT", 20)
    listener = socket.create_server(("127.0.0.1", 0))
    server = _Server(uvicorn.Config(_app(), http=GuardedProtocol, ws="none", log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    server.force_exit = True
    await serving


async def _said(port: int, *pieces: bytes) -> bytes:
    """Send pieces and return all that comes until the other side closes."""
    async with asyncio.timeout(PATIENCE_WALL_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_WALL_S):
        while not condition():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def _works(port: int) -> None:
    answer = await _said(port, b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Never: en",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nokGET / HT",
    ],
)
async def test_half_a_head_is_answered_with_408_and_the_end(
    port: int, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hasty:
        hasty.setattr(connections, "HEAD_WALL_S", _SOON_WALL_S)
        answer = await _said(port, half)
    assert b"HTTP/1.1 408" in answer
    await _works(port)


@pytest.mark.parametrize("length", [b"Content-Length: 500\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"])
async def test_half_a_body_is_answered_with_408_and_the_end(port: int, length: bytes) -> None:
    answer = await _said(port, b"POST /echo HTTP/1.1\r\nHost: x\r\n" + length)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"urn:vpp:problem:request-timeout" in answer
    await _works(port)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5000\r\n\r\nab",
        b"Content-Length: 99999999999999\r\n\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n800\r\n" + b"x" * 2048 + b"\r\n",
    ],
)
async def test_a_body_that_is_too_long_ends_the_connection(port: int, body: bytes) -> None:
    answer = await _said(port, b"POST /echo HTTP/1.1\r\nHost: x\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 413")
    await _works(port)


async def test_who_reads_nothing_is_let_go(port: int) -> None:
    async with asyncio.timeout(PATIENCE_WALL_S):
        wire = socket.create_connection(("127.0.0.1", port))
        wire.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(wire, b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        await _until(lambda: bool(GuardedProtocol._of_client["127.0.0.1"]))
        await _until(lambda: not GuardedProtocol._of_client["127.0.0.1"])
        wire.close()
    await _works(port)


async def test_one_client_gets_so_many_connections_and_no_more(port: int) -> None:
    open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    answer = await _said(port)
    assert answer.startswith(b"HTTP/1.1 503")
    open_ones[0][1].close()
    await _until(lambda: GuardedProtocol._of_client["127.0.0.1"] < 20)
    await _works(port)
    for _, writer in open_ones:
        writer.close()


def test_seats_at_the_stream_are_limited_for_one_and_for_all() -> None:
    seats = Seats(most=3, most_of_one=2)
    for client in ("a", "a", "b"):
        seats.take(client)
    for client in ("a", "b", "c"):
        with pytest.raises(RetryError, match="event streams"):
            seats.take(client)
    seats.leave("a")
    with pytest.raises(RetryError):
        Seats(most=9, most_of_one=0).take("a")
    seats.take("c")
