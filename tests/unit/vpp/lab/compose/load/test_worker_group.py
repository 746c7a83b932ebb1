"""Workers that reply together, and what becomes of them with their parent or by themselves."""

import asyncio
import os
import time
from multiprocessing.connection import Connection

import pytest

from tests.patience import PATIENCE_WALL_S
from vpp.domain.errors import DeviceUnreachableError
from vpp.lab.compose.load.worker_group import Reply, WorkerGroup, answer_requests, requests_of


def counting(pipe: Connection, first: int) -> None:
    """Reply with a number that grows while nobody asks."""
    count = first

    def idle() -> bool:
        nonlocal count
        count += 1
        time.sleep(0.001)
        return True

    for what, arguments in requests_of(pipe, idle=idle):
        pipe.send({"what": what, "count": count, **arguments})


def dying(pipe: Connection) -> None:
    """End at the first request."""
    for _ in requests_of(pipe, idle=lambda: False):
        os._exit(3)


def on_a_loop(pipe: Connection) -> None:
    """Reply at once, or later when asked to."""

    async def serve() -> None:
        def answer(what: str, arguments: Reply) -> Reply | None:
            if what == "later":
                asyncio.get_running_loop().call_later(0.01, pipe.send, {"late": True})
                return None
            return arguments

        await answer_requests(pipe, answer)

    asyncio.run(serve())


def test_all_workers_reply_and_work_on_between_two_requests() -> None:
    group = WorkerGroup()
    try:
        group.add(counting, 0)
        group.add(counting, 1_000_000)
        before = group.ask("state", extra=1)
        after = before
        deadline = time.monotonic() + PATIENCE_WALL_S
        while not all(late["count"] > early["count"] for early, late in zip(before, after, strict=True)):
            assert time.monotonic() < deadline, "a worker stands still between two requests"
            time.sleep(0.001)
            after = group.ask("state")
        assert len(group) == 2
        assert [(reply["what"], reply["extra"]) for reply in before] == [("state", 1)] * 2
        assert before[1]["count"] >= 1_000_000
    finally:
        group.end()
    assert len(group) == 0


def test_a_worker_that_died_is_named_with_its_code() -> None:
    group = WorkerGroup()
    try:
        group.add(dying)
        with pytest.raises(DeviceUnreachableError, match="ended with code"):
            group.ask("state")
    finally:
        group.end()


def test_a_worker_on_a_loop_replies_at_once_or_later() -> None:
    group = WorkerGroup()
    try:
        group.add(on_a_loop)
        assert group.ask("now", value=7) == [{"value": 7}]
        assert group.ask("later") == [{"late": True}]
    finally:
        group.end()
