"""Install the locked packages into a virtual environment, with a bar that moves.

Run by the Makefile with whatever Python there is; needs nothing but the standard library.
"""

import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-compile")
COMPILE = ("-m", "compileall", "-q", "-j", "0")
"""Byte code of all packages, on all cores; pip would do it on one."""
PLAIN_EVERY_S = 15.0
WIDTH = 30


class Bar:
    """A bar with a clock on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = max(total, 1)
        self._began = self._said = time.monotonic()
        self._live = sys.stderr.isatty()
        self._done, self._what = 0, "starting"
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def show(self, done: int, what: str) -> None:
        """Take how far it has come."""
        self._done, self._what = done, what

    def end(self) -> None:
        """Stop, and leave the bar's line."""
        self._ended.set()
        self._ticker.join()
        if self._live:
            sys.stderr.write("\n")

    def _tick(self) -> None:
        while not self._ended.wait(0.5):
            self._draw(time.monotonic())

    def _draw(self, now: float) -> None:
        filled = WIDTH * min(self._done, self._total) // self._total
        line = f"setting up .venv {'#' * filled}{'.' * (WIDTH - filled)} {now - self._began:3.0f} s  {self._what}"
        if self._live:
            sys.stderr.write("\r" + line.ljust(79)[: shutil.get_terminal_size().columns - 1])
        elif now - self._said >= PLAIN_EVERY_S:
            self._said = now
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def main(python: str, lock: Path) -> int:
    """Install everything in ``lock`` with ``python``'s pip; return pip's exit code."""
    total = sum(bool(re.match(r"[A-Za-z0-9].*==", line)) for line in lock.read_text(encoding="utf-8").splitlines())
    bar, fetched, said = Bar(total), 0, []
    command = [python, *PIP, "--require-hashes", "-r", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:  # noqa: S603
        for line in pip.stdout or ():
            said.append(line)
            if line.startswith("Collecting "):
                fetched += 1
                bar.show(fetched, line.split()[1].partition("==")[0])
            elif line.startswith("Installing collected packages"):
                bar.show(total, "unpacking, the longest step")
    if not pip.returncode:
        bar.show(total, "compiling")
        packages = Path(python).parent.with_name("lib")
        # Some packages ship templates that are no Python: what does not compile is left.
        subprocess.run([python, *COMPILE, str(packages)], check=False, capture_output=True)  # noqa: S603
    bar.end()
    if pip.returncode:
        sys.stderr.write("".join(said[-20:]))
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
