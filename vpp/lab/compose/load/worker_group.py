"""Worker processes of one kind, forked from a parent that has built what they share, and queried over pipes.

A fleet's columns and the table of keys are the same pages of memory in all of them, as they are for gateways that a
supervisor forks. Parent and worker exchange one request and one reply at a time; a worker whose parent is gone ends.
"""

import asyncio
import gc
import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any

from vpp.domain.errors import DeviceUnreachableError

HOST = "127.0.0.1"
Reply = dict[str, Any]
_QUIT = "quit"
_GC_THRESHOLD = 50_000


class WorkerGroup:
    """Workers of one kind, queried all at once.

    Raises:
        DeviceUnreachableError: A worker has died, from every method that waits for replies.
    """

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("fork")
        self._workers: list[tuple[ForkProcess, Connection]] = []

    def __len__(self) -> int:
        return len(self._workers)

    def add(self, main: Callable[..., None], *arguments: object) -> None:
        """Fork a worker that runs ``main(pipe, *arguments)``."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_worker, args=(main, theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        self._workers.append((process, ours))

    def ask(self, what: str, **arguments: object) -> list[Reply]:
        """Send the same request to every worker at the same time and return all replies."""
        self.send(what, **arguments)
        return self.replies()

    def send(self, what: str, **arguments: object) -> None:
        """Send a request without waiting; ``replies`` must follow."""
        for _, pipe in self._workers:
            pipe.send((what, arguments))

    def replies(self) -> list[Reply]:
        """Wait for the reply of every worker."""
        found = []
        for process, pipe in self._workers:
            try:
                found.append(pipe.recv())
            except EOFError as error:
                raise DeviceUnreachableError(f"process {process.pid} ended with code {process.exitcode}") from error
        return found

    def end(self) -> None:
        """End every worker; each by a message, for its siblings hold copies of its pipe."""
        for _, pipe in self._workers:
            with suppress(OSError):
                pipe.send((_QUIT, {}))
        for process, pipe in self._workers:
            pipe.close()
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()
        self._workers.clear()


def requests_of(pipe: Connection, *, idle: Callable[[], bool]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Iterate the parent's requests until it is over; each must be replied to.

    Args:
        pipe: The worker's end.
        idle: Called while no request waits; does a slice of work and returns true, or false if there is none.
    """
    while True:
        try:
            if not pipe.poll(0.0) and idle():
                continue
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        if what == _QUIT:
            return
        yield what, arguments


async def answer_requests(pipe: Connection, answer: Callable[[str, dict[str, Any]], Reply | None]) -> None:
    """Reply to the parent's requests on the running loop until it is over; ``None`` replies later by itself."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def asked() -> None:
        try:
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            what, arguments = _QUIT, {}
        if what == _QUIT:
            loop.remove_reader(pipe.fileno())
            over.set()
            return
        reply = answer(what, arguments)
        if reply is not None:
            pipe.send(reply)

    loop.add_reader(pipe.fileno(), asked)
    await over.wait()


def _worker(main: Callable[..., None], pipe: Connection, *arguments: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    logging.disable(logging.WARNING)
    gc.freeze()  # what the parent made is not traversed again, so that its pages stay shared
    gc.set_threshold(_GC_THRESHOLD, 20, 50)
    main(pipe, *arguments)
