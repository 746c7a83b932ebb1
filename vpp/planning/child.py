"""The solver in a child process: killed when late, replaced before the next plan."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass

from optimizer.problem import Problem
from optimizer.solution import Solution, Warm
from optimizer.wire import ERROR, HEADER_BYTES, PROBLEM, READY, SOLUTION, frame, problem_bytes, solution_from

_COMMAND = (sys.executable, "-m", "optimizer.worker")
_PATIENCE = 10
"""Problems that a starting child may leave unanswered before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No solution, and why; ordinary life."""

    reason: str


class SolverChild:
    """One child that solves one problem at a time.

    Args:
        command: What to start; anything that speaks the frames of ``optimizer.wire``.
        grace_s: Wall seconds beyond the solver's own time limit before it is killed.
    """

    def __init__(self, *, command: tuple[str, ...] = _COMMAND, grace_s: float = 1.0) -> None:
        self._command = command
        self._grace_s = grace_s
        self._process: Process | None = None
        self._ready = False
        self._patience = _PATIENCE
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the child if none runs; its imports take a second or two, so call this before the first plan."""
        if self._process is None or self._process.returncode is not None:
            self._ready, self._patience = False, _PATIENCE
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)

    async def ready(self, *, patience_s: float) -> bool:
        """Start the child and wait until it can solve; return whether it can.

        The first start after an installation or an update compiles the kernels, which takes up to a minute.
        """
        async with self._lock:
            try:
                return await self._said_ready(patience_s)
            except (OSError, asyncio.IncompleteReadError):
                return False

    async def solve(self, problem: Problem, *, deadline_s: float, warm: Warm | None = None) -> Solution | Refused:
        """Return the solution, or why there is none, within ``deadline_s`` wall seconds and the grace.

        Args:
            problem: What is to be solved.
            deadline_s: Wall seconds.
            warm: Where to start from; ignored where it does not fit.
        """
        async with self._lock:
            try:
                if not await self._said_ready(deadline_s + self._grace_s):
                    return Refused(reason=f"solver late: not ready within {deadline_s:g} s")
                async with asyncio.timeout(deadline_s + self._grace_s):
                    return await self._asked(problem, deadline_s, warm)
            except TimeoutError:
                await self._replace()
                return Refused(reason=f"solver late: no answer within {deadline_s:g} s, killed")
            except (OSError, asyncio.IncompleteReadError):
                await self._replace()
                return Refused(reason="solver died")
            except asyncio.CancelledError:
                self._kill()
                raise

    async def _said_ready(self, patience_s: float) -> bool:
        """Wait for a child that has just started; one that compiles its kernels for the first time is not killed."""
        await self.start()
        if self._ready:
            return True
        process = self._process
        if process is None or process.stdout is None:
            return False
        try:
            async with asyncio.timeout(patience_s):
                await _read(process.stdout, READY)
        except TimeoutError:
            self._patience -= 1
            if not self._patience:
                await self._replace()
            return False
        self._ready = True
        return True

    async def close(self) -> None:
        """End the child."""
        self._kill()
        if self._process is not None:
            await self._process.wait()
            self._process = None

    async def _asked(self, problem: Problem, deadline_s: float, warm: Warm | None) -> Solution | Refused:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return Refused(reason="solver not started")
        payload = await asyncio.to_thread(problem_bytes, problem, deadline_s=deadline_s, warm=warm)
        process.stdin.write(frame(PROBLEM, payload))
        await process.stdin.drain()
        kind, payload = await _read(process.stdout, SOLUTION, ERROR)
        return await asyncio.to_thread(solution_from, payload) if kind == SOLUTION else Refused(reason=payload.decode())

    async def _replace(self) -> None:
        await self.close()
        await self.start()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


async def _read(stream: asyncio.StreamReader, *expected: bytes) -> tuple[bytes, bytes]:
    header = await stream.readexactly(HEADER_BYTES)
    payload = await stream.readexactly(int.from_bytes(header[1:], "big"))
    if header[:1] not in expected:
        raise OSError(f"expected a frame of kind {expected}, got {header[:1]!r}")
    return header[:1], payload
