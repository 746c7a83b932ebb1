"""Questions for the schedule of a device: asked once, repeated until answered, bounded, refused with a reason."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from tests.conformance.bus_parts import until
from tests.patience import PATIENCE_WALL_S
from vpp.bus.device_inspection import MOST_QUESTIONS, GatewayInspection, Status, ask_gateway
from vpp.bus.messages.codec import Kind, decode, encode
from vpp.bus.transport.inprocess import InProcessBus
from vpp.domain.device_schedule import DeviceSchedule
from vpp.domain.errors import ConflictError, DeviceUnreachableError, FrameError

SUBJECT = "vpp.v1.inspect.g1.1"
SCHEDULE = DeviceSchedule(start_s=1e9, offsets_s=(0.0, 60.0), power_kw=(7.0, math.nan))


def question(number: int = 1, *rows: int) -> bytes:
    asked = rows or (3,)
    return encode(Kind.INSPECT, {"rows": asked, "duration_s": [600] * len(asked)}, number=number)


def status(answer: bytes) -> tuple[Status, str]:
    frame = decode(answer, Kind.INSPECTED)
    return Status(int(frame.array("status")[0])), frame.texts("text")[0]


async def asked(
    inspect: Callable[[int, int], Awaitable[DeviceSchedule]],
    *,
    answer_wall_s: float = PATIENCE_WALL_S,
    heard: Callable[[], object] = lambda: None,
) -> DeviceSchedule:
    """Return what the leader gets of a gateway that inspects in this way; ``heard`` is called at every question."""
    bus, gateway = InProcessBus(), GatewayInspection(inspect)

    def answer(subject: str, content: bytes) -> bytes:
        heard()
        return gateway.answer(subject, content)

    subscription = await bus.subscribe(SUBJECT, answer)
    try:
        return await ask_gateway(bus, SUBJECT, number=1, row=3, duration_s=600, answer_wall_s=answer_wall_s)
    finally:
        await subscription.close()
        await gateway.close()
        await bus.close()


async def test_a_device_is_asked_once_however_often_the_leader_repeats_its_question() -> None:
    questions: list[tuple[int, int]] = []
    repeated = asyncio.Semaphore(0)

    async def inspect(row: int, duration_s: int) -> DeviceSchedule:
        questions.append((row, duration_s))
        for _ in range(3):
            await repeated.acquire()
        return SCHEDULE

    found = await asked(inspect, heard=repeated.release)

    assert questions == [(3, 600)]
    assert (found.start_s, found.offsets_s) == (SCHEDULE.start_s, SCHEDULE.offsets_s)
    np.testing.assert_array_equal(found.power_kw, SCHEDULE.power_kw)


@pytest.mark.parametrize(
    ("raised", "becomes", "says"),
    [
        (ConflictError("CS-1 has no composite schedule"), ConflictError, "CS-1 has no composite schedule"),
        (DeviceUnreachableError("CS-1 did not answer"), DeviceUnreachableError, "CS-1 did not answer"),
        (ZeroDivisionError("a fault of ours"), DeviceUnreachableError, "its log says why"),
    ],
)
async def test_the_reason_for_no_schedule_reaches_the_leader(
    raised: Exception, becomes: type[Exception], says: str
) -> None:
    async def inspect(_row: int, _duration_s: int) -> DeviceSchedule:
        raise raised

    with pytest.raises(becomes, match=says):
        await asked(inspect)


async def test_a_device_that_never_answers_is_given_up_in_time() -> None:
    async def inspect(_row: int, _duration_s: int) -> DeviceSchedule:
        await asyncio.sleep(60.0)
        return SCHEDULE

    with pytest.raises(DeviceUnreachableError, match="has not answered"):
        await asked(inspect, answer_wall_s=0.3)


async def test_a_gateway_of_an_earlier_version_is_not_waited_for() -> None:
    bus = InProcessBus()
    async with asyncio.timeout(PATIENCE_WALL_S):
        with pytest.raises(DeviceUnreachableError, match="does not answer such questions"):
            await ask_gateway(bus, SUBJECT, number=1, row=3, duration_s=600, answer_wall_s=2.0 * PATIENCE_WALL_S)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        encode(Kind.INSPECTED, {"status": [], "text": []}),
        encode(Kind.INSPECTED, {"status": [99], "text": [""]}),
        encode(Kind.INSPECTED, {"status": [Status.ANSWERED], "text": ["[]"]}),
        encode(Kind.INSPECTED, {"status": [Status.ANSWERED], "text": ['{"start_s": "x"}']}),
    ],
)
async def test_an_answer_that_cannot_be_read_is_none(answer: bytes) -> None:
    bus = InProcessBus()
    await bus.subscribe(SUBJECT, lambda _subject, _content: answer)
    with pytest.raises(DeviceUnreachableError):
        await ask_gateway(bus, SUBJECT, number=1, row=3, duration_s=600, answer_wall_s=PATIENCE_WALL_S)


async def test_more_questions_at_once_than_a_gateway_keeps_are_turned_away() -> None:
    ready = asyncio.Event()

    async def inspect(_row: int, _duration_s: int) -> DeviceSchedule:
        await ready.wait()
        return SCHEDULE

    gateway = GatewayInspection(inspect)
    for number in range(MOST_QUESTIONS):
        assert status(gateway.answer(SUBJECT, question(number)))[0] is Status.PENDING
    turned_away, why = status(gateway.answer(SUBJECT, question(MOST_QUESTIONS)))
    assert turned_away is Status.UNREACHABLE
    assert str(MOST_QUESTIONS) in why
    ready.set()
    await until(lambda: status(gateway.answer(SUBJECT, question(MOST_QUESTIONS - 1)))[0] is Status.ANSWERED)
    assert status(gateway.answer(SUBJECT, question(0)))[0] is not Status.UNREACHABLE
    await gateway.close()


async def test_one_device_is_asked_at_a_time() -> None:
    gateway = GatewayInspection(lambda _row, _duration_s: asyncio.sleep(0.0, SCHEDULE))
    with pytest.raises(FrameError, match="one device"):
        gateway.answer(SUBJECT, question(1, 3, 4))
