"""The program as its users run it: processes of their own, real sockets, signals, exit codes."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.patience import CLEAN_END_WALL_S, PATIENCE_WALL_S
from vpp.lab.compose.subprocesses import free_ports

_POLL_WALL_S = 0.1
_needed: list[subprocess.Popen[bytes]] = []
"""Commands that run beside a test and that nobody has stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """Lines on standard error."""
        return self.err.splitlines()


def environment(directory: Path, **settings: object) -> dict[str, str]:
    """Return an environment with free ports, a data folder of its own and nobody else's settings."""
    http, ocpp = free_ports(2)
    own = {"HTTP": f"127.0.0.1:{http}", "OCPP": f"127.0.0.1:{ocpp}", "DATA_DIR": directory}
    # Beside the data folder, which they guard, and not in the home of whoever runs the tests.
    beside = directory.with_name(f"{directory.name}-record")
    own |= {"RECORD_KEY": beside / "record.key", "RECORD_HEADS": beside / "heads"} | settings
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VPP_")}
    if inherited.pop("PYTHONDONTWRITEBYTECODE", None):
        # Or else every process compiles every module it imports, for five seconds.
        inherited["PYTHONPYCACHEPREFIX"] = _bytecode_folder()
    return inherited | {f"VPP_{name}": str(value) for name, value in own.items()}


def vpp(*arguments: object, env: Mapping[str, str]) -> Ended:
    """Run one command to its end."""
    done = subprocess.run(  # noqa: S603 - our own program
        _command(*arguments), env=dict(env), capture_output=True, text=True, timeout=PATIENCE_WALL_S, check=False
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


@contextmanager
def running(*arguments: object, env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run one command beside the test, which ends it; what is left of it at the end is ended."""
    with (
        log.open("ab") as stream,
        subprocess.Popen(  # noqa: S603 - our own program
            _command(*arguments), env=dict(env), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        ) as process,
    ):
        _needed.append(process)
        try:
            yield process
        finally:
            _forget(process)
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that a failed test has left behind, with its children if it can."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(CLEAN_END_WALL_S)
        except subprocess.TimeoutExpired:
            process.kill()


def stop(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT) -> int:
    """Send a signal and return the exit code; fails if the process does not end in time."""
    _forget(process)
    process.send_signal(number)
    return process.wait(CLEAN_END_WALL_S)


def _forget(process: subprocess.Popen[bytes]) -> None:
    if process in _needed:
        _needed.remove(process)


def last_words(log: Path) -> str:
    """Return the end of a log, for the message of a failed test."""
    return log.read_text(errors="replace")[-2000:]


def children_of(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def wait_until(true: Callable[[], bool]) -> None:
    """Return once a condition on another process holds; fails if it does not in time, or if a command has ended."""
    deadline = time.monotonic() + PATIENCE_WALL_S
    while not true():
        for process in _needed:
            assert process.poll() is None, f"{process.args} has ended with code {process.returncode}"
        assert time.monotonic() < deadline, f"not within {PATIENCE_WALL_S} s"
        time.sleep(_POLL_WALL_S)


@cache
def _bytecode_folder() -> str:
    folder = tempfile.mkdtemp(prefix="vpp-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "vpp.cli", *map(str, arguments)]
