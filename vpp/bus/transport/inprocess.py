"""The bus inside one process: no broker, no copies."""

import asyncio
import contextlib

import structlog

from vpp.bus.transport.subjects import MAX_MESSAGE_BYTES, check_pattern, check_subject, matches
from vpp.domain.errors import BusError, InputError, VppError
from vpp.ports import BusHandler

_log = structlog.get_logger(__name__)


class InProcessBus:
    """A `vpp.ports.Bus` among the parts of one event loop that share this object."""

    def __init__(self) -> None:
        self._subscriptions: list[_Subscription] = []
        self._closed = False

    async def publish(self, subject: str, content: bytes) -> None:
        """See ``Bus``."""
        self._check(subject, content)
        for subscription in self._hearing(subject):
            asyncio.get_running_loop().call_soon(subscription.deliver, subject, content, None)
        await asyncio.sleep(0)  # as with a broker, subscribers have their turn while somebody publishes in a loop

    async def subscribe(self, pattern: str, handler: BusHandler) -> "_Subscription":
        """See ``Bus``."""
        check_pattern(pattern)
        self._check_open()
        subscription = _Subscription(pattern, handler, self._subscriptions)
        self._subscriptions.append(subscription)
        return subscription

    async def request(self, subject: str, content: bytes, *, patience_wall_s: float) -> bytes:
        """See ``Bus``."""
        self._check(subject, content)
        hearing = self._hearing(subject)
        if not hearing:
            raise BusError(f"nobody listens on {subject}")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        for subscription in hearing:
            loop.call_soon(subscription.deliver, subject, content, answered)
        try:
            async with asyncio.timeout(patience_wall_s):
                return await answered
        except TimeoutError:
            raise BusError(f"nobody answered on {subject} within {patience_wall_s} s") from None

    async def close(self) -> None:
        """See ``Bus``."""
        self._closed = True
        for subscription in list(self._subscriptions):
            await subscription.close()

    def _check(self, subject: str, content: bytes) -> None:
        check_subject(subject)
        check_size(content)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise BusError("the bus is closed")

    def _hearing(self, subject: str) -> "list[_Subscription]":
        return [subscription for subscription in self._subscriptions if matches(subscription.pattern, subject)]


class _Subscription:
    def __init__(self, pattern: str, handler: BusHandler, among: "list[_Subscription]") -> None:
        self.pattern = pattern
        self._handler = handler
        self._among = among

    def deliver(self, subject: str, content: bytes, answered: "asyncio.Future[bytes] | None") -> None:
        if self not in self._among:
            return
        answer = handled(self._handler, subject, content)
        if answer is not None and answered is not None and not answered.done():
            answered.set_result(answer)

    async def close(self) -> None:
        with contextlib.suppress(ValueError):
            self._among.remove(self)


def check_size(content: bytes) -> None:
    """Refuse a message longer than ``MAX_MESSAGE_BYTES``; raises InputError."""
    if len(content) > MAX_MESSAGE_BYTES:
        raise InputError("content", f"{len(content)} bytes", f"at most {MAX_MESSAGE_BYTES} bytes a message")


def handled(handler: BusHandler, subject: str, content: bytes) -> bytes | None:
    """Return the handler's answer; a message that it cannot use is dropped alone."""
    try:
        return handler(subject, content)
    except VppError as error:
        _log.warning("message dropped", subject=subject, bytes=len(content), why=str(error))
        return None
