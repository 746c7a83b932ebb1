"""How a process runs: one event loop, ended cleanly by Ctrl-C or SIGTERM."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine

from vpp.config import Settings
from vpp.runtime.clock import ScaledClock


def clock_of(settings: Settings) -> ScaledClock:
    """Return the clock that settings describe; every process given the same ones shows the same time."""
    return ScaledClock(
        anchor_wall_s=settings.clock_anchor_wall_s, anchor_s=settings.clock_anchor_s, speed=settings.clock_speed
    )


def run(main: Coroutine[object, object, None]) -> None:
    """Run until done, Ctrl-C or SIGTERM; both end it cleanly."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_signalled(main))


async def _until_signalled(main: Coroutine[object, object, None]) -> None:
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not on every platform

    return uvloop.new_event_loop
