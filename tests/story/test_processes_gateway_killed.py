"""The device plane in processes of its own: a service and two gateways on NATS, one of which is killed in the hold."""

import json
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.story.processes import environment, last_words, running, stop, wait_until
from tests.story.test_processes_killed_in_the_hold import Dispatcher
from vpp.bootstrap.store import Store
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, outcomes_from
from vpp.domain.journal import JournalEntry
from vpp.domain.packing import column_of
from vpp.domain.request import RequestState
from vpp.domain.setpoint import Layer, OutcomeStatus
from vpp.domain.telemetry import IdArray
from vpp.lab.compose.fleet import commands_file, judge_truth
from vpp.lab.compose.nats_server import nats_program
from vpp.lab.compose.subprocesses import free_block, free_ports
from vpp.runtime.clock import ScaledClock

SPEED = 30.0
START_AT = datetime(2026, 7, 15, 12, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
FLEET = {"stations": 180, "inverters": 10, "batteries": 6, "v2g": 20, "sites": 0}
HOLD = timedelta(minutes=15)
LEAD = timedelta(minutes=18)
"""Intraday requests need a quarter of an hour of notice, and the wall takes its time to ask twice."""
SETTLED_WALL_S = 180.0
READY_WALL_S = 180.0
"""Three programs start and compile their kernels, on a machine that may have other work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What is left after a request in which a gateway died.

    Attributes:
        states: States the request was seen in.
        shares: Rows by gateway before the kill.
        back: Every device was connected again, at the other gateway.
        taken: How often a device took each command id; one refused in one unit may be asked again in another.
    """

    states: list[str]
    shares: Mapping[str, int]
    back: bool
    ledger: Mapping[str, int]
    taken: dict[int, int]
    verdict: dict[str, float]
    journal: list[JournalEntry]
    log: str


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Play a request with two gateways and kill one of them with its stations connected."""
    directory = tmp_path_factory.mktemp("gateways")
    clock = ScaledClock.starting(START_AT, SPEED)
    with _nats() as url:
        env = environment(
            directory,
            BUS_URL=url,
            CLOCK_SPEED=SPEED,
            CLOCK_ANCHOR_S=clock.anchor_s,
            CLOCK_ANCHOR_WALL_S=clock.anchor_wall_s,
            SAMPLE_S=30,
            CALL_TIMEOUT_S=120,
            RAMP_MINUTES=5,
            RELEASE_MINUTES=5,
            REBOUND_WATCH_MINUTES=5,
            GATEWAY_LOST_WALL_S=2,
            # Every command is counted on the wire, also those that a dead band would find in force already.
            OCPP_PROFILE_INTERVAL_S=0,
        )
        return _play(directory, env, clock)


def _play(directory: Path, env: Mapping[str, str], clock: ScaledClock) -> Aftermath:
    serve_log, fleet_log, truth = directory / "serve.log", directory / "fleet.log", directory / "truth.npz"
    dispatcher = _Dispatcher(env["VPP_HTTP"])
    flags: list[object] = [flag for name, count in FLEET.items() for flag in (f"--{name}", count)]
    flags += ["--modbus-port", free_block(2), "--truth", truth]
    with ExitStack() as stack:
        stack.callback(dispatcher.client.close)
        serve = stack.enter_context(running("serve", env=env, log=serve_log))
        gateways = {
            name: stack.enter_context(running("gateway", "--name", name, env=env, log=directory / f"{name}.log"))
            for name in ("g1", "g2")
        }
        fleet = stack.enter_context(running("fleet", *flags, env=env, log=fleet_log))
        wait_until(dispatcher.sees(dispatcher.is_ready), within_s=READY_WALL_S)
        request = dispatcher.order(clock)
        path = f"/requests/{request['id']}"
        wait_until(lambda: dispatcher.get(path)["state"] == RequestState.HOLDING, within_s=SETTLED_WALL_S)
        shares = dispatcher.shares()
        stop(gateways["g1"], signal.SIGKILL, within_s=5.0)
        wait_until(lambda: set(dispatcher.shares()) == {"g2"} and dispatcher.all_there(), within_s=40.0)
        states = _watch(dispatcher, request["id"], log=serve_log)
        ledger = dispatcher.get("/commands")
        assert stop(fleet, signal.SIGTERM, within_s=20.0) == 0, last_words(fleet_log)
        assert stop(gateways["g2"], signal.SIGINT, within_s=20.0) == 0, last_words(directory / "g2.log")
        assert stop(serve, signal.SIGTERM, within_s=20.0) == 0, last_words(serve_log)
    store = Store.open(f"sqlite:///{directory / 'vpp.sqlite3'}")
    journal = list(store.journal.entries())
    store.close()
    taken = json.loads(commands_file(truth).read_text())
    return Aftermath(
        states=states,
        shares=shares,
        back=True,
        ledger=ledger,
        taken={int(i): count for counts in taken.values() for i, count in counts.items()},
        verdict=judge_truth(
            truth,
            start_at=datetime.fromisoformat(request["start_at"]),
            end_at=datetime.fromisoformat(request["end_at"]),
            target_kw=request["accepted_kw"],
        ),
        journal=journal,
        log=serve_log.read_text(errors="replace"),
    )


class _Dispatcher(Dispatcher):
    """A dispatcher's program that also looks at where devices are."""

    def is_ready(self) -> bool:
        """Return whether there is a plan and nearly all devices are connected."""
        return bool(self.client.get("/readyz").is_success) and self.connected() >= 0.95 * sum(FLEET.values())

    def connected(self) -> int:
        """Return how many devices are connected."""
        return int(self.get("/fleet")["connected"])

    def all_there(self) -> bool:
        """Return whether nearly all devices are: a few may be away for reasons of their own."""
        return self.connected() >= 0.98 * sum(FLEET.values())

    def order(self, clock: ScaledClock) -> dict[str, str]:
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
        asked = self.post("/requests", draft | {"target_kw": round(0.7 * most_kw)})
        accepted: dict[str, str] = self.post(f"/requests/{asked['id']}/accept", {})
        return accepted

    def shares(self) -> dict[str, int]:
        """Return connected devices by the gateway that holds them, from their cards."""
        counts: dict[str, int] = {}
        for resource in self.get("/resources?limit=1000&connected=true")["items"][::4]:
            card = self.get(f"/resources/{resource['id']}")["card"]
            if "gateway" in card:
                counts[card["gateway"]] = counts.get(card["gateway"], 0) + 1
        return counts


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
def _nats() -> Iterator[str]:
    (port,) = free_ports(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(  # noqa: S603 - our own program
            [nats_program(), "-a", "127.0.0.1", "-p", str(port)], cwd=folder, stderr=subprocess.DEVNULL
        ) as server,
    ):
        try:
            yield f"nats://127.0.0.1:{port}"
        finally:
            server.terminate()


def test_the_request_goes_on_to_its_settlement(aftermath: Aftermath) -> None:
    assert aftermath.states[-1] == RequestState.SETTLED


def test_both_gateways_held_stations_and_they_came_back_at_the_other(aftermath: Aftermath) -> None:
    assert set(aftermath.shares) == {"g1", "g2"}
    assert aftermath.back


def test_no_device_applies_a_command_twice_and_none_is_unaccounted_for(aftermath: Aftermath) -> None:
    written = {i for entry in aftermath.journal if entry.kind == SENT for i in _column(entry, "ids").tolist()}
    assert aftermath.taken
    assert {i for i, count in aftermath.taken.items() if count > 1} == set()
    assert set(aftermath.taken) <= written
    assert aftermath.ledger["unaccounted"] == 0


def test_every_command_acknowledged_to_the_service_had_reached_its_station(aftermath: Aftermath) -> None:
    accepted: set[int] = set()
    for entry in aftermath.journal:
        if entry.kind == OUTCOMES:
            batch = outcomes_from(entry.body)
            accepted |= set(batch.ids[batch.status == OutcomeStatus.ACCEPTED].tolist())
    stations = accepted & _with_ids(aftermath)
    assert stations
    assert stations <= set(aftermath.taken)


def test_limits_are_restored_and_promises_kept(aftermath: Aftermath) -> None:
    nothing = ("limits_not_restored", "promises_broken", "cap_violations")
    assert {name: aftermath.verdict[name] for name in nothing} == dict.fromkeys(nothing, 0)


def test_every_leg_of_an_instruction_was_timed(aftermath: Aftermath) -> None:
    line = next(line for line in aftermath.log.splitlines() if "instructions by leg" in line)
    for leg in ("deliver", "obey", "tell"):
        assert re.search(rf"{leg}=", line), line


def _with_ids(aftermath: Aftermath) -> set[int]:
    """Return ids of installing commands at stations: a release has no id on the wire, nor has Modbus."""
    chosen: set[int] = set()
    stations = FLEET["stations"]
    for entry in aftermath.journal:
        if entry.kind == SENT:
            here = (_column(entry, "rows") < stations) & (_column(entry, "layers") < Layer.RELEASE)
            chosen |= set(_column(entry, "ids")[here].tolist())
    return chosen


def _column(entry: JournalEntry, name: str) -> IdArray:
    return column_of(entry.body[name], np.int64)
