"""Outages of storage and bus in the hold, on sockets: a locked database, a full disk, NATS killed and started again.

A stranger's service joins the same bus meanwhile. The disk is a small file system in memory, for which the test needs
to be root; elsewhere it leaves that part out and says so.
"""

import errno
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.story.dispatcher import (
    SOON_OVER,
    START_AT,
    Dispatcher,
    Nats,
    fleet_flags,
    nats,
    taken_by_devices,
    verdict_on,
)
from tests.story.fast_time import FastTime
from tests.story.processes import Ended, environment, last_words, running, stop, vpp, wait_until
from tests.story.test_processes_gateway_killed import FLEET, HOLD, SHARE, SPEED
from vpp.domain.request import RequestState

DISK_BYTES = 256 * 2**20
OUTAGE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What is left after a request that met three outages and a stranger."""

    disk: bool
    states: list[str]
    ledger: Mapping[str, int]
    taken: dict[int, int]
    verdict: dict[str, float]
    served: int
    logs: Mapping[str, str]
    audit: Ended
    replay: Ended


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Put a small file system at a folder, where that is allowed; yield whether it is there."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603 - as above
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)  # noqa: S603, S607 - as above


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no byte on the disk that a folder is on."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    yield
    filler.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the right to write into the service's database."""
    with suppress(FileNotFoundError):
        other = sqlite3.connect(str(folder / "vpp.sqlite3"), isolation_level=None, timeout=60.0)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Play a request with outages one after the other."""
    directory = tmp_path_factory.mktemp("outages")
    with (
        FastTime.starting(START_AT, SPEED, directory) as clock,
        nats(directory / "nats") as server,
        small_disk(directory / "data") as disk,
    ):
        env = environment(
            directory / "data",
            **clock.settings,
            **SOON_OVER,
            BUS_URL=server.url,
            RAMP_MINUTES=5,
            GATEWAY_LOST_WALL_S=2,
            STORAGE_PATIENCE_WALL_S=0.5,
        )
        yield _play(directory, env, clock, server, disk=disk)


def _play(directory: Path, env: Mapping[str, str], clock: FastTime, bus: Nats, *, disk: bool) -> Aftermath:
    data, truth = directory / "data", directory / "truth.npz"
    logs = {name: directory / f"{name}.log" for name in ("serve", "fleet", "g1", "g2", "stranger")}
    dispatcher = Dispatcher(env["VPP_HTTP"], fleet=FLEET, hold=HOLD, share=SHARE)
    with ExitStack() as stack:
        stack.callback(dispatcher.client.close)
        serve = stack.enter_context(running("serve", env=env, log=logs["serve"]))
        gateways = [
            stack.enter_context(running("gateway", "--name", name, env=env, log=logs[name])) for name in ("g1", "g2")
        ]
        fleet = stack.enter_context(running("fleet", *fleet_flags(FLEET, truth), env=env, log=logs["fleet"]))
        wait_until(dispatcher.sees(dispatcher.is_ready))
        request = dispatcher.order(clock)
        path = f"/requests/{request['id']}"
        wait_until(lambda: dispatcher.get(path)["state"] == RequestState.HOLDING)
        with locked(data):
            _storage_fails(dispatcher)
        _storage_works(dispatcher)
        if disk:
            with full(data):
                _storage_fails(dispatcher)
            _storage_works(dispatcher)
        with clock.slowly():
            _stranger_joins(directory, env, logs["stranger"], dispatcher)
        bus.kill()
        wait_until(lambda: dispatcher.connected() == 0)
        healed_s = clock.now_s() + OUTAGE_S
        wait_until(lambda: clock.now_s() > healed_s)
        bus.start()
        wait_until(dispatcher.sees(dispatcher.all_there))
        states = dispatcher.settled(request["id"], log=logs["serve"])
        ledger = dispatcher.get("/commands")
        served = sum(gateway.poll() is None for gateway in gateways)
        assert stop(fleet, signal.SIGTERM) == 0, last_words(logs["fleet"])
        for gateway in gateways:
            assert stop(gateway, signal.SIGINT) == 0
        assert stop(serve, signal.SIGTERM) == 0, last_words(logs["serve"])
    return Aftermath(
        disk=disk,
        states=states,
        ledger=ledger,
        taken=taken_by_devices(truth),
        verdict=verdict_on(truth, request),
        served=served,
        logs={name: log.read_text(errors="replace") for name, log in logs.items()},
        audit=vpp("audit", "verify", "--json", env=env),
        replay=vpp("replay", "--json", env=env),
    )


def _storage_fails(dispatcher: Dispatcher) -> None:
    """Wait until the service says so, and see that it goes on with control and promises nothing new."""

    def said() -> bool:
        checks = dispatcher.client.get("/readyz").json()["checks"]
        return not checks["storage"]

    wait_until(said)
    before = dispatcher.metric('vpp_spooled_entries{kind="journal"}')
    wait_until(lambda: dispatcher.metric('vpp_spooled_entries{kind="journal"}') > before)
    wait_until(lambda: bool(dispatcher.client.get("/readyz").json()["checks"]["loop"]))  # control goes on
    draft = dispatcher.get("/requests")["items"][0]
    refused = dispatcher.client.post(f"/api/v1/requests/{draft['id']}/accept", json={})
    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE, refused.text


def _storage_works(dispatcher: Dispatcher) -> None:
    wait_until(lambda: bool(dispatcher.client.get("/readyz").json()["checks"]["storage"]))
    wait_until(lambda: dispatcher.metric('vpp_spooled_entries{kind="journal"}') < 50.0)


def _stranger_joins(directory: Path, env: Mapping[str, str], log: Path, dispatcher: Dispatcher) -> None:
    """Run another plant's service on the same bus until ours has noticed it, and end it again."""
    own = {name: env[f"VPP_{name}"] for name in ("BUS_URL", "CLOCK_PACE")}
    with running("serve", env=environment(directory / "stranger", **own), log=log) as stranger:
        wait_until(lambda: dispatcher.metric("vpp_bus_strangers_total") > 0.0)
        stop(stranger, signal.SIGKILL)


def test_the_request_goes_on_to_its_settlement(aftermath: Aftermath) -> None:
    assert aftermath.states[-1] == RequestState.SETTLED
    if not aftermath.disk:
        pytest.skip(f"a full disk was left out: a small file system needs root ({os.strerror(errno.EPERM)})")


def test_no_device_applies_a_command_twice_and_none_is_unaccounted_for(aftermath: Aftermath) -> None:
    assert aftermath.taken
    assert {i for i, count in aftermath.taken.items() if count > 1} == set()
    assert aftermath.ledger["unaccounted"] == 0


def test_limits_are_restored_and_promises_kept(aftermath: Aftermath) -> None:
    nothing = ("limits_not_restored", "promises_broken", "cap_violations")
    assert {name: aftermath.verdict[name] for name in nothing} == dict.fromkeys(nothing, 0)


def test_the_journal_holds_the_outages_in_order_and_replays(aftermath: Aftermath) -> None:
    assert aftermath.audit.code == 0, aftermath.audit
    assert aftermath.replay.code == 0, aftermath.replay.err[-2000:]
    assert json.loads(aftermath.replay.out)["differences"] == 0
    assert aftermath.logs["serve"].count("storage works again") >= 1 + aftermath.disk


def test_a_stranger_on_the_bus_is_noticed_and_ends_no_gateway(aftermath: Aftermath) -> None:
    assert aftermath.served == 2
    assert "a service of another fleet is on this bus" in aftermath.logs["serve"]
    assert "another service leads" not in aftermath.logs["serve"]
