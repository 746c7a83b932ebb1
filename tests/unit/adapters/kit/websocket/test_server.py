"""The kit's server: addresses, the end of accepting, and the end of all."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.kit.batching import Batcher
from adapters.kit.websocket.acceptor import EntryRules
from adapters.kit.websocket.connection import WebSocketConnection
from adapters.kit.websocket.endpoint import WebSocketEndpoint
from adapters.kit.websocket.frames import CloseCode
from adapters.kit.websocket.host import DeviceHost
from adapters.kit.websocket.paths import Paths
from adapters.kit.websocket.server import Listening, WebSocketServer
from tests.conformance.ocpp_bench import Sink, clock


class Echo(WebSocketEndpoint):
    """Sends back what it receives."""

    __slots__ = ("rejections",)

    def __init__(self, server: WebSocketServer) -> None:
        super().__init__(server.context)
        self.rejections: list[str] = []

    def message_received(self, raw: bytes) -> None:
        """Send it back."""
        self.send(raw)

    def rejected(self, reason: str) -> None:
        """Keep the reason."""
        self.rejections.append(reason)


class EchoHost(DeviceHost):
    """Knows every device whose id begins with d."""

    realm = "ocpp"

    def __init__(self, server: WebSocketServer, sink: Sink) -> None:
        super().__init__(Batcher(self.realm, sink=sink), clock(), server.context.poller)
        self.server = server
        self.endpoints: dict[str, Echo] = {}
        self.rests = 0

    def knows(self, device: str) -> bool:
        """See ``acceptor.Host``."""
        return device.startswith("d")

    def connected(self, connection: WebSocketConnection, device: str, subprotocol: str) -> None:
        """See ``acceptor.Host``."""
        assert subprotocol == self.realm
        self.endpoints[device] = Echo(self.server)
        self.endpoints[device].begin(connection)

    def rested(self) -> None:
        """Count the poller's rests."""
        self.rests += 1


@asynccontextmanager
async def echo(sink: Sink, port: int = 0) -> AsyncIterator[EchoHost]:
    """Run a server of echoes under /echo."""
    server = WebSocketServer(Listening(host="127.0.0.1", port=port), EntryRules(paths=Paths(("/echo/{id}",))))
    host = EchoHost(server, sink)
    server.start(host, before_rest=host.rested)
    try:
        yield host
    finally:
        await server.close()


def dialled(host: EchoHost, device: str, subprotocol: str = "ocpp") -> connect:
    """Return a device's connection, to be entered."""
    return connect(f"ws://127.0.0.1:{host.server.port}/echo/{device}", subprotocols=[subprotocol], compression=None)


def test_ports_are_as_asked_for_before_it_listens() -> None:
    server = WebSocketServer(Listening(host="127.0.0.1", port=9000, tls_port=9443), EntryRules())
    assert (server.port, server.tls_port) == (9000, 9443)
    assert math.isnan(server.age_wall_s())
    server.context.poller.close()


async def test_a_device_is_served_and_the_poller_rests_in_between() -> None:
    async with echo(Sink()) as host, dialled(host, "d1") as device:
        await device.send("hello")
        assert await device.recv() == "hello"
        assert host.server.age_wall_s() >= 0.0
        assert host.rests > 0
    assert host.server.closed
    assert math.isnan(host.server.age_wall_s())


async def test_an_address_that_is_taken_is_an_error_at_the_start() -> None:
    async with echo(Sink()) as host:
        with pytest.raises(OSError, match="in use"):
            async with echo(Sink(), port=host.server.port):
                pass


async def test_only_the_subprotocol_of_the_host_is_spoken() -> None:
    sink = Sink()
    async with echo(sink) as host:
        async with dialled(host, "d1", "other") as device:
            with pytest.raises(ConnectionClosed) as error:
                await device.recv()
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == CloseCode.PROTOCOL_ERROR
        assert sink.rejected == ["subprotocol"]
        assert not host.endpoints


async def test_once_it_accepts_no_more_devices_are_sent_away_and_open_ones_served() -> None:
    sink = Sink()
    async with echo(sink) as host, dialled(host, "d1") as device:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.server.port)
        await device.send("one turn of the poller")
        await device.recv()
        assert len(host.server.context.awaiting_head) == 1
        host.server.stop_accepting()
        with pytest.raises(ConnectionRefusedError):
            async with dialled(host, "d2"):
                pass
        writer.write(
            b"GET /echo/d3 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        writer.close()
        await device.send("still here")
        assert await device.recv() == "still here"


async def test_unknown_devices_are_refused_and_reported() -> None:
    sink = Sink()
    async with echo(sink) as host:
        with pytest.raises(InvalidStatus):
            async with dialled(host, "stranger"):
                pass
        assert [(one.adapter, one.identity) for one in sink.refused_connections] == [("ocpp", "stranger")]


async def test_a_binary_message_is_counted_and_harms_nothing() -> None:
    async with echo(Sink()) as host, dialled(host, "d1") as device:
        await device.send(b"\x00\x01")
        await device.send("text")
        assert await device.recv() == "text"
        assert host.endpoints["d1"].rejections == ["binary"]


async def test_a_peer_that_does_not_close_is_cut_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.kit.websocket.server.CLOSING_WALL_S", 0.05)
    async with echo(Sink()) as host:
        device = await dialled(host, "d1")
        device.transport.pause_reading()  # it never sees the close frame
        host.endpoints["d1"].hang_up(CloseCode.GOING_AWAY)
        assert len(host.server.context.lingering) == 1
    assert not host.server.context.lingering
    device.transport.abort()
