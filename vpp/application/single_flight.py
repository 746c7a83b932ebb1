"""Work that is done once however many ask for it: who comes while it is under way waits for the same answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Answers that are being worked on, by name.

    A caller that is cancelled leaves the work to the others: it goes on, and its answer is there for whoever asks next.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Answer]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    async def answer(self, name: str, work: Callable[[], Coroutine[None, None, Answer]]) -> Answer:
        """Return the answer of the work under way, which is begun where there is none; raises what it raises."""
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.create_task(work(), name=f"answer {name}")
            task.add_done_callback(lambda ended: self._forget(name, ended))
        return await asyncio.shield(task)

    def _forget(self, name: str, ended: asyncio.Task[Answer]) -> None:
        del self._tasks[name]
        if not ended.cancelled():
            ended.exception()  # read here too, for nobody may wait any more
