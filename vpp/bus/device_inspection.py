"""Questions for the schedules that devices hold, from the leader to the gateway where the device is.

A device may take longer to answer than a request on the bus may last. The leader therefore repeats its question, under
the same number, until the answer is no longer pending; a gateway asks the device once for every number.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from enum import IntEnum
from math import nan

import orjson
import structlog

from vpp.bus.messages.codec import Kind, decode, encode
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import BusError, ConflictError, DeviceUnreachableError, FrameError, RetryError, SkipError
from vpp.ports import Bus

_log = structlog.get_logger(__name__)
_PATIENCE_WALL_S = 2.0
_REPEAT_WALL_S = 0.1
_TRIES = 3
"""Requests in a row that may stay without a reply; a gateway of an earlier version never replies."""
MOST_QUESTIONS = 64
"""Questions a gateway keeps, answered ones included; more under way at once are turned away."""


class Status(IntEnum):
    """State of a question."""

    PENDING = 0
    ANSWERED = 1
    UNREACHABLE = 2
    """The device is not connected or does not answer; the text says why."""
    REFUSED = 3
    """The device cannot say, or its protocol has no such question; the text says why."""


Answer = tuple[Status, str]
Inspect = Callable[[int, int], Awaitable[DeviceSchedule]]
"""Asks the device in a row for its schedule over so many seconds; see ``vpp.ports.InspectableLink``."""


async def ask_gateway(
    bus: Bus, subject: str, *, number: int, row: int, duration_s: int, answer_wall_s: float
) -> DeviceSchedule:
    """Return the schedule that the device in ``row`` holds.

    Args:
        bus: Where the gateways are.
        subject: Of the gateway where the device is.
        number: Of this question, never used before.
        row: The device.
        duration_s: Length of the schedule in seconds.
        answer_wall_s: Wall seconds the device has to answer.

    Raises:
        DeviceUnreachableError: Neither the device nor the gateway has answered in time.
        ConflictError: The device cannot say, or its protocol has no such question.
    """
    question = encode(Kind.INSPECT, {"rows": [row], "duration_s": [duration_s]}, number=number)
    try:
        async with asyncio.timeout(answer_wall_s):
            status, text = await _answer_to(bus, subject, question)
    except TimeoutError:
        raise DeviceUnreachableError(f"the device has not answered within {answer_wall_s:.0f} s") from None
    if status is Status.ANSWERED:
        return _schedule_of(text)
    raise (DeviceUnreachableError if status is Status.UNREACHABLE else ConflictError)(text)


class GatewayInspection:
    """The gateway's end: asks devices and keeps their answers until the leader has taken them.

    Args:
        inspect: Asks a device.
    """

    def __init__(self, inspect: Inspect) -> None:
        self._inspect = inspect
        self._answers: dict[int, Answer] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}

    def answer(self, _: str, content: bytes) -> bytes:
        """Answer the leader, as yet with `Status.PENDING` where the device is asked; raises FrameError."""
        frame = decode(content, Kind.INSPECT)
        if frame.count != 1:
            raise FrameError(f"one device is asked at a time, got {frame.count}")
        number = frame.number
        if number not in self._answers and number not in self._asking:
            self._ask(number, int(frame.array("rows")[0]), int(frame.array("duration_s")[0]))
        status, text = self._answers.get(number, (Status.PENDING, ""))
        return encode(Kind.INSPECTED, {"status": [status], "text": [text]}, number=number)

    async def close(self) -> None:
        """Ask no more; what is under way is given up."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _ask(self, number: int, row: int, duration_s: int) -> None:
        if len(self._asking) >= MOST_QUESTIONS:
            self._keep(number, (Status.UNREACHABLE, f"{MOST_QUESTIONS} other devices are being asked"))
            return
        task = asyncio.create_task(self._asked(number, row, duration_s), name=f"inspect row {row}")
        self._asking[number] = task
        task.add_done_callback(lambda _: self._asking.pop(number, None))

    async def _asked(self, number: int, row: int, duration_s: int) -> None:
        try:
            schedule = await self._inspect(row, duration_s)
        except RetryError as error:
            answer = Status.UNREACHABLE, str(error)
        except SkipError as error:
            answer = Status.REFUSED, str(error)
        except Exception as fault:  # noqa: BLE001 - the leader has to hear of it, whatever it is
            _log.error("device inspection ended by a fault", row=row, exc_info=fault)
            answer = Status.UNREACHABLE, "the question failed at the gateway; its log says why"
        else:
            answer = Status.ANSWERED, orjson.dumps(asdict(schedule)).decode()
        self._keep(number, answer)

    def _keep(self, number: int, answer: Answer) -> None:
        self._answers[number] = answer
        while len(self._answers) > MOST_QUESTIONS:
            del self._answers[next(iter(self._answers))]


async def _answer_to(bus: Bus, subject: str, question: bytes) -> Answer:
    tries = 0
    while True:
        try:
            frame = decode(await bus.request(subject, question, patience_wall_s=_PATIENCE_WALL_S), Kind.INSPECTED)
            status, text = Status(int(frame.array("status")[0])), frame.texts("text")[0]
        except (BusError, FrameError, ValueError, IndexError):
            tries += 1
            if tries == _TRIES:
                raise DeviceUnreachableError("the gateway of this device does not answer such questions") from None
        else:
            tries = 0
            if status is not Status.PENDING:
                return status, text
        await asyncio.sleep(_REPEAT_WALL_S)


def _schedule_of(text: str) -> DeviceSchedule:
    try:
        body = orjson.loads(text)
        return DeviceSchedule(
            start_s=float(body["start_s"]),
            offsets_s=tuple(float(offset_s) for offset_s in body["offsets_s"]),
            power_kw=tuple(nan if power_kw is None else float(power_kw) for power_kw in body["power_kw"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DeviceUnreachableError(f"the gateway's answer cannot be read: {error!r}") from error
