"""One compiler of a kernel on a machine: other processes that need it meanwhile wait, and load its machine code."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

_held: set[Path] = set()
"""Locks of this process; read and changed under numba's lock."""


def compile_once(dispatcher: Any) -> None:  # noqa: ANN401 - numba's dispatcher has no type of its own
    """Let ``dispatcher`` compile only while no other process does; one without a cache is left as it is.

    On a cold cache several processes of ours start at the same time and need the same kernels. Whoever comes second
    finds the machine code in the cache once it has the lock, a file in that cache. numba's own lock is taken first, so
    that one thread of a process has all that it holds; between processes callers wait for callees and never the other
    way.
    """
    if dispatcher.stats.cache_path is None:
        return
    kernel = dispatcher.py_func
    lock = Path(dispatcher.stats.cache_path) / f"{kernel.__module__}.{kernel.__qualname__}.lock"
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
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _held.add(lock)
        try:
            yield
        finally:
            _held.discard(lock)
            # Closing alone would leave it to a process that was forked meanwhile; death gives it back too.
            fcntl.flock(file, fcntl.LOCK_UN)
