"""Process runner: one event loop, ended cleanly by Ctrl-C or SIGTERM."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[object, object, Result]) -> Result | None:
    """Run until done, Ctrl-C, SIGTERM or the end of the terminal; a signal ends it cleanly, without a result.

    A single error wrapped by task groups is raised as itself, so that the command line can report it in a line.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_until_signalled(main))
    except BaseExceptionGroup as group:
        raise _unwrapped(group) from group


async def _until_signalled(main: Coroutine[object, object, Result]) -> Result | None:
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in _ending_signals():
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        return None


def _ending_signals() -> list[signal.Signals]:
    """Return the signals that end the process; a hang-up only where it is not ignored (nohup)."""
    ending = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        ending.append(signal.SIGHUP)
    return ending


def _unwrapped(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not on every platform

    return uvloop.new_event_loop
