"""The bus between processes: NATS core, through the client `nats-py`.

Delivery is at most once, as everywhere on our bus; JetStream is not used (docs/adr/0014).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self
from urllib.parse import urlsplit

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from vpp.bus.transport.inprocess import check_size, handled
from vpp.bus.transport.subjects import check_pattern, check_subject
from vpp.domain.errors import BusError, ConfigurationError
from vpp.ports import BusHandler

_log = structlog.get_logger(__name__)
_RECONNECT_WALL_S = 0.25
_PING_WALL_S = 5
_FIRST_PATIENCE_WALL_S = 15.0
_PENDING_BYTES = 8 * 2**20
"""Bytes that may wait in the client for a slow socket before `publish` waits too."""


class NatsBus:
    """A `vpp.ports.Bus` over a NATS server; open one with ``await NatsBus.at(url)``.

    While the server is away publishing raises BusError at once, so that nothing old arrives late; the client tries
    to return four times a second and takes up its subscriptions again.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._closing = False

    @classmethod
    async def at(cls, url: str, *, name: str = "vpp", patience_wall_s: float = _FIRST_PATIENCE_WALL_S) -> Self:
        """Connect to ``nats://[user:password@]host:port``, several with commas between them.

        Raises:
            ConfigurationError: It is not such an address, or nobody answers there within ``patience_wall_s``.
        """
        servers = [_server(part) for part in url.split(",")]
        client = Client()
        bus = cls(client)
        try:
            async with asyncio.timeout(patience_wall_s):  # the client itself would try for ever
                await _connect(client, servers, name, bus._lost)
        except (NatsError, OSError, TimeoutError) as error:
            await client.close()
            why = str(error) or f"not within {patience_wall_s} s"
            raise ConfigurationError(f"no NATS server answers at {_shown(servers)}: {why}") from error
        return bus

    async def publish(self, subject: str, content: bytes) -> None:
        """See ``Bus``."""
        self._check(subject, content)
        with _translated(subject):
            await self._client.publish(subject, content)

    async def subscribe(self, pattern: str, handler: BusHandler) -> "_Subscription":
        """See ``Bus``."""
        check_pattern(pattern)
        self._check_here()

        async def heard(message: Msg) -> None:
            answer = handled(handler, message.subject, message.data)
            if answer is not None and message.reply:
                with contextlib.suppress(BusError):  # whoever asked asks again
                    await self.publish(message.reply, answer)

        with _translated(pattern):
            subscription = await self._client.subscribe(pattern, cb=heard)
            # From here on nothing is missed. Twice, for the client's PING overtakes what still waits to be written:
            # only the second is sure to follow our SUB, and its answer to say that the server has it.
            await self._client.flush()
            await self._client.flush()
        return _Subscription(subscription)

    async def request(self, subject: str, content: bytes, *, patience_wall_s: float) -> bytes:
        """See ``Bus``."""
        self._check(subject, content)
        try:
            with _translated(subject):
                answer = await self._client.request(subject, content, timeout=patience_wall_s)
        finally:  # a refusal may swallow a cancellation as well, and whoever asks again would ask for ever
            _heed_cancellation()
        return bytes(answer.data)

    async def close(self) -> None:
        """See ``Bus``."""
        self._closing = True
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            if self._client.is_connected:
                await self._client.flush(timeout=1)
        # The client writes what waits even to a socket that closed with the server a moment ago; uvloop refuses.
        with contextlib.suppress(NatsError, OSError, RuntimeError):
            await self._client.close()

    async def _lost(self) -> None:
        if not self._closing:
            _log.warning("bus lost")

    def _check(self, subject: str, content: bytes) -> None:
        check_subject(subject)
        check_size(content)
        self._check_here()

    def _check_here(self) -> None:
        if not self._client.is_connected:
            raise BusError("the NATS server is away")


class _Subscription:
    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def close(self) -> None:
        with contextlib.suppress(NatsError):  # gone with its connection
            await self._subscription.unsubscribe()


class _translated(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a verb where it is used
    """Turns what the client raises into BusError."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NatsError | OSError | TimeoutError):
            raise BusError(f"{self._subject}: {str(error) or type(error).__name__}") from error


def _heed_cancellation() -> None:
    """Raise the CancelledError that was asked for and got lost.

    Before Python 3.12 `asyncio.wait_for`, on which the client leans, loses a cancellation that arrives together with
    its result (cpython issue 86296); a loop that never sees it would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _connect(client: Client, servers: list[str], name: str, lost: Callable[[], Awaitable[None]]) -> None:
    await client.connect(
        servers,
        name=name,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=_RECONNECT_WALL_S,  # type: ignore[arg-type]  # any number of seconds does
        connect_timeout=2,
        ping_interval=_PING_WALL_S,
        pending_size=_PENDING_BYTES,
        disconnected_cb=lost,
        reconnected_cb=_recovered,
        error_cb=_failed,
    )


async def _recovered() -> None:
    _log.info("bus recovered")


async def _failed(error: Exception) -> None:
    if not isinstance(error, OSError):  # attempts to reconnect; the loss is in the log already
        _log.warning("bus error", why=str(error) or type(error).__name__)


def _server(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in {"nats", "tls"} or not parts.hostname:
        raise ConfigurationError("VPP_BUS_URL: give nats://HOST:PORT, or memory: for everything in one process")
    return url.strip()


def _shown(servers: list[str]) -> str:
    return ", ".join(f"{urlsplit(s).hostname}:{urlsplit(s).port or 4222}" for s in servers)
