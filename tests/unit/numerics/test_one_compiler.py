"""Processes that need a kernel at the same time: one compiles it, the others load what it made."""

import fcntl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
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
    """A dispatcher whose compilation the test can see; like numba's it compiles under numba's lock."""

    def __init__(self, compile_signature: Callable[[object], object], cache: Path | None) -> None:
        self.stats = SimpleNamespace(cache_path=cache)
        self.py_func = compile_signature
        self.steps = SimpleQueue[str]()

    def compile(self, signature: str) -> object:
        """Return what the kernel makes of a signature."""
        self.steps.put("compiles")
        with global_compiler_lock:
            return self.py_func(signature)


def text(signature: object) -> str:
    return str(signature)


@pytest.mark.process
def test_of_several_processes_one_compiles(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(KERNEL)
    places = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; "
    command = [sys.executable, "-c", places + CALL]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]  # noqa: S603 - our own
    said = [process.communicate(timeout=PATIENCE_WALL_S)[0].split() for process in started]
    assert [value for value, _ in said] == ["1.0"] * 3
    assert sorted(misses for _, misses in said) == ["0", "0", "1"]


def test_a_kernel_that_does_not_compile_leaves_its_lock_to_others(tmp_path: Path) -> None:
    def fails(signature: object) -> str:
        if signature == "f8":
            raise TypeError
        return str(signature)

    one, other = Dispatcher(fails, tmp_path / "made"), Dispatcher(fails, tmp_path / "made")
    for dispatcher in (one, other):
        compile_once(dispatcher)
    with pytest.raises(TypeError):
        one.compile("f8")
    assert other.compile("i8") == "i8"
    (lock,) = (tmp_path / "made").iterdir()
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_kernel_may_need_itself(tmp_path: Path) -> None:
    def twice(signature: object) -> object:
        return signature if signature == "i8" else dispatcher.compile("i8")

    dispatcher = Dispatcher(twice, tmp_path)
    compile_once(dispatcher)
    assert dispatcher.compile("f8") == "i8"


def test_a_kernel_without_a_cache_is_left_as_it_is() -> None:
    dispatcher = Dispatcher(text, None)
    compile_once(dispatcher)
    assert "compile" not in vars(dispatcher)


class ToldLock:
    """The lock of numba, before which whoever wants it says so."""

    def __init__(self, steps: "SimpleQueue[str]") -> None:
        self._steps = steps

    def __enter__(self) -> None:
        self._steps.put("waits")
        global_compiler_lock.acquire()

    def __exit__(self, *_: object) -> None:
        global_compiler_lock.release()


def test_a_thread_takes_no_lock_while_another_one_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callee, said = Dispatcher(text, tmp_path / "made"), list[object]()
    compile_once(callee)
    monkeypatch.setattr("numerics.one_compiler.global_compiler_lock", ToldLock(callee.steps))
    other = threading.Thread(target=lambda: said.append(callee.compile("f8")))
    with global_compiler_lock:  # as long as a caller is compiled
        other.start()
        assert callee.steps.get(timeout=PATIENCE_WALL_S) == "waits"
        assert not (tmp_path / "made").exists(), "its lock is the second it takes"
        said.append(callee.compile("i8"))
    other.join(PATIENCE_WALL_S)
    assert said == ["i8", "f8"]
