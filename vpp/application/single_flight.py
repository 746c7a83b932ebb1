"""Single flight: work done once for all concurrent callers of the same name."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Tasks under way, by name.

    Work goes on when a caller is cancelled: its result is there for the others, and for the next caller.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Answer]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    async def answer(self, name: str, work: Callable[[], Coroutine[None, None, Answer]]) -> Answer:
        """Return the result of the work under way, begun here where there is none; raises what it raises."""
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.create_task(work(), name=f"answer {name}")
            task.add_done_callback(lambda ended: self._forget(name, ended))
        return await asyncio.shield(task)

    def _forget(self, name: str, ended: asyncio.Task[Answer]) -> None:
        del self._tasks[name]
        if not ended.cancelled():
            ended.exception()  # retrieved here too: there may be no caller left
