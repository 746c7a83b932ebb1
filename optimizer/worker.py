"""The solver as a child process: ``python -m optimizer.worker`` reads problems, writes solutions until its input ends.

Frames are those of ``optimizer.wire``. The child says once that it is ready, after its imports.
"""

import os
import sys
from typing import BinaryIO

from optimizer.solve import solve
from optimizer.validation import ProblemError
from optimizer.wire import ERROR, HEADER_BYTES, READY, SOLUTION, frame, problem_from, solution_bytes

_NICENESS = 5
"""The planner may wait, the control loop may not."""


def answer(payload: bytes) -> bytes:
    """Return the frame that answers a problem."""
    try:
        problem, deadline_s = problem_from(payload)
        return frame(SOLUTION, solution_bytes(solve(problem, deadline_s=deadline_s)))
    except ProblemError as error:
        return frame(ERROR, str(error).encode())


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer problems until ``source`` ends."""
    sink.write(frame(READY, b""))
    sink.flush()
    while len(header := source.read(HEADER_BYTES)) == HEADER_BYTES:
        sink.write(answer(source.read(int.from_bytes(header[1:], "big"))))
        sink.flush()


def main() -> None:
    """Serve on the standard streams; whatever a library prints goes to standard error instead."""
    os.nice(_NICENESS)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as sink:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
