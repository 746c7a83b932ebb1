"""``kill -9`` in the middle of a request: a real service over a real fleet, started again on the same data folder."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from adapters.kit.websocket.server import Listening
from adapters.ocpp.central_system.server import OcppLink
from tests.story.processes import Ended, environment, last_words, running, stop, vpp, wait_until
from vpp.bootstrap.parts.restoration import STARTED
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT
from vpp.domain.fleet import FleetIndex
from vpp.domain.journal import JournalEntry
from vpp.domain.request import RequestState
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.lab.compose.fleet import broker, commands_file, judge_truth
from vpp.lab.compose.subprocesses import free_block
from vpp.lab.twin.population.presets import demo_fleet
from vpp.runtime.clock import SYSTEM_CLOCK, ScaledClock

SPEED = 100.0
START_AT = datetime(2026, 7, 15, 12, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
FLEET = {"stations": 60, "inverters": 10, "batteries": 6, "v2g": 6, "sites": 6}
HOLD = timedelta(minutes=30)
LEAD = timedelta(minutes=18)
KILLED_AFTER_S = 300.0
SETTLED_WALL_S = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What is left after a request that outlived its service.

    Attributes:
        states: States the request was seen in by the second service.
        epochs: What the metrics of both services said.
        taken: How often a device took each command id; one refused in one unit may be asked again in another.
    """

    states: list[str]
    epochs: tuple[float, float]
    ledger: Mapping[str, int]
    taken: dict[int, int]
    verdict: dict[str, float]
    journal: list[JournalEntry]
    audit: Ended
    replay: Ended


class Dispatcher:
    """Talks to the service as a dispatcher's program would."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=f"http://{address}", timeout=30.0, trust_env=False)

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what the service shows."""
        return self.client.get(f"/api/v1{path}").raise_for_status().json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return what the service answers."""
        return self.client.post(f"/api/v1{path}", json=body).raise_for_status().json()

    def epoch(self) -> float:
        """Return the leader epoch out of the metrics."""
        lines = self.client.get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("vpp_leader_epoch "))

    def sees(self, check: Callable[[], bool]) -> Callable[[], bool]:
        """Return a check that is false while nobody answers."""

        def answered() -> bool:
            try:
                return check()
            except httpx.TransportError:
                return False

        return answered

    def is_ready(self) -> bool:
        """Return whether there is a plan and nearly all devices are connected."""
        ready = self.client.get("/readyz").is_success
        return ready and self.get("/fleet")["connected"] >= 0.95 * sum(FLEET.values())

    def order(self, clock: ScaledClock) -> Any:  # noqa: ANN401 - JSON
        """Ask for most of what can be had, and accept the quote."""
        earliest_s = (clock.now() + LEAD).timestamp()
        start_at = datetime.fromtimestamp(-(-earliest_s // 900.0) * 900.0, START_AT.tzinfo)
        draft = {
            "product": "peak_shaving",
            "direction": "up",
            "target_kw": 1e6,
            "area": "city",
            "start_at": start_at.isoformat(),
            "end_at": (start_at + HOLD).isoformat(),
            "notice_class": "intraday",
        }
        most_kw = min(self.post("/requests", draft)["quote"]["deliverable_kw"]["p50"])
        asked = self.post("/requests", draft | {"target_kw": round(0.8 * most_kw)})
        return self.post(f"/requests/{asked['id']}/accept", {})


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Play a request whose service is killed in the hold, and gather what everybody says afterwards."""
    directory = tmp_path_factory.mktemp("killed")
    clock = ScaledClock.starting(START_AT, SPEED)
    with _broker(directory / "broker") as mqtt_url:
        env = environment(
            directory,
            MQTT_URL=mqtt_url,
            CLOCK_SPEED=SPEED,
            CLOCK_ANCHOR_S=clock.anchor_s,
            CLOCK_ANCHOR_WALL_S=clock.anchor_wall_s,
            SAMPLE_S=30,
            CALL_TIMEOUT_S=120,
            RELEASE_MINUTES=5,
            REBOUND_WATCH_MINUTES=5,
        )
        return _play(directory, env, clock)


def _play(directory: Path, env: Mapping[str, str], clock: ScaledClock) -> Aftermath:
    serve_log, fleet_log, truth = directory / "serve.log", directory / "fleet.log", directory / "truth.npz"
    dispatcher = Dispatcher(env["VPP_HTTP"])
    flags: list[object] = [flag for name, count in FLEET.items() for flag in (f"--{name}", count)]
    flags += ["--modbus-port", free_block(2), "--truth", truth]
    with ExitStack() as stack:
        stack.callback(dispatcher.client.close)
        first = stack.enter_context(running("serve", env=env, log=serve_log))
        fleet = stack.enter_context(running("fleet", *flags, env=env, log=fleet_log))
        wait_until(dispatcher.sees(dispatcher.is_ready))
        request = dispatcher.order(clock)
        start_s = datetime.fromisoformat(request["start_at"]).timestamp()
        wait_until(lambda: clock.now_s() > start_s + KILLED_AFTER_S)
        assert dispatcher.get(f"/requests/{request['id']}")["state"] == "holding", last_words(serve_log)
        before = dispatcher.epoch()
        stop(first, signal.SIGKILL, within_s=5.0)

        second = stack.enter_context(running("serve", env=env, log=serve_log))
        states = _watch(dispatcher, request["id"], log=serve_log)
        epochs, ledger = (before, dispatcher.epoch()), dispatcher.get("/commands")
        assert stop(fleet, signal.SIGTERM, within_s=20.0) == 0, last_words(fleet_log)
        assert stop(second, signal.SIGTERM, within_s=20.0) == 0, last_words(serve_log)
    store = Store.open(f"sqlite:///{directory / 'vpp.sqlite3'}")
    journal = list(store.journal.entries())
    store.close()
    taken = json.loads(commands_file(truth).read_text())
    return Aftermath(
        states=states,
        epochs=epochs,
        ledger=ledger,
        taken={int(i): count for counts in taken.values() for i, count in counts.items()},
        verdict=judge_truth(
            truth,
            start_at=datetime.fromisoformat(request["start_at"]),
            end_at=datetime.fromisoformat(request["end_at"]),
            target_kw=request["accepted_kw"],
        ),
        journal=journal,
        audit=vpp("audit", "verify", "--json", env=env),
        replay=vpp("replay", "--json", env=env),
    )


