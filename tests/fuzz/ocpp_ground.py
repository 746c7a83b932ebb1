"""A real central system for hostile stations, over real sockets, with a well-behaved station beside them."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

from websockets.exceptions import ConnectionClosed

from adapters.kit.websocket import handshake
from adapters.kit.websocket.frames import span
from adapters.ocpp.central_system.server import OcppLink
from adapters.ocpp.messages.ocpp_j import Version
from tests.conformance.ocpp_bench import RawStation, central, fleet, resource, station
from tests.fuzz.engine import Tally
from tests.patience import PATIENCE_WALL_S
from vpp.domain.refused_connection import RefusedConnection
from vpp.domain.session import SessionEvent
from vpp.domain.setpoint import OutcomeBatch
from vpp.domain.telemetry import TelemetryBatch
from vpp.fleet.index import FleetIndex

HOSTILE = tuple(f"H{number}" for number in range(1, 13))
"""Ids of the stations that misbehave, at the rows from ``FIRST_ROW`` on."""
FIRST_ROW = 3
CRASHED = "crash"
"""What the poller counts an exception as that nobody expected."""
_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_SOURCES = count()


class CountingSink:
    """Keeps nothing, so that what grows is not the test; a ``vpp.ports.LinkSink``."""

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.samples = 0
        self.refused_connections = 0

    def telemetry(self, batch: TelemetryBatch) -> None:
        """See ``LinkSink``."""
        self.samples += len(batch)

    def outcomes(self, batch: OutcomeBatch) -> None:
        """See ``LinkSink``."""

    def session(self, event: SessionEvent) -> None:
        """See ``LinkSink``."""

    def rejected_frame(self, adapter: str, reason: str) -> None:  # noqa: ARG002 - the signature is the port's
        """See ``LinkSink``."""
        self.rejected[reason] += 1

    def healed(self, adapter: str, kind: str) -> None:  # noqa: ARG002 - the signature is the port's
        """See ``LinkSink``."""
        self.repaired[kind] += 1

    def connection_refused(self, refused: RefusedConnection) -> None:
        """See ``LinkSink``."""
        self.refused_connections += refused.count


class Ground:
    """A central system, its sink, and the neighbour."""

    def __init__(self, link: OcppLink, sink: CountingSink, neighbour: RawStation, tally: Tally) -> None:
        self.link = link
        self.sink = sink
        self._neighbour = neighbour
        self._tally = tally

    async def ask_neighbour(self) -> None:
        """Have the neighbour speak, on the connection it has had from the beginning."""
        try:
            async with asyncio.timeout(PATIENCE_WALL_S):
                answer = await self._neighbour.call("Heartbeat", {})
        except (TimeoutError, ConnectionClosed):
            self._tally.heard(answered=False)
            raise
        else:
            self._tally.heard(answered=answer[0] == 3 and "currentTime" in answer[2])

    async def dial(self) -> "Line":
        """Open a connection."""
        return await dialled(self.link.port)


class Line:
    """A client's raw end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.got = b""
        self._sock = sock

    async def send(self, data: bytes) -> None:
        """Send bytes; a peer that has gone takes them all."""
        with suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def read(self) -> bool:
        """Read more into ``got``; tell whether there will be still more."""
        try:
            async with asyncio.timeout(PATIENCE_WALL_S):
                data = await asyncio.get_running_loop().sock_recv(self._sock, 1 << 16)
        except ConnectionError:
            return False
        self.got += data
        return bool(data)

    async def drain(self) -> None:
        """Say that nothing more comes and read to the end, which comes at once where all is well."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        while await self.read():
            self.got = self.got[-4096:]

    async def upgrade(self, station: str, version: Version) -> bool:
        """Shake hands as a station; tell whether it was let in."""
        await self.send(handshake.request(host="h", path=f"/ocpp/{station}", key=_KEY, subprotocol=version))
        while b"\r\n\r\n" not in self.got:
            if not await self.read():
                return False
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        return handshake.is_accepted(head, _KEY)

    def frames(self) -> list[tuple[int, bytes]]:
        """Return and forget the whole frames read so far: first byte and payload of each."""
        found, at = [], 0
        while True:
            body, end = span(self.got, at)
            if end == 0 or end > len(self.got):
                self.got = self.got[at:]
                return found
            found.append((self.got[at], self.got[body:end]))
            at = end

    def close(self) -> None:
        """Close it."""
        self._sock.close()


async def dialled(port: int) -> Line:
    """Open a connection, from another address each time so that ports do not run out."""
    sock = socket.socket()
    sock.setblocking(False)
    # Closing is abrupt: a hundred thousand connections must not all linger in TIME_WAIT.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((f"127.0.0.{2 + next(_SOURCES) % 250}", 0))
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return Line(sock)


@asynccontextmanager
async def ground(tally: Tally) -> AsyncIterator[Ground]:
    """Open the ground and close it; at the end it must still be alive, and nothing may have crashed in it."""
    sink = CountingSink()
    async with (
        central(sink, _fleet(), rest_wall_s=0.0, admissions_per_s=1e9) as link,
        station(link, "CP1") as neighbour,
    ):  # type: ignore[arg-type]
        made = Ground(link, sink, neighbour, tally)
        yield made
        await made.ask_neighbour()
        tally.alive = tally.asked == tally.answered
        if sink.rejected[CRASHED] > tally.crashed:
            tally.crash(f"{sink.rejected[CRASHED]} connections were cut for exceptions that nobody expected")
    tally.notes["samples"] = sink.samples
    tally.notes["refused"] = sink.rejected.total()


def _fleet() -> FleetIndex:
    rows = (resource(row, f"{name}/1") for row, name in enumerate(HOSTILE, FIRST_ROW))
    return fleet(*rows)
