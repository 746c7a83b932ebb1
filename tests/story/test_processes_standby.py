"""Leader and standby as two processes over one database: killed in the hold, frozen, stopped, merely looked at."""

import json
import re
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE_WALL_S
from tests.story.dispatcher import (
    SOON_OVER,
    START_AT,
    Aftermath,
    Dispatcher,
    fleet_flags,
    taken_by_devices,
    verdict_on,
)
from tests.story.fast_time import FastTime
from tests.story.processes import Ended, last_words, running, stop, vpp, wait_until
from tests.story.services import Service, Services, epochs, is_clean, services
from vpp.application.loops.cycle_inputs import CYCLE
from vpp.bootstrap.parts.restoration import STARTED
from vpp.domain.request import RequestState
from vpp.record.entry import JournalEntry
from vpp.runtime.clock import ScaledClock

SPEED = 50.0
FLEET = {"stations": 40, "inverters": 6, "batteries": 4, "v2g": 4, "sites": 0}
HOLD = timedelta(minutes=15)
KILLED_AFTER_S = 300.0
FROZEN_WALL_S = 10.0


# Killed in the hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlived(Aftermath):
    """What is left after a request that outlived its leader."""

    visited: tuple[Sequence[JournalEntry], Sequence[JournalEntry]]
    refused: httpx.Response
    leader_http: str
    audit: Ended
    replay: Ended


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Outlived:
    """Play a request whose leader is killed in the hold while a standby watches."""
    folder = tmp_path_factory.mktemp("standby")
    with FastTime.starting(START_AT, SPEED, folder) as clock, services(folder, **clock.settings, **SOON_OVER) as made:
        return _play(made, clock)


def _play(made: Services, clock: FastTime) -> Outlived:
    ocpp = made.env["VPP_OCPP"]
    leader = made.serve("leader", ocpp=ocpp)
    truth, fleet_log = made.folder / "truth.npz", made.folder / "fleet.log"
    dispatcher = Dispatcher(leader.http, fleet=FLEET, hold=HOLD, share=0.8)
    with ExitStack() as stack:
        stack.callback(dispatcher.client.close)
        env = made.env | {"VPP_HTTP": leader.http}
        fleet = stack.enter_context(running("fleet", *fleet_flags(FLEET, truth), env=env, log=fleet_log))
        standby = made.serve("standby", "--standby", ocpp=ocpp)
        refused = httpx.post(
            f"http://{standby.http}/api/v1/requests", json={}, timeout=PATIENCE_WALL_S, trust_env=False
        )
        wait_until(dispatcher.sees(dispatcher.is_ready))
        visited = _visit(made)
        request = dispatcher.into_the_hold(clock, after_s=KILLED_AFTER_S, log=leader.log)
        stop(leader.process, signal.SIGKILL)

        with clock.slowly():
            wait_until(standby.leads)
        after = Dispatcher(standby.http, fleet=FLEET, hold=HOLD, share=0.8)
        stack.callback(after.client.close)
        states = after.settled(request["id"], log=standby.log)
        ledger = after.get("/commands")
        assert stop(fleet, signal.SIGTERM) == 0, last_words(fleet_log)
        assert stop(standby.process, signal.SIGTERM) == 0, last_words(standby.log)
    return Outlived(
        states=states,
        visited=visited,
        refused=refused,
        leader_http=leader.http,
        ledger=ledger,
        taken=taken_by_devices(truth),
        verdict=verdict_on(truth, request),
        journal=made.entries(),
        audit=vpp("audit", "verify", "--json", env=made.env),
        replay=vpp("replay", "--json", env=made.env),
    )


def _visit(made: Services) -> tuple[Sequence[JournalEntry], Sequence[JournalEntry]]:
    """Let a third service begin and end; return the starts in the journal before and after."""
    before = [entry for entry in made.entries() if entry.kind == STARTED]
    visitor = made.serve("visitor")
    assert visitor.role() == "standby"
    assert stop(visitor.process, signal.SIGTERM) == 0, last_words(visitor.log)
    return before, [entry for entry in made.entries() if entry.kind == STARTED]


def test_the_standby_takes_the_request_to_its_settlement(aftermath: Outlived) -> None:
    assert aftermath.states[0] == RequestState.HOLDING
    assert aftermath.states[-1] == RequestState.SETTLED


def test_the_standby_leads_under_the_next_epoch(aftermath: Outlived) -> None:
    assert epochs(aftermath.journal) == [1, 2]


