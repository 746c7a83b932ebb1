"""One compiler of a kernel on a machine: other processes that need it meanwhile wait, and load its machine code."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

_held: set[Path] = set()
"""Locks of this process; read and changed under numba's lock."""


def compile_once(dispatcher: Any, lock: Path) -> None:  # noqa: ANN401 - numba's dispatcher has no type of its own
    """Let ``dispatcher`` compile only while this process alone holds ``lock``, a file that is made when it is needed.

    On a cold cache several processes of ours start at the same time and need the same kernels. Whoever comes second
    finds the machine code in the cache once it has the lock. numba's own lock is taken first, so that two threads of
    one process never wait for each other; callers wait for callees and never the other way.
    """
    compile_signature = dispatcher.compile

    def compiled(signature: Any) -> Any:  # noqa: ANN401 - numba's
        with global_compiler_lock, _holding(lock):
            return compile_signature(signature)

    dispatcher.compile = compiled


@contextmanager
def _holding(lock: Path) -> Iterator[None]:
    if lock in _held:  # a kernel that calls itself
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:  # released when it is closed, also by death
        fcntl.flock(file, fcntl.LOCK_EX)
        _held.add(lock)
        try:
            yield
        finally:
            _held.discard(lock)
