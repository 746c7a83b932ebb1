"""Register values found in devices before our first write, between gateways and the leader that keeps them.

A gateway asks until the leader says that everything is durable; a row without values is its owner's again. Nothing is
written to a device before that, so a gateway that takes a place over knows the values that the one before it found.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson

from vpp.bus.messages import master_data
from vpp.bus.messages.codec import Frame, Kind, decode, encode
from vpp.bus.messages.frames import receipt, receipt_of
from vpp.bus.transport import subjects as to
from vpp.domain.errors import BusError, FrameError, RetryError
from vpp.ports import Bus, DeviceMemory

_PATIENCE_WALL_S = 2.0
_AGAIN_WALL_S = 0.05
_GIVE_UP_WALL_S = 4.0
_ASKED = "found"
_PENDING, _DURABLE = 0, 1
_MOST_ROWS = 2000
"""Rows a message: well under what every bus carries."""


class BusMemory:
    """A gateway's `vpp.ports.DeviceMemory`; what comes in one turn of the event loop travels in one message.

    Args:
        bus: Where the leader is.
        epoch: Returns the epoch of the leader to ask.
    """

    def __init__(self, bus: Bus, epoch: Callable[[], int]) -> None:
        self._bus = bus
        self._epoch = epoch
        self._waiting: dict[int, Mapping[str, float]] = {}
        self._sending: asyncio.Task[None] | None = None

    async def remember(self, row: int, values: Mapping[str, float]) -> None:
        """See ``DeviceMemory``; raises BusError where no leader has made the values durable in time."""
        self._waiting[row] = dict(values)
        sending = self._sending
        if sending is None or sending.done():
            sending = self._sending = asyncio.create_task(self._send(), name="device memory")
        await asyncio.wait((sending,))
        if error := sending.exception():
            raise BusError(f"register values found in a device are not recorded: {error}") from error

    async def recall(self, row: int) -> Mapping[str, float]:
        """See ``DeviceMemory``; raises BusError where no leader answers in time."""
        answer = await self._until(master_data.ask(_ASKED, row), Kind.FOUND)
        found: Mapping[str, float] = orjson.loads(answer.texts("values")[0])
        return found

    async def _send(self) -> None:
        await asyncio.sleep(0)  # what comes in this turn of the loop joins
        self._sending = None
        while self._waiting:
            rows = list(self._waiting)[:_MOST_ROWS]
            texts = [orjson.dumps(self._waiting.pop(row)).decode() for row in rows]
            await self._until(encode(Kind.FOUND, {"rows": rows, "values": texts}), Kind.RECEIPT)

    async def _until(self, question: bytes, kind: Kind) -> Frame:
        """Repeat a question until its answer is there; raises BusError."""
        try:
            async with asyncio.timeout(_GIVE_UP_WALL_S):
                while True:
                    answer = await self._answer(question)
                    if answer is not None and answer.kind is kind:
                        return answer
                    await asyncio.sleep(_AGAIN_WALL_S)
        except TimeoutError:
            raise BusError(f"the leader has not answered within {_GIVE_UP_WALL_S:.0f} s") from None

    async def _answer(self, question: bytes) -> Frame | None:
        """Return the answer, ``None`` while it is pending."""
        try:
            subject = to.memory(self._epoch())
            content = await self._bus.request(subject, question, patience_wall_s=_PATIENCE_WALL_S)
            frame = decode(content, Kind.FOUND, Kind.RECEIPT)
        except (BusError, FrameError):
            return None
        return None if frame.kind is Kind.RECEIPT and receipt_of(content)[0] == _PENDING else frame


class LeaderMemory:
    """The leader's end: keeps the values that gateways found, and confirms them once they are durable.

    Args:
        memory: Where they are kept.
        run: Runs a coroutine in the background.
        now_s: Returns the epoch second for receipts.
    """

    def __init__(
        self,
        memory: DeviceMemory,
        run: Callable[[Coroutine[None, None, None]], None],
        now_s: Callable[[], float],
    ) -> None:
        self._memory = memory
        self._run = run
        self._now_s = now_s
        self._durable: dict[int, str] = {}
        self._under_way: dict[int, str] = {}
        self._recalled: dict[int, str] = {}

    def answer(self, _: str, content: bytes) -> bytes:
        """Answer a gateway; raises FrameError for a frame of another kind."""
        frame = decode(content, Kind.FOUND, Kind.ASK)
        return self._recall(*master_data.asked(content)) if frame.kind is Kind.ASK else self._keep(frame)

    def _recall(self, _: str, row: int) -> bytes:
        text = self._recalled.pop(row, None)
        if text is None:
            self._run(self._fetch(row))
            return receipt(_PENDING, self._now_s())
        return encode(Kind.FOUND, {"rows": [row], "values": [text]})

    def _keep(self, frame: Frame) -> bytes:
        rows: list[Any] = frame.array("rows").tolist()
        missing = [(r, t) for r, t in zip(rows, frame.texts("values"), strict=True) if self._durable.get(r) != t]
        for row, text in missing:
            if self._under_way.get(row) != text:
                self._under_way[row] = text
                self._run(self._remember(row, text, _values(text)))
        return receipt(_PENDING if missing else _DURABLE, self._now_s())

    async def _fetch(self, row: int) -> None:
        self._recalled[row] = orjson.dumps(dict(await self._memory.recall(row))).decode()

    async def _remember(self, row: int, text: str, values: Mapping[str, float]) -> None:
        try:
            await self._memory.remember(row, values)
        except RetryError:  # the gateway asks again
            return
        finally:
            self._under_way.pop(row, None)
        self._durable[row] = text


def _values(text: str) -> Mapping[str, float]:
    try:
        values: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FrameError(f"register values of a device are not JSON: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(value, int | float) for value in values.values()):
        raise FrameError("register values of a device are numbers by name")
    return {str(name): float(value) for name, value in values.items()}