def test_a_standby_names_the_leader_to_who_writes(aftermath: Outlived) -> None:
    assert aftermath.refused.status_code == 503
    assert aftermath.refused.json()["leader"] == aftermath.leader_http


def test_a_standby_that_merely_begins_and_ends_is_not_in_the_journal(aftermath: Outlived) -> None:
    before, after = aftermath.visited
    assert before == after


def test_no_device_applies_a_command_twice_and_none_is_unaccounted_for(aftermath: Outlived) -> None:
    aftermath.check_commands()
    assert aftermath.ledger["sent"] == len(aftermath.written)


def test_limits_are_restored_and_promises_kept(aftermath: Outlived) -> None:
    aftermath.check_devices()


def test_the_journal_of_both_leaders_verifies_and_replays(aftermath: Outlived) -> None:
    assert aftermath.audit.code == 0, aftermath.audit
    assert aftermath.replay.code == 0, aftermath.replay.err[-2000:]
    assert json.loads(aftermath.replay.out)["differences"] == 0


# Frozen, stopped


def test_a_frozen_leader_finds_itself_deposed_writes_nothing_and_stands_by(tmp_path: Path) -> None:
    # A clock of its own for each: common time would wait for the one that is frozen.
    clock = ScaledClock.starting(START_AT, SPEED)
    anchors = {"CLOCK_ANCHOR_S": clock.anchor_s, "CLOCK_ANCHOR_WALL_S": clock.anchor_wall_s}
    with services(tmp_path, CLOCK_SPEED=SPEED, **anchors, **SOON_OVER) as made:
        first, second = made.serve("first"), made.serve("second")
        assert (first.role(), second.role()) == ("leader", "standby")
        wait_until(_has_cycles(made, 5))
        first.process.send_signal(signal.SIGSTOP)
        try:
            wait_until(second.leads)
            until = len(made.entries()) + round(FROZEN_WALL_S)
            wait_until(lambda: len(made.entries()) > until)
        finally:
            first.process.send_signal(signal.SIGCONT)
        wait_until(lambda: first.role() == "standby")
        wait_until(_has_cycles(made, 10))
        entries = made.entries()
        assert (second.role(), second.metric("vpp_leader"), first.metric("vpp_leader")) == ("leader", 1.0, 0.0)

        assert stop(second.process, signal.SIGTERM) == 0, last_words(second.log)
        wait_until(first.leads)
        assert stop(first.process, signal.SIGTERM) == 0, last_words(first.log)
        assert epochs(made.entries()) == [1, 2, 3]
        assert vpp("audit", "verify", env=made.env).code == 0
    began = max(place for place, entry in enumerate(entries) if entry.kind == STARTED)
    cycles = [entry.body["cycle"] for entry in entries[began:] if entry.kind == CYCLE]
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles))), "only the new leader's"
    assert cycles[0] <= 2


def _has_cycles(made: Services, count: int) -> Callable[[], bool]:
    """Return a check that the journal has so many more cycles than now."""
    before = sum(entry.kind == CYCLE for entry in made.entries())
    return lambda: sum(entry.kind == CYCLE for entry in made.entries()) >= before + count


def test_a_leader_that_ends_gives_its_lease_back(tmp_path: Path) -> None:
    with services(tmp_path, LEADER_TTL_WALL_S=60.0) as made:
        first, second = made.serve("first"), made.serve("second")
        assert (first.role(), second.role()) == ("leader", "standby")
        assert stop(first.process, signal.SIGTERM) == 0, last_words(first.log)
        wait_until(second.leads)
        # Had the lease ended by itself, the line would name the leader that held it.
        taken = "lease of leadership taken.* before=None epoch=2"
        assert re.search(taken, second.log.read_text()), last_words(second.log)
        assert stop(second.process, signal.SIGTERM) == 0, last_words(second.log)
        assert is_clean(first.log)
        assert is_clean(second.log)
        assert epochs(made.entries()) == [1, 2]


def test_a_standby_with_the_settings_of_its_leader_has_its_address_next(tmp_path: Path) -> None:
    with services(tmp_path) as made, ExitStack() as stack:
        log = tmp_path / "same.log"
        first = stack.enter_context(running("serve", env=made.env, log=log))
        member = Service(made.env["VPP_HTTP"], first, log)
        wait_until(member.leads)
        second = stack.enter_context(running("serve", env=made.env, log=log))
        wait_until(lambda: "standing by" in log.read_text(errors="replace"))
        stop(first, signal.SIGKILL)
        wait_until(member.leads)
        assert member.metric("vpp_leader_epoch") == 2.0
        assert stop(second, signal.SIGTERM) == 0, last_words(log)
