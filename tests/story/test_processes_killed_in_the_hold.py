"""``kill -9`` in the middle of a request: a real service over a real fleet, started again on the same data folder."""

import asyncio
import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.kit.websocket.server import Listening
from adapters.ocpp.central_system.server import OcppLink
from tests.story.dispatcher import (
    SOON_OVER,
    START_AT,
    Aftermath,
    Dispatcher,
    fleet_flags,
    journal_in,
    taken_by_devices,
    verdict_on,
)
from tests.story.fast_time import FastTime
from tests.story.processes import Ended, environment, last_words, running, stop, vpp, wait_until
from vpp.bootstrap.parts.restoration import STARTED
from vpp.bootstrap.service import Service
from vpp.bootstrap.store import Store
from vpp.config import Settings
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT
from vpp.domain.request import RequestState
from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer, OutcomeStatus, Reason
from vpp.fleet.index import FleetIndex
from vpp.lab.compose.fleet import broker
from vpp.lab.twin.population.presets import demo_fleet
from vpp.runtime.clock import SYSTEM_CLOCK

SPEED = 100.0
FLEET = {"stations": 60, "inverters": 10, "batteries": 6, "v2g": 6, "sites": 6}
HOLD = timedelta(minutes=15)
"""In which the second service starts, waits for the lease of the first, and leads."""
KILLED_AFTER_S = 300.0
EPOCH = "vpp_leader_epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlived(Aftermath):
    """What is left after a request that outlived its service; its states are those the second one was seen in.

    Attributes:
        epochs: What the metrics of both services said.
    """

    epochs: tuple[float, float]
    audit: Ended
    replay: Ended
    last: Ended


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Outlived:
    """Play a request whose service is killed in the hold, and gather what everybody says afterwards."""
    directory = tmp_path_factory.mktemp("killed")
    with FastTime.starting(START_AT, SPEED, directory) as clock, _broker(directory / "broker") as mqtt_url:
        env = environment(directory, MQTT_URL=mqtt_url, **clock.settings, **SOON_OVER)
        return _play(directory, env, clock)


def _play(directory: Path, env: Mapping[str, str], clock: FastTime) -> Outlived:
    serve_log, fleet_log, truth = directory / "serve.log", directory / "fleet.log", directory / "truth.npz"
    dispatcher = Dispatcher(env["VPP_HTTP"], fleet=FLEET, hold=HOLD, share=0.8)
    with ExitStack() as stack:
        stack.callback(dispatcher.client.close)
        first = stack.enter_context(running("serve", env=env, log=serve_log))
        fleet = stack.enter_context(running("fleet", *fleet_flags(FLEET, truth), env=env, log=fleet_log))
        wait_until(dispatcher.sees(dispatcher.is_ready))
        request = dispatcher.into_the_hold(clock, after_s=KILLED_AFTER_S, log=serve_log)
        before = dispatcher.metric(EPOCH)
        stop(first, signal.SIGKILL)

        with clock.slowly():
            second = stack.enter_context(running("serve", env=env, log=serve_log))
            wait_until(dispatcher.sees(dispatcher.leads))
        states = dispatcher.settled(request["id"], log=serve_log)
        epochs, ledger = (before, dispatcher.metric(EPOCH)), dispatcher.get("/commands")
        assert stop(fleet, signal.SIGTERM) == 0, last_words(fleet_log)
        assert stop(second, signal.SIGTERM) == 0, last_words(serve_log)
    return Outlived(
        states=states,
        epochs=epochs,
        ledger=ledger,
        taken=taken_by_devices(truth),
        verdict=verdict_on(truth, request),
        journal=journal_in(directory),
        audit=vpp("audit", "verify", "--json", env=env),
        replay=vpp("replay", "--json", env=env),
        last=vpp("replay", "--last", "--json", env=env),
    )


@contextmanager
def _broker(directory: Path) -> Iterator[str]:
    with asyncio.Runner() as runner:
        context = broker(directory)
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


def test_the_request_goes_on_to_its_settlement(aftermath: Outlived) -> None:
    assert aftermath.states[0] == RequestState.HOLDING
    assert aftermath.states[-1] == RequestState.SETTLED


def test_the_second_service_is_of_a_later_epoch(aftermath: Outlived) -> None:
    assert aftermath.epochs[1] > aftermath.epochs[0]
    started = [entry.body["epoch"] for entry in aftermath.journal if entry.kind == STARTED]
    assert started == list(aftermath.epochs)


def test_the_second_service_begins_at_a_checkpoint_and_reads_the_tail(aftermath: Outlived) -> None:
    first, second = (entry for entry in aftermath.journal if entry.kind == STARTED)
    checkpoint, after = int(str(second.body["checkpoint"])), int(str(second.body["after"]))
    assert first.sequence < checkpoint < after < second.sequence
    assert aftermath.last.code == 0, aftermath.last.err
    assert 0 < json.loads(aftermath.last.out)["cycles"] < json.loads(aftermath.replay.out)["cycles"]


def test_no_device_applies_a_command_twice_and_none_is_unaccounted_for(aftermath: Outlived) -> None:
    aftermath.check_commands()
    assert aftermath.ledger["sent"] == len(aftermath.written)


def test_limits_are_restored_and_promises_kept(aftermath: Outlived) -> None:
    aftermath.check_devices()


def test_the_journal_of_both_lives_verifies_and_replays(aftermath: Outlived) -> None:
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
