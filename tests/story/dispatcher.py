"""A dispatcher's program over HTTP, and what a simulated fleet holds against a service after its request."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.patience import PATIENCE_WALL_S
from tests.story.fast_time import FastTime
from tests.story.processes import last_words, wait_until
from vpp.bootstrap.store import Store
from vpp.dispatch.commands.journal_codec import SENT, sent_from
from vpp.domain.request import RequestState
from vpp.lab.compose.fleet import commands_file, judge_truth
from vpp.lab.compose.nats_server import NatsServer
from vpp.lab.compose.subprocesses import free_block
from vpp.record.entry import JournalEntry

START_AT = datetime(2026, 7, 15, 12, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
LEAD = timedelta(minutes=18)
"""Intraday requests need a quarter of an hour of notice, and the wall takes its time to ask twice."""

_LIMITED = "vpp_limits_not_restored"


class Dispatcher:
    """Talks to the service as a dispatcher's program would.

    Args:
        address: Host and port of the service.
        fleet: Devices that will connect, by kind.
        hold: How long its request holds.
        share: How much it asks for, of what can be had.
    """

    def __init__(self, address: str, *, fleet: Mapping[str, int], hold: timedelta, share: float) -> None:
        self.client = httpx.Client(base_url=f"http://{address}", timeout=PATIENCE_WALL_S, trust_env=False)
        self._devices = sum(fleet.values())
        self._hold = hold
        self._share = share

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what the service shows."""
        return self.client.get(f"/api/v1{path}").raise_for_status().json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return what the service answers."""
        return self.client.post(f"/api/v1{path}", json=body).raise_for_status().json()

    def metric(self, name: str) -> float:
        """Return a metric with its labels, 0 for one that is not there."""
        lines = self.client.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def sees(self, check: Callable[[], bool]) -> Callable[[], bool]:
        """Return a check that is false while nobody answers, or only a standby that has read nothing yet."""

        def answered() -> bool:
            try:
                return check()
            except httpx.TransportError:
                return False
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    raise
                return False

        return answered

    def leads(self) -> bool:
        """Return whether the service leads: one started after a killed leader stands by until the lease has ended."""
        return bool(self.client.get("/readyz").json()["role"] == "leader")

    def is_ready(self) -> bool:
        """Return whether there is a plan and nearly all devices are connected."""
        return self.client.get("/readyz").is_success and self.connected() >= 0.95 * self._devices

    def connected(self) -> int:
        """Return how many devices are connected."""
        return int(self.get("/fleet")["connected"])

    def all_there(self) -> bool:
        """Return whether nearly all devices are: a few may be away for reasons of their own."""
        return self.connected() >= 0.98 * self._devices

    def shares(self) -> dict[str, int]:
        """Return connected devices by the gateway that holds them, from their cards."""
        counts: dict[str, int] = {}
        for resource in self.get("/resources?limit=1000&connected=true")["items"][::4]:
            card = self.get(f"/resources/{resource['id']}")["card"]
            if "gateway" in card:
                counts[card["gateway"]] = counts.get(card["gateway"], 0) + 1
        return counts

    def order(self, clock: FastTime) -> Any:  # noqa: ANN401 - JSON
        """Ask for a share of what can be had, and accept the quote.

        What is asked first is left: where no kernel is in the cache yet, it is answered once they are compiled.
        """
        self.post("/requests", self._draft(clock))
        draft = self._draft(clock)
        most_kw = min(self.post("/requests", draft)["quote"]["deliverable_kw"]["p50"])
        asked = self.post("/requests", draft | {"target_kw": round(self._share * most_kw)})
        return self.post(f"/requests/{asked['id']}/accept", {})

    def into_the_hold(self, clock: FastTime, *, after_s: float, log: Path) -> Any:  # noqa: ANN401 - JSON
        """Return a request of ours ``after_s`` seconds after its start, which is in its hold."""
        request = self.order(clock)
        start_s = datetime.fromisoformat(request["start_at"]).timestamp()
        wait_until(lambda: clock.now_s() > start_s + after_s)
        assert self.get(f"/requests/{request['id']}")["state"] == RequestState.HOLDING, last_words(log)
        return request

    def _draft(self, clock: FastTime) -> dict[str, Any]:
        """Return a request for more than there is, as soon as may be."""
        earliest_s = (clock.now() + LEAD).timestamp()
        start_at = datetime.fromtimestamp(-(-earliest_s // 900.0) * 900.0, START_AT.tzinfo)
        return {
            "product": "peak_shaving",
            "direction": "up",
            "target_kw": 1e6,
            "area": "city",
            "start_at": start_at.isoformat(),
            "end_at": (start_at + self._hold).isoformat(),
            "notice_class": "intraday",
        }

    def settled(self, request_id: str, *, log: Path) -> list[str]:
        """Return the states a request goes through until it is settled and the service reports every limit restored.

        Fails if it ends otherwise.
        """
        states: list[str] = []

        def over() -> bool:
            state = str(self.get(f"/requests/{request_id}")["state"])
            if state not in states:
                states.append(state)
            return state in {RequestState.SETTLED, RequestState.FAILED, RequestState.ABORTED}

        wait_until(self.sees(over))
        assert states[-1] == RequestState.SETTLED, last_words(log)
        # A device that refused or was away at the release keeps its limit until its lease ends, settled or not.
        wait_until(self.sees(lambda: self.metric(_LIMITED) == 0.0))
        return states


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What is left after a request, by all who were part of it.

    Attributes:
        states: States the request was seen in.
        ledger: Commands as the service counts them.
        taken: How often a device took each command id.
        verdict: Of the fleet.
        journal: Of the service.
    """

    states: list[str]
    ledger: Mapping[str, int]
    taken: dict[int, int]
    verdict: dict[str, float]
    journal: list[JournalEntry]

    @property
    def written(self) -> set[int]:
        """Ids of the commands in the journal."""
        return {i for entry in self.journal if entry.kind == SENT for i in sent_from(entry.body).ids.tolist()}

    def check_commands(self) -> None:
        """Check that no device applied a command twice, and that none is unaccounted for."""
        assert self.taken
        assert {i for i, count in self.taken.items() if count > 1} == set()
        assert set(self.taken) <= self.written
        assert self.ledger["unaccounted"] == 0, self.ledger

    def check_devices(self) -> None:
        """Check that limits are restored and promises kept."""
        nothing = ("limits_not_restored", "promises_broken", "cap_violations")
        assert {name: self.verdict[name] for name in nothing} == dict.fromkeys(nothing, 0)