def _watch(dispatcher: Dispatcher, request_id: str, *, log: Path) -> list[str]:
    """Return the states a request goes through until it is over."""
    states: list[str] = []

    def over() -> bool:
        state = str(dispatcher.get(f"/requests/{request_id}")["state"])
        if state not in states:
            states.append(state)
        return state in {RequestState.SETTLED, RequestState.FAILED, RequestState.ABORTED}

    wait_until(dispatcher.sees(over), within_s=SETTLED_WALL_S)
    assert states[-1] == RequestState.SETTLED, last_words(log)
    return states


@contextmanager
def _broker(directory: Path) -> Iterator[str]:
    with asyncio.Runner() as runner:
        context = broker(directory)
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


def test_the_request_goes_on_to_its_settlement(aftermath: Aftermath) -> None:
    assert aftermath.states[0] == RequestState.HOLDING
    assert aftermath.states[-1] == RequestState.SETTLED


def test_the_second_service_is_of_a_later_epoch(aftermath: Aftermath) -> None:
    assert aftermath.epochs[1] > aftermath.epochs[0]
    started = [entry.body["epoch"] for entry in aftermath.journal if entry.kind == STARTED]
    assert started == list(aftermath.epochs)


def test_no_device_applies_a_command_twice_and_none_is_unaccounted_for(aftermath: Aftermath) -> None:
    written = {i for entry in aftermath.journal if entry.kind == SENT for i in entry.body["ids"]}  # type: ignore[attr-defined] # JSON
    assert aftermath.taken
    assert {i for i, count in aftermath.taken.items() if count > 1} == set()
    assert set(aftermath.taken) <= written
    assert aftermath.ledger["sent"] == len(written)
    assert aftermath.ledger["unaccounted"] == 0


def test_limits_are_restored_and_promises_kept(aftermath: Aftermath) -> None:
    nothing = ("limits_not_restored", "promises_broken", "cap_violations")
    assert {name: aftermath.verdict[name] for name in nothing} == dict.fromkeys(nothing, 0)


def test_the_journal_of_both_lives_verifies_and_replays(aftermath: Aftermath) -> None:
    assert aftermath.audit.code == 0, aftermath.audit
    assert json.loads(aftermath.audit.out)["entries"] == len(aftermath.journal)
    assert aftermath.replay.code == 0, aftermath.replay.err[-2000:]
    verdict = json.loads(aftermath.replay.out)
    assert verdict["differences"] == 0
    assert verdict["cycles"] > 0


async def test_stations_get_the_default_value_that_was_in_force_before(tmp_path: Path) -> None:
    index = demo_fleet(stations=1, inverters=0, batteries=0, v2g=1, sites=0)
    row = next(i for i, r in enumerate(index.resources) if r.resource_class is ResourceClass.V2G)
    settings = Settings.load(data_dir=tmp_path)
    store = Store.open(settings.database_url)
    store.registry.add(FleetIndex.empty(), index)
    _write_default(store, row, power_kw=-4.5)
    link = OcppLink(clock=SYSTEM_CLOCK, listening=Listening(host="127.0.0.1", port=0))

    service = Service(settings, store, SYSTEM_CLOCK, [link])
    await service.open()
    try:
        defaults = [link._nameplates.default_kw(row) for row in range(len(index))]
    finally:
        await service.close()
        store.close()
    assert defaults[row] == -4.5
    assert defaults[1 - row] == index.resources[1 - row].default_kw


def _write_default(store: Store, row: int, *, power_kw: float) -> None:
    """Write what an earlier life of the service would have: a default value sent, and accepted."""
    store.journal.append(
        SENT,
        1.0,
        {
            "ids": [1],
            "rows": [row],
            "layers": [int(Layer.DEFAULT)],
            "power_kw": [power_kw],
            "until_s": [None],
            "free_kw": [None],
            "sources": [""],
            "source": [0],
            "epoch": 1,
        },
    )
    accepted = {"ids": [1], "rows": [row], "status": [int(OutcomeStatus.ACCEPTED)], "reasons": [int(Reason.NONE)]}
    store.journal.append(OUTCOMES, 2.0, accepted | {"at_s": [2.0]})
    store.journal.flush_now()
