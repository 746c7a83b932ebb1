"""Compilation of numeric kernels, with the types kept and the cache honest.

numba's decorator returns its own dispatcher type, or an untyped one in older releases. This is the only place that
knows; a kernel decorated with this one keeps its own signature for its callers.

numba caches machine code by the file of the kernel alone: a kernel that calls another one from another file keeps the
old code of that one after it was changed. So each folder's kernels are cached under a digest of all of them: whenever
one changes, all of its folder are compiled afresh. (Kernels that call another folder's are not covered.)
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
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        content = source.read_bytes()
        if b"njit" in content:
            digest.update(source.name.encode())
            digest.update(content)
    home = folder / "__pycache__"
    if not os.access(home if home.exists() else folder, os.W_OK):
        return ""
    return str(home / f"kernels-{digest.hexdigest()[:16]}")
