"""Compilation of numeric kernels, with the types kept.

numba's decorator returns its own dispatcher type, or an untyped one in older releases. This is the only place that
knows; a kernel decorated with this one keeps its own signature for its callers.
"""

from collections.abc import Callable
from typing import TypeVar, cast

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
        return cast("Kernel", compiler(kernel))

    return compiled
