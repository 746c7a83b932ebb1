"""The solver as a child process: ``python -m optimizer.worker`` reads problems, writes solutions until its input ends.

Frames are those of ``optimizer.wire``. The child reports once that it is ready, after its imports and its warm-up.
"""

import os
import sys
from pathlib import Path
from typing import BinaryIO

from optimizer.decomposition.warmup import warm_up
from optimizer.heap import keep_freed_memory
from optimizer.problem.validation import ProblemError
from optimizer.solve import solve
from optimizer.wire import ERROR, HEADER_BYTES, READY, SOLUTION, Buffer, frame, problem_from, solution_bytes

_NICENESS = 5
"""The planner may wait, the control loop may not."""


def answer(payload: Buffer) -> bytes:
    """Return the frame that answers a problem."""
    try:
        problem, asked = problem_from(payload)
        return frame(SOLUTION, solution_bytes(solve(problem, **asked)))
    except ProblemError as error:
        return frame(ERROR, str(error).encode())


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer problems until ``source`` ends."""
    sink.write(frame(READY, b""))
    sink.flush()
    while len(header := source.read(HEADER_BYTES)) == HEADER_BYTES:
        # Arrays are views of this buffer, and compiled code wants arrays it could write to.
        payload = bytearray(int.from_bytes(header[1:], "big"))
        if not _filled(source, payload):
            break
        sink.write(answer(payload))
        sink.flush()


def serve_while_asked(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer problems until ``source`` ends or nobody reads ``sink`` any more: whoever asked was killed."""
    try:
        serve(source, sink)
    except BrokenPipeError:
        # What is left in the buffer would be written again, to the same broken pipe, when it is closed.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sink.fileno())


def _filled(source: BinaryIO, payload: bytearray) -> bool:
    """Read until ``payload`` is full; return whether it is."""
    view, count = memoryview(payload), 0
    while count < len(payload):
        read = source.readinto(view[count:])  # type: ignore[attr-defined]  # typeshed's BinaryIO lacks it
        if not read:
            return False
        count += read
    return True


def main() -> None:
    """Serve on the standard streams; whatever a library prints goes to standard error instead."""
    os.nice(_NICENESS)
    keep_freed_memory()
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as sink:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        warm_up()
        serve_while_asked(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
