"""Several services over one database, as processes: one leads, the others stand by."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENCE_WALL_S
from tests.story.dispatcher import journal_in
from tests.story.processes import environment, running, wait_until
from vpp.bootstrap.parts.restoration import STARTED
from vpp.lab.compose.subprocesses import free_ports
from vpp.record.entry import JournalEntry

TTL_WALL_S = 5.0
"""Longer than in operation: the machine may have other work."""


class Services:
    """Several services over one database, each at addresses of its own unless they share that of the stations.

    Args:
        folder: Of the database and the logs.
        settings: Of every service.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.env = environment(folder, **{"LEADER_TTL_WALL_S": TTL_WALL_S} | settings)
        self._stack = ExitStack()

    def serve(self, name: str, *flags: str, ocpp: str | None = None) -> "Service":
        """Begin a service and return it once it answers; ``ocpp`` is where it takes stations."""
        http, free = free_ports(2)
        env = self.env | {"VPP_HTTP": f"127.0.0.1:{http}", "VPP_OCPP": ocpp or f"127.0.0.1:{free}"}
        log = self.folder / f"{name}.log"
        process = self._stack.enter_context(running("serve", *flags, env=env, log=log))
        service = Service(env["VPP_HTTP"], process, log)
        wait_until(lambda: service.role() != "")
        return service

    def entries(self) -> list[JournalEntry]:
        """Return the journal as it stands."""
        return journal_in(self.folder, self.env.get("VPP_DB_URL"))

    def close(self) -> None:
        """End what still runs."""
        self._stack.close()


@dataclass
class Service:
    """One service."""

    http: str
    process: subprocess.Popen[bytes]
    log: Path

    def role(self) -> str:
        """Return leader or standby; empty while it does not answer."""
        try:
            answer = httpx.get(f"http://{self.http}/readyz", timeout=PATIENCE_WALL_S, trust_env=False)
        except httpx.TransportError:
            return ""
        return str(answer.json()["role"])

    def metric(self, name: str) -> float:
        """Return a metric without labels."""
        lines = httpx.get(f"http://{self.http}/metrics", timeout=PATIENCE_WALL_S, trust_env=False).text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def leads(self) -> bool:
        """Return whether it says that it leads."""
        return self.role() == "leader"


@contextmanager
def services(folder: Path, **settings: object) -> Iterator[Services]:
    made = Services(folder, **settings)
    try:
        yield made
    finally:
        made.close()


def epochs(entries: Sequence[JournalEntry]) -> list[Any]:
    return [entry.body["epoch"] for entry in entries if entry.kind == STARTED]


def is_clean(log: Path) -> bool:
    return "Traceback" not in log.read_text(errors="replace")
