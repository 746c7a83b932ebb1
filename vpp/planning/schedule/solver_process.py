"""Solver in a child process: killed when late, replaced before the next plan."""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from subprocess import PIPE, Popen

from optimizer.problem.problem import Problem
from optimizer.problem.solution import GAP_RATIO, Solution, Warm
from optimizer.wire import ERROR, HEADER_BYTES, PROBLEM, READY, SOLUTION, frame, problem_bytes, solution_from

_COMMAND = (sys.executable, "-m", "optimizer.worker")
_PATIENCE = 10
"""Problems that a starting child may leave unanswered before it is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Reason for which there is no solution; an ordinary outcome."""

    reason: str


class SolverProcess:
    """One child that solves one problem at a time.

    What goes through its pipes does so in a thread: a city's problem is larger than a busy event loop could move along.

    Args:
        command: What to start; anything that speaks the frames of ``optimizer.wire``.
        grace_s: Wall seconds beyond the solver's own time limit before it is killed.
    """

    def __init__(self, *, command: tuple[str, ...] = _COMMAND, grace_s: float = 1.0) -> None:
        self._command = command
        self._grace_s = grace_s
        self._process: Popen[bytes] | None = None
        self._greeting: asyncio.Task[tuple[bytes, bytes]] | None = None
        self._patience = _PATIENCE
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the child if none runs; its imports take a second or two, so call this before the first plan."""
        if self._process is None or self._process.poll() is not None:
            self._patience = _PATIENCE
            self._process = await asyncio.to_thread(Popen, self._command, stdin=PIPE, stdout=PIPE)
            self._greeting = asyncio.create_task(asyncio.to_thread(_read, self._process, READY))

    async def ready(self, *, patience_s: float) -> bool:
        """Start the child and wait until it can solve; return whether it can.

        The first start after an installation or an update compiles the kernels, which takes up to a minute.
        """
        async with self._lock:
            try:
                return await self._said_ready(patience_s)
            except OSError:
                return False

    async def solve(
        self, problem: Problem, *, deadline_s: float, warm: Warm | None = None, gap_ratio: float = GAP_RATIO
    ) -> Solution | Refused:
        """Return the solution, or why there is none, within ``deadline_s`` wall seconds and the grace.

        Args:
            problem: What is to be solved.
            deadline_s: Wall seconds.
            warm: Where to start from; ignored where it does not fit.
            gap_ratio: Certified gap that is good enough.
        """
        async with self._lock:
            try:
                if not await self._said_ready(deadline_s + self._grace_s):
                    return Refused(reason=f"solver late: not ready within {deadline_s:g} s")
                async with asyncio.timeout(deadline_s + self._grace_s):
                    content = partial(problem_bytes, problem, deadline_s=deadline_s, warm=warm, gap_ratio=gap_ratio)
                    return await asyncio.to_thread(_asked, self._process, content)
            except TimeoutError:
                await self._replace()
                return Refused(reason=f"solver late: no answer within {deadline_s:g} s, killed")
            except OSError:
                await self._replace()
                return Refused(reason="solver died")
            except asyncio.CancelledError:
                self._kill()
                raise

    async def close(self) -> None:
        """End the child."""
        self._kill()
        process, greeting = self._process, self._greeting
        self._process = self._greeting = None
        if greeting is not None:
            await asyncio.wait({greeting})
            greeting.exception()
        if process is not None:
            await asyncio.to_thread(_reaped, process)

    async def _said_ready(self, patience_s: float) -> bool:
        """Wait for a child that has just started; one that compiles its kernels for the first time is not killed."""
        await self.start()
        if self._greeting is None:
            return False
        await asyncio.wait({self._greeting}, timeout=patience_s)
        if self._greeting.done():
            self._greeting.result()
            return True
        self._patience -= 1
        if not self._patience:
            await self._replace()
        return False

    async def _replace(self) -> None:
        await self.close()
        await self.start()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def _asked(process: Popen[bytes] | None, content: Callable[[], bytes]) -> Solution | Refused:
    if process is None or process.stdin is None:
        return Refused(reason="solver not started")
    process.stdin.write(frame(PROBLEM, content()))
    process.stdin.flush()
    kind, payload = _read(process, SOLUTION, ERROR)
    return solution_from(payload) if kind == SOLUTION else Refused(reason=payload.decode())


def _read(process: Popen[bytes], *expected: bytes) -> tuple[bytes, bytes]:
    """Return a frame; raises OSError where the child ends first or sends another kind."""
    if process.stdout is None:
        raise OSError("no pipe")
    header = process.stdout.read(HEADER_BYTES)
    length = int.from_bytes(header[1:], "big")
    payload = process.stdout.read(length)
    if header[:1] not in expected or len(header) < HEADER_BYTES or len(payload) < length:
        raise OSError(f"expected a frame of kind {expected}, got {header[:1]!r}")
    return header[:1], payload


def _reaped(process: Popen[bytes]) -> None:
    """Wait for a process that was killed and close its pipes."""
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # What a dead child did not read is lost with it.
            with contextlib.suppress(OSError):
                pipe.close()
