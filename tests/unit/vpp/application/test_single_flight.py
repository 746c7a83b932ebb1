"""Work that many wait for is done once, and nobody's leaving hurts the others."""

import asyncio

import pytest

from vpp.application.single_flight import SingleFlight


async def test_many_callers_share_one_answer_and_the_next_asks_anew() -> None:
    under_way: SingleFlight[int] = SingleFlight()
    gate, begun = asyncio.Event(), 0

    async def work() -> int:
        nonlocal begun
        begun += 1
        await gate.wait()
        return begun

    waiting = [asyncio.create_task(under_way.answer("a", work)) for _ in range(20)]
    await asyncio.sleep(0)
    assert "a" in under_way
    gate.set()
    assert await asyncio.gather(*waiting) == [1] * 20
    assert "a" not in under_way
    assert await under_way.answer("a", work) == 2


async def test_a_caller_that_leaves_does_not_end_the_work() -> None:
    under_way: SingleFlight[str] = SingleFlight()
    gate = asyncio.Event()

    async def work() -> str:
        await gate.wait()
        return "done"

    first = asyncio.create_task(under_way.answer("a", work))
    second = asyncio.create_task(under_way.answer("a", work))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == "done"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_all_learn_of_a_failure() -> None:
    under_way: SingleFlight[None] = SingleFlight()

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    ends = await asyncio.gather(*(under_way.answer("a", work) for _ in range(3)), return_exceptions=True)
    assert [str(end) for end in ends] == ["no"] * 3
