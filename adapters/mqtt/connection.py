"""Connection to a broker: address, back-off, acknowledgements and subscriptions."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from adapters.kit.backoff import Backoff
from vpp.domain.errors import ConfigurationError

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_WALL_S = 15
"""A dead socket is noticed after one and a half of these; the network's own seconds, whatever the clock does."""
_INFLIGHT = 64
"""Messages of QoS 1 that may wait for the broker's acknowledgement at once."""
BACKOFF = Backoff(first_s=1.0, longest_s=60.0, jitter=(0.5, 1.0))
"""Wait before the broker is dialled again, in the clock's seconds."""


class Connection(aiomqtt.Client):
    """An MQTT client that can also cut its connection, so that its last will is published."""

    async def send(self, topic: str, message: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish; with QoS 1 returns once the broker has the message. Raises MqttError."""
        await self.publish(topic, message, qos=qos, retain=retain)
        heed_cancellation()

    async def cut(self) -> None:
        """Cut the connection without DISCONNECT; returns once it is gone."""
        raw = self._client.socket()
        if isinstance(raw, socket.socket) and not self._disconnected.done():
            with contextlib.suppress(OSError):  # the other end was faster
                raw.shutdown(socket.SHUT_RDWR)
            await asyncio.wait((self._disconnected,), timeout=self.timeout)
        if self._disconnected.done():
            self._disconnected.exception()  # read here, or asyncio complains that nobody did

    def acknowledge_manually(self) -> None:
        """Acknowledge no message of QoS 1 before ``acknowledge``; until then the broker keeps it.

        A broker sends so many messages unacknowledged (1,024 a subscription with NATS, 20 with mosquitto) and then
        waits: what there is no time for piles up at the broker, which keeps it, not here.
        """
        self._client.manual_ack_set(on=True)

    def acknowledge(self, messages: Iterable[aiomqtt.Message]) -> None:
        """Acknowledge messages that have been dealt with; the broker forgets them."""
        for message in messages:
            if message.qos:
                self._client.ack(message.mid, message.qos)

    async def unsubscribe_from(self, *topics: str) -> None:
        """Unsubscribe; a topic that was never subscribed to does no harm. Raises MqttError."""
        await self.unsubscribe(list(topics))
        heed_cancellation()

    async def subscribe_to(self, *topics: str) -> None:
        """Subscribe with QoS 1; raises MqttError where the broker refuses."""
        granted = await self.subscribe([(name, 1) for name in topics])
        heed_cancellation()
        if any(code.is_failure for code in granted if isinstance(code, ReasonCode)):
            raise aiomqtt.MqttError(f"the broker refuses a subscription to {topics}: {granted}")


def heed_cancellation() -> None:
    """Raise the CancelledError that was asked for and got lost.

    Before Python 3.12 `asyncio.wait_for`, on which aiomqtt leans, loses a cancellation that arrives together with its
    result (cpython issue 86296); a loop that does not learn of it would never end. Not for a task that has waited for a
    TaskGroup: before 3.13 its count of cancellations may be wrong.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def apart(session: Coroutine[None, None, None]) -> None:
    """Run a session in a task of its own and raise what it raises; cancellation always passes through.

    Before Python 3.13 a TaskGroup loses a cancellation that arrives together with a failure inside (cpython issue
    116720). Here it can only end the session's task, and the caller still learns of it.
    """
    task = asyncio.ensure_future(session)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # read here, or asyncio complains that nobody did
        raise
    task.result()


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Address of a broker, with credentials."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    @classmethod
    def at(cls, url: str) -> "Broker":
        """Read ``mqtt://[user:password@]host[:port]``, or ``mqtts://`` for TLS with the system's authorities.

        Raises:
            ConfigurationError: It is not such an address.
        """
        try:
            parts = urlsplit(url)
            usual_port = _PORTS[parts.scheme]
            port = parts.port or usual_port
        except (ValueError, KeyError):
            raise ConfigurationError("the MQTT address must be mqtt://host:port or mqtts://host:port") from None
        if not parts.hostname:
            raise ConfigurationError("the MQTT address names no host; give mqtt://host:port")
        return cls(
            host=parts.hostname,
            port=port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=ssl.create_default_context() if parts.scheme == "mqtts" else None,
        )

    def connection(self, **extra: Any) -> Connection:  # noqa: ANN401 - handed on to aiomqtt.Client as they are
        """Return a connection to open with ``async with``."""
        client = Connection(
            self.host,
            self.port,
            username=self.username,
            password=self.password,
            tls_context=self.tls,
            keepalive=_KEEPALIVE_WALL_S,
            clean_session=True,  # a lease that waited in the broker would arrive after its time
            max_inflight_messages=_INFLIGHT,
            max_concurrent_outgoing_calls=_INFLIGHT,
            **extra,
        )
        client.pending_calls_threshold = _INFLIGHT
        return client

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
