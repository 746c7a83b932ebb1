"""Losses, repetitions and open instructions by journal, bus and stations."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.unit.vpp.lab.bench.path.parts import N, sent_batch, write_journal, yes
from vpp.bootstrap.store import Store
from vpp.bus.messages.codec import bundled
from vpp.bus.messages.frames import outcome_frames, receipt, setpoint_frame
from vpp.lab.bench.path.judgement import Observation, judged
from vpp.lab.bench.path.kill import STALE_ID, GatewayLoss
from vpp.lab.bench.path.trace import BusTap

ACCEPTED_S = 90.0


def _tap() -> BusTap:
    tap = BusTap()
    tap.command(setpoint_frame(sent_batch([1, 2, 3], [0, 1, 2]), sequence=1), 100.2, reply="_INBOX.a.1")
    tap.receipt("_INBOX.b.1", receipt(1, 100.21))  # somebody else's
    tap.command(setpoint_frame(sent_batch([1, 2, 3], [0, 1, 2]), sequence=1), 101.2, reply="_INBOX.a.2")
    tap.receipt("_INBOX.a.1", receipt(1, 100.3))
    tap.receipt("_INBOX.a.2", receipt(1, 101.3))
    tap.report(bundled(list(outcome_frames(yes([1, 2], [0, 1], at_s=101.0)))), 101.1)
    return tap


def _witness(*, ids: list[int], holds: list[int], killed: GatewayLoss | None = None) -> Observation:
    received = {
        "ids": np.array(ids, dtype=np.int64),
        "at_s": np.full(len(ids), 100.5),
        "holds": np.array(holds, dtype=np.int64),
    }
    return Observation(
        figures={"failures": 0},
        tap=_tap(),
        received=[received],
        accepted_s=ACCEPTED_S,
        stopped_s=400.0,
        asked_s=401.0,
        killed=killed,
    )


def _judged(tmp_path: Path, observation: Observation) -> dict[str, object]:
    url = f"sqlite:///{tmp_path}/vpp.sqlite3"
    store = Store.open(url)
    write_journal(store)
    store.close()
    return judged(observation, url, N)


def test_every_leg_of_an_instruction_is_told_by_those_who_saw_it(tmp_path: Path) -> None:
    figures = _judged(tmp_path, _witness(ids=[1, 2], holds=[1, 2, 0, 0]))
    legs: dict[str, dict[str, float]] = figures["legs_s"]  # type: ignore[assignment]  # a figure that is a table
    assert {name: leg["max"] for name, leg in legs.items()} == {
        "acceptance_to_decision": 10.0,
        "decision_to_bus": 0.2,
        "bus_to_gateway": 0.1,
        "gateway_to_station": 0.2,
        "station_to_answer_at_gateway": 0.5,
        "answer_to_bus": 0.1,
        "bus_to_cycle": 8.9,
        "answer_to_meter_confirmation": 59.0,
        "decision_to_answer": 1.0,
        "decision_to_meter_confirmation": 60.0,
    }
    assert (figures["instructions"], figures["acknowledged"], figures["confirmed"]) == (3, 2, 1)
    assert (figures["unanswered"], figures["not_accepted"], figures["failures"]) == (1, 1, 2)
    assert (figures["in_force"], figures["acknowledged_lost"], figures["applied_twice"]) == (2, 0, 0)


def test_what_was_told_before_the_acceptance_is_counted_apart(tmp_path: Path) -> None:
    figures = _judged(tmp_path, replace(_witness(ids=[1, 2], holds=[1, 2, 0, 0]), accepted_s=150.0))
    legs: dict[str, dict[str, float]] = figures["earlier_legs_s"]  # type: ignore[assignment]  # as above
    assert (figures["instructions"], figures["earlier_instructions"], figures["default_instructions"]) == (0, 3, 0)
    assert legs["decision_to_answer"] == {"count": 2, "p50": 1.0, "p95": 1.0, "max": 1.0}
    assert "default_legs_s" not in figures


def test_an_acknowledged_command_a_station_does_not_hold_is_lost_and_one_heard_twice_is_counted(
    tmp_path: Path,
) -> None:
    killed = GatewayLoss(at_s=200.0, stations=2, booted_s=1.0, seen_s=6.0)
    figures = _judged(tmp_path, _witness(ids=[1, 2, 2, STALE_ID], holds=[1, 0, 0, 0], killed=killed))
    assert (figures["acknowledged_lost"], figures["applied_twice"], figures["stale_applied"]) == (1, 1, 1)
    assert (figures["killed_stations"], figures["back_seen_s"]) == (2, 6.0)
