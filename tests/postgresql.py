"""A PostgreSQL server of the machine's own package, with databases for tests."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.patience import PATIENCE_WALL_S
from vpp.lab.compose.subprocesses import free_ports
from vpp.storage.sql import open_database

_ROLE = "vpp"
_DEBIAN = Path("/usr/lib/postgresql")
_POLL_WALL_S = 0.1


class PostgresServer:
    """One server on a free port, which can be killed and started again.

    Args:
        folder: Of its data; it belongs to whom the server runs as.
        user: Whom the server runs as, ``None`` for whoever runs the tests.
    """

    def __init__(self, folder: Path, user: str | None) -> None:
        self._folder, self._user = folder, user
        (self._port,) = free_ports(1)
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(folder / "data"), "-U", _ROLE, "--auth=trust", "-E", "UTF8", "--locale=C")
        self.start()
        # Most tests begin with the schema of this version: it is migrated to once and copied from then on.
        self._template = self._created("template0")
        open_database(self._template).dispose()

    def start(self) -> None:
        """Start it; returns once it answers."""
        options = ("-k", str(self._folder), "-h", "127.0.0.1", "-p", str(self._port))
        self._process = subprocess.Popen(  # noqa: S603 - found by us
            [_program("postgres"), "-D", str(self._folder / "data"), *options], **self._as_user()
        )
        deadline = time.monotonic() + PATIENCE_WALL_S
        while not self._answers():
            assert self._process.poll() is None, "PostgreSQL did not start"
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(_POLL_WALL_S)

    def stop(self) -> None:
        """End it at once; its clients lose their connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)  # without a checkpoint, as after a failure of power
        self._process.wait(PATIENCE_WALL_S)

    def new_url(self, *, migrated: bool = True, encoding: str = "UTF8") -> str:
        """Return the URL of a new database, with the schema of this version, or empty as in another encoding."""
        made = migrated and encoding == "UTF8"
        return self._created(sa.make_url(self._template).database or "" if made else "template0", encoding)

    def _created(self, template: str, encoding: str = "UTF8") -> str:
        name = f"test_{next(self._numbers)}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING {encoding}")
        engine.dispose()
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://{_ROLE}@127.0.0.1:{self._port}/{database}"

    def _answers(self) -> bool:
        engine = sa.create_engine(self._url("postgres"))
        try:
            with engine.connect():
                return True
        except sa.exc.OperationalError:
            return False
        finally:
            engine.dispose()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - found by us
            [_program(program), *arguments], check=False, **{**self._as_user(), "stderr": subprocess.PIPE}
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")

    def _as_user(self) -> dict[str, object]:
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        return {**quiet, "cwd": self._folder, "user": self._user, "group": None if self._user is None else self._user}


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    """Run a server as long as the context is open; skips the test where the machine has none."""
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="vpp-postgresql-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = PostgresServer(folder, user)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str | None:
    """Return whom the server runs as: never root, which it refuses."""
    if shutil.which("postgres") is None and not list(_DEBIAN.glob("*/bin/postgres")):
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user named postgres")


def _program(name: str) -> str:
    found = [*filter(None, [shutil.which(name)]), *sorted(map(str, _DEBIAN.glob(f"*/bin/{name}")), reverse=True)]
    return found[0]