def journal_in(folder: Path, url: str | None = None) -> list[JournalEntry]:
    """Return the journal of a service as it stands, by its data folder and, if it has another one, its database."""
    if url is None:
        store = Store.open(f"sqlite:///{folder / 'vpp.sqlite3'}")
    else:
        store = Store.open(url, archive=folder / "record")
    journal = list(store.journal.entries())
    store.close()
    return journal


SOON_OVER: Mapping[str, object] = {
    "SAMPLE_S": 30,
    "CALL_TIMEOUT_S": 120,
    "RELEASE_MINUTES": 5,
    "REBOUND_WATCH_MINUTES": 5,
}
"""Settings of programs whose request is soon over after its hold."""


def fleet_flags(fleet: Mapping[str, int], truth: Path) -> list[object]:
    """Return arguments of ``vpp fleet`` for these devices, which writes at its end what really happened."""
    counts = [flag for name, count in fleet.items() for flag in (f"--{name}", count)]
    return [*counts, "--modbus-port", free_block(2), "--truth", truth]


def taken_by_devices(truth: Path) -> dict[int, int]:
    """Return how often a device took each command id; one refused in one unit may be asked again in another."""
    devices = json.loads(commands_file(truth).read_text())
    return {int(identity): count for counts in devices.values() for identity, count in counts.items()}


def verdict_on(truth: Path, request: Mapping[str, Any]) -> dict[str, float]:
    """Return what the fleet says of an accepted request."""
    return judge_truth(
        truth,
        start_at=datetime.fromisoformat(request["start_at"]),
        end_at=datetime.fromisoformat(request["end_at"]),
        target_kw=request["accepted_kw"],
    )


class Nats:
    """A NATS server that can be killed and started again on its port, for tests without an event loop."""

    def __init__(self, directory: Path, runner: asyncio.Runner) -> None:
        self._server = NatsServer(directory)
        self._runner = runner

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.url

    def start(self) -> None:
        """Start it."""
        self._runner.run(self._server.start())

    def kill(self) -> None:
        """Kill it, without a word to its clients."""
        self._runner.run(self._server.stop(kill=True))


@contextmanager
def nats(directory: Path) -> Iterator[Nats]:
    """Run a NATS server as long as the context is open."""
    with asyncio.Runner() as runner:
        server = Nats(directory, runner)
        server.start()
        try:
            yield server
        finally:
            server.kill()
