"""``vpp`` commands as child processes: a log each, checked while they run, ended in order."""

import asyncio
import random
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from vpp.config import Settings
from vpp.domain.errors import ConfigurationError

_GRACE_WALL_S = 20.0
_TAIL_BYTES = 4000
_FIRST_PORT = 15020
_LAST_PORT = 32000
"""Above it systems assign the ports of outgoing connections, of which a fleet opens thousands."""


def folders_of_a_plant(folder: Path) -> Mapping[str, str]:
    """Return the settings that keep everything a service writes in one folder, its anchor apart from its data."""
    return {
        "VPP_DATA_DIR": str(folder / "data"),
        "VPP_RECORD_KEY": str(folder / "record" / "record.key"),
        "VPP_RECORD_HEADS": str(folder / "record" / "heads"),
    }


def settings_of_a_plant(folder: Path) -> Settings:
    """Return settings with which this process finds what the services of such a folder keep."""
    record = folder / "record"
    return Settings.load(data_dir=folder / "data", record_key=record / "record.key", record_heads=record / "heads")


class Child:
    """One ``vpp`` command that runs as a process of its own.

    Attributes:
        name: The command.
        log: File of its output.
    """

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, command: str, *flags: object, environment: Mapping[str, str], log: Path) -> Self:
        """Start ``vpp command flags`` with its output appended to ``log``."""
        with log.open("ab") as stream:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vpp.cli", command, *map(str, flags)),
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # Ctrl-C is for us; children end in the order we end them
            )
        return cls(command, log, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Check that it runs.

        Raises:
            ConfigurationError: It has ended; the message has the last line of its output and names the log.
        """
        code = self._process.returncode
        if code is not None:
            raise ConfigurationError(f"vpp {self.name} ended with code {code}: {self._last_line()}; see {self.log}")

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Return its exit code once it has ended, minus the signal's number where one ended it."""
        return await self._process.wait()

    async def end(self) -> None:
        """Terminate it and wait; kill it if it does not end in time, or if the wait is cancelled."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_GRACE_WALL_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        except asyncio.CancelledError:
            self._process.kill()
            raise

    def _last_line(self) -> str:
        lines = self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1].removeprefix("vpp: ") if said else "it said nothing"


def free_ports(count: int) -> list[int]:
    """Return ``count`` ports that are free now, of those that no connection made meanwhile is given."""
    first = free_block(count)
    return list(range(first, first + count))


def free_block(count: int) -> int:
    """Return the first of ``count`` neighbouring free ports outside the system's own range.

    The search begins at a random port, so that two searches at the same time find different blocks.

    Raises:
        ConfigurationError: There is no such block.
    """
    begin = random.randrange(_FIRST_PORT, max(_LAST_PORT - count, _FIRST_PORT) + 1)  # noqa: S311 - no secret
    found = _first_block(begin, _LAST_PORT, count) or _first_block(_FIRST_PORT, begin + count, count)
    if found is None:
        raise ConfigurationError(f"no {count} neighbouring ports are free from {_FIRST_PORT} to {_LAST_PORT}")
    return found


def _first_block(first: int, last: int, count: int) -> int | None:
    """Return the first of ``count`` neighbouring free ports below ``last``, ``None`` where there is none."""
    while first + count <= last:
        taken = next((port for port in range(first, first + count) if not _is_free(port)), None)
        if taken is None:
            return first
        first = taken + 1
    return None


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
