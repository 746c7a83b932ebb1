"""Compilation of numeric kernels, with the types kept and the cache honest.

numba's decorator returns its own dispatcher type, or an untyped one in older releases. This is the only place that
knows; a kernel decorated with this one keeps its own signature for its callers.

numba caches machine code by the file of the kernel alone: a kernel that calls another one from another file keeps the
old code of that one after it was changed. So the kernels of a room, a folder directly below a top-level package with
all that it holds, are cached under a digest of all of them and of the rooms they import from: whenever one changes, all
that may call it are compiled afresh. (Constants of modules without kernels are not covered.)
"""

import hashlib
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from numerics.one_compiler import compile_once

Kernel = TypeVar("Kernel", bound=Callable[..., object])

_IMPORTED = re.compile(rb"^from ([\w.]+) import ", re.MULTILINE)


def njit(
    *, cache: bool = True, nogil: bool = True, fastmath: bool = False, inline: bool = False, fused: bool = False
) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles a function of arrays and scalars to machine code on its first call.

    Args:
        cache: Keep the machine code on disk, so that the next process need not compile.
        nogil: Release the interpreter lock while the kernel runs, so that threads can share the work.
        fastmath: Allow reordering of floating-point sums; NaN and infinity must not be inputs then.
        inline: Copy the body into its callers before they are compiled.
        fused: Make its machine code part of its callers', for a kernel that is called often with many arrays: handing
            them over costs more than its work.
    """

    def compiled(kernel: Kernel) -> Kernel:
        compiler = numba.njit(
            cache=cache,
            nogil=nogil,
            fastmath=fastmath,
            inline="always" if inline else "never",
            forceinline=fused,
        )
        settings: Any = numba.config
        before = settings.CACHE_DIR
        settings.CACHE_DIR = before or _cache_folder(Path(kernel.__code__.co_filename).parent)
        try:
            dispatcher = compiler(kernel)
        finally:
            settings.CACHE_DIR = before
        compile_once(dispatcher)
        return cast("Kernel", dispatcher)

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
    """Return the digest of all modules with kernels of a room and of the rooms that these import from, and so on."""
    root = room.parent.parent if (room.parent / "__init__.py").exists() else room.parent
    digest, rooms = hashlib.sha256(), [room]
    for reached in rooms:
        for source, content in _with_kernels(reached):
            digest.update(source.relative_to(root).as_posix().encode())
            digest.update(content)
            for name in _IMPORTED.findall(content):
                module = root.joinpath(*name.decode().split("."))
                folder = module if module.is_dir() else module.parent
                if folder != root and folder.is_dir() and _room(folder) not in rooms:
                    rooms.append(_room(folder))
    return digest.hexdigest()[:16]


@lru_cache
def _with_kernels(room: Path) -> tuple[tuple[Path, bytes], ...]:
    """Return the modules with kernels of a room, in order, and what they hold."""
    sources = ((source, source.read_bytes()) for source in sorted(room.rglob("*.py")))
    return tuple((source, content) for source, content in sources if b"njit" in content)
