"""Leader and standby over PostgreSQL and NATS, as operators run them on several machines.

In the hold the database server fails and comes back, then the leader is killed.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest

from tests.postgresql import PostgresServer, postgresql
from tests.story.dispatcher import (
    SOON_OVER,
    START_AT,
    Aftermath,
    Dispatcher,
    fleet_flags,
    nats,
    taken_by_devices,
    verdict_on,
)
from tests.story.fast_time import FastTime
from tests.story.processes import Ended, last_words, running, stop, vpp, wait_until
from tests.story.services import Services, epochs, is_clean, services
from vpp.domain.request import RequestState

SPEED = 30.0
FLEET = {"stations": 40, "inverters": 6, "batteries": 4, "v2g": 4, "sites": 0}
HOLD = timedelta(minutes=15)
SHARE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlived(Aftermath):
    """What is left after a request that outlived its database server's failure and its leader."""

    audit: Ended
    replay: Ended
    clean: bool


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outlived]:
    """Play a request in which the database server fails, then the leader."""
    folder = tmp_path_factory.mktemp("postgresql")
    with (
        postgresql() as database,
        nats(folder / "nats") as bus,
        FastTime.starting(START_AT, SPEED, folder) as clock,
        services(
            folder,
            **clock.settings,
            **SOON_OVER,
            DB_URL=database.new_url(migrated=False),
            BUS_URL=bus.url,
            RAMP_MINUTES=5,
            STORAGE_PATIENCE_WALL_S=0.5,
        ) as made,
    ):
        yield _play(made, database, clock)


def _play(made: Services, database: PostgresServer, clock: FastTime) -> Outlived:
    leader = made.serve("leader")
    truth = made.folder / "truth.npz"
    logs = {name: made.folder / f"{name}.log" for name in ("gateway", "fleet", "leader", "standby")}
    dispatcher = Dispatcher(leader.http, fleet=FLEET, hold=HOLD, share=SHARE)
    with ExitStack() as stack:
        stack.callback(dispatcher.client.close)
        env = made.env | {"VPP_HTTP": leader.http}
        gateway = stack.enter_context(running("gateway", "--name", "g1", env=env, log=logs["gateway"]))
        fleet = stack.enter_context(running("fleet", *fleet_flags(FLEET, truth), env=env, log=logs["fleet"]))
        standby = made.serve("standby", "--standby")
        wait_until(dispatcher.sees(dispatcher.is_ready))
        request = dispatcher.order(clock)
        path = f"/requests/{request['id']}"
        wait_until(lambda: dispatcher.get(path)["state"] == RequestState.HOLDING)

        database.stop()
        wait_until(dispatcher.sees(lambda: not dispatcher.client.get("/readyz").json()["checks"]["storage"]))
        with clock.slowly():
            database.start()
            wait_until(lambda: leader.leads() or standby.leads())
        now, other = (leader, standby) if leader.leads() else (standby, leader)
        current = Dispatcher(now.http, fleet=FLEET, hold=HOLD, share=SHARE)
        stack.callback(current.client.close)
        wait_until(current.sees(lambda: bool(current.client.get("/readyz").json()["checks"]["storage"])))
        assert current.get(path)["state"] == RequestState.HOLDING

        stop(now.process, signal.SIGKILL)
        with clock.slowly():
            wait_until(other.leads)
        after = Dispatcher(other.http, fleet=FLEET, hold=HOLD, share=SHARE)
        stack.callback(after.client.close)
        states = after.settled(request["id"], log=other.log)
        ledger = after.get("/commands")
        assert stop(fleet, signal.SIGTERM) == 0, last_words(logs["fleet"])
        assert stop(gateway, signal.SIGTERM) == 0, last_words(logs["gateway"])
        assert stop(other.process, signal.SIGTERM) == 0, last_words(other.log)
    return Outlived(
        states=states,
        ledger=ledger,
        taken=taken_by_devices(truth),
        verdict=verdict_on(truth, request),
        journal=made.entries(),
        audit=vpp("audit", "verify", "--json", env=made.env),
        replay=vpp("replay", "--json", env=made.env),
        clean=all(map(is_clean, logs.values())),
    )


def test_the_request_goes_on_to_its_settlement(aftermath: Outlived) -> None:
    assert aftermath.states[-1] == RequestState.SETTLED


def test_every_leader_led_under_an_epoch_of_its_own(aftermath: Outlived) -> None:
    found = epochs(aftermath.journal)
    assert found == sorted(set(found))
    assert len(found) >= 2


def test_no_device_applies_a_command_twice_and_none_is_unaccounted_for(aftermath: Outlived) -> None:
    aftermath.check_commands()


def test_limits_are_restored_and_promises_kept(aftermath: Outlived) -> None:
    aftermath.check_devices()


def test_the_journal_verifies_and_replays_from_the_server(aftermath: Outlived) -> None:
    assert aftermath.audit.code == 0, aftermath.audit
    assert aftermath.replay.code == 0, aftermath.replay.err[-2000:]
    assert json.loads(aftermath.replay.out)["differences"] == 0


def test_nothing_failed_behind_the_scenes(aftermath: Outlived) -> None:
    assert aftermath.clean
