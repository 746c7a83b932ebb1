"""The device plane in processes of its own: a service and two gateways on NATS, one of which is killed in the hold."""

import re
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.story.dispatcher import (
    SOON_OVER,
    START_AT,
    Aftermath,
    Dispatcher,
    fleet_flags,
    journal_in,
    nats,
    taken_by_devices,
    verdict_on,
)
from tests.story.fast_time import FastTime
from tests.story.processes import environment, last_words, running, stop, wait_until
from vpp.dispatch.commands.journal_codec import OUTCOMES, SENT, outcomes_from
from vpp.domain.request import RequestState
from vpp.domain.setpoint import Layer, OutcomeStatus
from vpp.domain.telemetry import IdArray
from vpp.record.columns import column_of
from vpp.record.entry import JournalEntry

SPEED = 30.0
FLEET = {"stations": 180, "inverters": 10, "batteries": 6, "v2g": 20, "sites": 0}
HOLD = timedelta(minutes=15)
SHARE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlived(Aftermath):
    """What is left after a request in which a gateway died.

    Attributes:
        shares: Rows by gateway before the kill, and once devices were connected again.
    """

    shares: tuple[Mapping[str, int], Mapping[str, int]]
    log: str


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Outlived:
    """Play a request with two gateways and kill one of them with its stations connected."""
    directory = tmp_path_factory.mktemp("gateways")
    with FastTime.starting(START_AT, SPEED, directory) as clock, nats(directory / "nats") as server:
        env = environment(
            directory,
            **clock.settings,
            **SOON_OVER,
            BUS_URL=server.url,
            RAMP_MINUTES=5,
            GATEWAY_LOST_WALL_S=2,
            # Every command is counted on the wire, also those that a dead band would find in force already.
            OCPP_PROFILE_INTERVAL_S=0,
        )
        return _play(directory, env, clock)


def _play(directory: Path, env: Mapping[str, str], clock: FastTime) -> Outlived:
    serve_log, fleet_log, truth = directory / "serve.log", directory / "fleet.log", directory / "truth.npz"
    dispatcher = Dispatcher(env["VPP_HTTP"], fleet=FLEET, hold=HOLD, share=SHARE)
    with ExitStack() as stack:
        stack.callback(dispatcher.client.close)
        serve = stack.enter_context(running("serve", env=env, log=serve_log))
        gateways = {
            name: stack.enter_context(running("gateway", "--name", name, env=env, log=directory / f"{name}.log"))
            for name in ("g1", "g2")
        }
        fleet = stack.enter_context(running("fleet", *fleet_flags(FLEET, truth), env=env, log=fleet_log))
        wait_until(dispatcher.sees(dispatcher.is_ready))
        request = dispatcher.order(clock)
        path = f"/requests/{request['id']}"
        wait_until(lambda: dispatcher.get(path)["state"] == RequestState.HOLDING)
        before = dispatcher.shares()
        stop(gateways["g1"], signal.SIGKILL)
        after: Mapping[str, int] = {}

        def all_at_the_other() -> bool:
            # What the service had not read yet of the dead gateway can bring its rows back for a moment.
            nonlocal after
            after = dispatcher.shares()
            return set(after) == {"g2"} and dispatcher.all_there()

        wait_until(all_at_the_other)
        states = dispatcher.settled(request["id"], log=serve_log)
        ledger = dispatcher.get("/commands")
        assert stop(fleet, signal.SIGTERM) == 0, last_words(fleet_log)
        assert stop(gateways["g2"], signal.SIGINT) == 0, last_words(directory / "g2.log")
        assert stop(serve, signal.SIGTERM) == 0, last_words(serve_log)
    return Outlived(
        states=states,
        shares=(before, after),
        ledger=ledger,
        taken=taken_by_devices(truth),
        verdict=verdict_on(truth, request),
        journal=journal_in(directory),
        log=serve_log.read_text(errors="replace"),
    )


def test_the_request_goes_on_to_its_settlement(aftermath: Outlived) -> None:
    assert aftermath.states[-1] == RequestState.SETTLED


def test_both_gateways_held_stations_and_they_came_back_at_the_other(aftermath: Outlived) -> None:
    before, after = aftermath.shares
    assert set(before) == {"g1", "g2"}
    assert set(after) == {"g2"}
    assert sum(after.values()) >= 0.9 * sum(before.values())


def test_no_device_applies_a_command_twice_and_none_is_unaccounted_for(aftermath: Outlived) -> None:
    aftermath.check_commands()


def test_every_command_acknowledged_to_the_service_had_reached_its_station(aftermath: Outlived) -> None:
    accepted: set[int] = set()
    for entry in aftermath.journal:
        if entry.kind == OUTCOMES:
            batch = outcomes_from(entry.body)
            accepted |= set(batch.ids[batch.status == OutcomeStatus.ACCEPTED].tolist())
    stations = accepted & _with_ids(aftermath)
    assert stations
    assert stations <= set(aftermath.taken)


def test_limits_are_restored_and_promises_kept(aftermath: Outlived) -> None:
    aftermath.check_devices()


def test_every_leg_of_an_instruction_was_timed(aftermath: Outlived) -> None:
    line = next(line for line in aftermath.log.splitlines() if "instructions by leg" in line)
    for leg in ("deliver", "obey", "tell"):
        assert re.search(rf"{leg}=", line), line


def _with_ids(aftermath: Outlived) -> set[int]:
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
