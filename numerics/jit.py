"""Compilation of numeric kernels, with the types kept and the cache honest.

numba's decorator returns its own dispatcher type, or an untyped one in older releases. This is the only place that
knows; a kernel decorated with this one keeps its own signature for its callers.

numba caches machine code by the file of the kernel alone: a kernel that calls another one from another file keeps the
old code of that one after it was changed. So the kernels of a room, a folder directly below a top-level package with
all that it holds, are cached under a digest of all of them: whenever one changes, all of its room are compiled afresh.
(Kernels that call those of another room than this folder are not covered.)
"""

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def njit(
    *, cache: bool = True, nogil: bool = True, fastmath: bool = False, inline: bool = False
) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles a function of arrays and scalars to machine code on its first call.

    Args:
        cache: Keep the machine code on disk, so that the next process need not compile.
        nogil: Release the interpreter lock while the kernel runs, so that threads can share the work.
        fastmath: Allow reordering of floating-point sums; NaN and infinity must not be inputs then.
        inline: Copy the body into its callers.
    """

    def compiled(kernel: Kernel) -> Kernel:
        compiler = numba.njit(cache=cache, nogil=nogil, fastmath=fastmath, inline="always" if inline else "never")
        settings: Any = numba.config
        before = settings.CACHE_DIR
        settings.CACHE_DIR = before or _cache_folder(Path(kernel.__code__.co_filename).parent)
        try:
            return cast("Kernel", compiler(kernel))
        finally:
            settings.CACHE_DIR = before

    return compiled


@lru_cache
def _cache_folder(folder: Path) -> str:
    """Return where the kernels of ``folder`` are cached; empty, numba's own choice, where nothing can be written."""
    home = folder / "__pycache__"
    if not os.access(home if home.exists() else folder, os.W_OK):
        return ""
    return str(home / f"kernels-{_digest(_room(folder))}")


def _room(folder: Path) -> Path:
    """Return the folder directly below the top-level package that ``folder`` lies in."""
    while (folder.parent.parent / "__init__.py").exists():
        folder = folder.parent
    return folder


@lru_cache
def _digest(room: Path) -> str:
    """Return the digest of all modules with kernels of a room and of this folder, which any room may call."""
    digest = hashlib.sha256()
    for folder in (room, Path(__file__).parent):
        for source in sorted(folder.rglob("*.py")):
            content = source.read_bytes()
            if b"njit" in content:
                digest.update(source.relative_to(folder).as_posix().encode())
                digest.update(content)
    return digest.hexdigest()[:16]
