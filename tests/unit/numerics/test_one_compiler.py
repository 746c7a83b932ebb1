"""Processes that need a kernel at the same time: one compiles it, the others load what it made."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

from numerics.one_compiler import compile_once
from tests.patience import PATIENCE_WALL_S
from tests.places import ROOT

KERNEL = """
from numerics.jit import njit

@njit()
def third(x):
    return x / 3.0

@njit()
def ninth(x):
    return third(third(x))
"""
CALL = "import kernels; print(kernels.ninth(9.0), sum(kernels.ninth.stats.cache_misses.values()))"


class Dispatcher:
    """A dispatcher whose compilation the test can see."""

    def __init__(self, compile_signature: Callable[[Any], Any]) -> None:
        self.compile = compile_signature


def test_of_several_processes_one_compiles(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(KERNEL)
    places = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; "
    command = [sys.executable, "-c", places + CALL]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]  # noqa: S603 - our own
    said = [process.communicate(timeout=PATIENCE_WALL_S)[0].split() for process in started]
    assert [value for value, _ in said] == ["1.0"] * 3
    assert sorted(misses for _, misses in said) == ["0", "0", "1"]


def test_a_kernel_that_does_not_compile_blocks_nobody(tmp_path: Path) -> None:
    def broken(_: object) -> None:
        raise TypeError

    one, other = Dispatcher(broken), Dispatcher(str)
    for dispatcher in (one, other):
        compile_once(dispatcher, tmp_path / "made" / "kernel.lock")
    for _ in range(2):
        try:
            one.compile("f8")
        except TypeError:
            assert other.compile("f8") == "f8"


def test_a_kernel_may_need_itself(tmp_path: Path) -> None:
    dispatcher = Dispatcher(lambda signature: signature if signature == "i8" else dispatcher.compile("i8"))
    compile_once(dispatcher, tmp_path / "kernel.lock")
    assert dispatcher.compile("f8") == "i8"


def test_threads_of_one_process_do_not_wait_for_each_other(tmp_path: Path) -> None:
    callee = Dispatcher(str)
    compile_once(callee, tmp_path / "callee.lock")
    answered: list[str] = []
    thread = threading.Thread(target=lambda: answered.append(callee.compile("f8")))
    with global_compiler_lock:  # as one that compiles the caller has it
        thread.start()
        assert callee.compile("i8") == "i8"
    thread.join(PATIENCE_WALL_S)
    assert answered == ["f8"]
