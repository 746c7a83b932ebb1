"""The solver in a child process: killed when late, replaced before the next plan."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass

from optimizer.problem import Problem
from optimizer.solution import Solution
from optimizer.wire import ERROR, HEADER_BYTES, PROBLEM, READY, SOLUTION, frame, problem_bytes, solution_from

_COMMAND = (sys.executable, "-m", "optimizer.worker")


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
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the child if none runs; its imports take a second or two, so call this before the first plan."""
        if self._process is None or self._process.returncode is not None:
            self._ready = False
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)

    async def solve(self, problem: Problem, *, deadline_s: float) -> Solution | Refused:
        """Return the solution, or why there is none, within ``deadline_s`` wall seconds and the grace."""
        async with self._lock:
            try:
                async with asyncio.timeout(deadline_s + self._grace_s):
                    return await self._asked(problem, deadline_s)
            except TimeoutError:
                await self._replace()
                return Refused(reason=f"solver late: no answer within {deadline_s:g} s, killed")
            except (OSError, asyncio.IncompleteReadError):
                await self._replace()
                return Refused(reason="solver died")
            except asyncio.CancelledError:
                self._kill()
                raise

    async def close(self) -> None:
        """End the child."""
        self._kill()
        if self._process is not None:
            await self._process.wait()
            self._process = None

    async def _asked(self, problem: Problem, deadline_s: float) -> Solution | Refused:
        await self.start()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return Refused(reason="solver not started")
        if not self._ready:
            await _read(process.stdout, READY)
            self._ready = True
        process.stdin.write(frame(PROBLEM, problem_bytes(problem, deadline_s=deadline_s)))
        await process.stdin.drain()
        kind, payload = await _read(process.stdout, SOLUTION, ERROR)
        return solution_from(payload) if kind == SOLUTION else Refused(reason=payload.decode())

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
