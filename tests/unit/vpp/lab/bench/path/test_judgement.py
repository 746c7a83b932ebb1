"""How the path benchmark joins what the journal, the bus and the stations say."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from vpp.bootstrap.store import Store
from vpp.bus.messages.codec import Kind, bundled, encode
from vpp.bus.messages.frames import outcome_frames, receipt, setpoint_frame
from vpp.dispatch.commands.outbox import OUTCOMES, SENT, VERDICTS
from vpp.domain.packing import column_body
from vpp.domain.setpoint import Layer, OutcomeBatch, OutcomeStatus, Reason, SetpointBatch
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.lab.bench.path.judgement import Witness, judged
from vpp.lab.bench.path.kill import STALE_ID, Killed
from vpp.lab.bench.path.processes import found
from vpp.lab.bench.path.trace import Tap, Trace, first_of, quantiles, repeated
from vpp.lab.bench.path.usage import Meter, children_of, used
from vpp.lab.twin.population.presets import demo_fleet

N = 4
ACCEPTED_S = 90.0
UNTIL_S = 1000.0


def _batch(ids: list[int], rows: list[int], layer: Layer = Layer.DISPATCH) -> SetpointBatch:
    return SetpointBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        layers=np.full(len(ids), layer, dtype=np.uint8),
        power_kw=np.full(len(ids), 4.0),
        until_s=np.full(len(ids), UNTIL_S),
        epoch=2,
    )


def _outcomes(ids: list[int], rows: list[int], *, at_s: float, status: OutcomeStatus, reason: Reason) -> OutcomeBatch:
    return OutcomeBatch(
        ids=np.array(ids, dtype=np.int64),
        rows=np.array(rows, dtype=np.int32),
        status=np.full(len(ids), status, dtype=np.uint8),
        reasons=np.full(len(ids), reason, dtype=np.uint8),
        at_s=np.full(len(ids), at_s),
    )


def _accepted(ids: list[int], rows: list[int], *, at_s: float) -> OutcomeBatch:
    return _outcomes(ids, rows, at_s=at_s, status=OutcomeStatus.ACCEPTED, reason=Reason.NONE)


def _sent_body(batch: SetpointBatch) -> dict[str, object]:
    names = ("ids", "rows", "layers", "power_kw", "until_s")
    return {name: column_body(getattr(batch, name)) for name in names} | {"epoch": batch.epoch}


def _outcome_body(batch: OutcomeBatch) -> dict[str, object]:
    return {name: column_body(getattr(batch, name)) for name in ("ids", "rows", "status", "reasons", "at_s")}


def _journal(store: Store) -> None:
    """Write one request: rows 0 to 2 are told, 0 and 1 say yes, and the meter shows 0."""
    journal = store.journal
    journal.append("cycle", 100.0, {})
    journal.append(SENT, 100.0, _sent_body(_batch([1, 2, 3], [0, 1, 2])))
    journal.append("cycle", 110.0, {})
    journal.append(OUTCOMES, 110.0, _outcome_body(_accepted([1, 2], [0, 1], at_s=101.0)))
    journal.append("cycle", 160.0, {})
    journal.append(VERDICTS, 160.0, {"rows": [0], "fate": "confirmed"})
    journal.flush_now()


def _tap() -> Tap:
    tap = Tap()
    tap.instruction(setpoint_frame(_batch([1, 2, 3], [0, 1, 2]), sequence=1), 100.2, reply="_INBOX.a.1")
    tap.receipt("_INBOX.b.1", receipt(1, 100.21))  # somebody else's
    tap.instruction(setpoint_frame(_batch([1, 2, 3], [0, 1, 2]), sequence=1), 101.2, reply="_INBOX.a.2")
    tap.receipt("_INBOX.a.1", receipt(1, 100.3))
    tap.receipt("_INBOX.a.2", receipt(1, 101.3))
    tap.report(bundled(list(outcome_frames(_accepted([1, 2], [0, 1], at_s=101.0)))), 101.1)
    return tap


def _witness(*, ids: list[int], holds: list[int], killed: Killed | None = None) -> Witness:
    heard = {
        "ids": np.array(ids, dtype=np.int64),
        "at_s": np.full(len(ids), 100.5),
        "holds": np.array(holds, dtype=np.int64),
    }
    return Witness(
        figures={"failures": 0},
        tap=_tap(),
        heard=[heard],
        accepted_s=ACCEPTED_S,
        stopped_s=400.0,
        looked_s=401.0,
        killed=killed,
    )


def _judged(tmp_path: Path, witness: Witness) -> dict[str, object]:
    url = f"sqlite:///{tmp_path}/vpp.sqlite3"
    store = Store.open(url)
    _journal(store)
    store.close()
    return judged(witness, url, N)


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
    killed = Killed(at_s=200.0, stations=2, booted_s=1.0, seen_s=6.0)
    figures = _judged(tmp_path, _witness(ids=[1, 2, 2, STALE_ID], holds=[1, 0, 0, 0], killed=killed))
    assert (figures["acknowledged_lost"], figures["applied_twice"], figures["stale_applied"]) == (1, 1, 1)
    assert (figures["killed_stations"], figures["back_seen_s"]) == (2, 6.0)


def test_what_a_row_holds_by_the_journal_is_open_where_its_last_command_has_no_yes(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/vpp.sqlite3")
    _journal(store)
    trace = Trace.of(store.journal.entries(), N)
    store.close()
    assert trace.held(N, 401.0).tolist() == [1, 2, -1, 0]
    assert trace.held(N, UNTIL_S - 1.0).tolist() == [-1, -1, -1, 0]
    assert trace.held(N, UNTIL_S + 60.0).tolist() == [0, 0, -1, 0]


def test_a_tap_knows_who_is_there_and_who_refused_a_deposed_leader() -> None:
    tap = Tap()
    beat: dict[str, list[object]] = {
        "gateway": ["g1"],
        "incarnation": [7],
        "members": [0],
        "resources": [N],
        "held": [0],
        "leaving": [False],
    }
    tap.beat(encode(Kind.BEAT, beat, number=2))
    assert tap.beats == {"g1": (7, N)}
    no = _outcomes([STALE_ID], [0], at_s=1.0, status=OutcomeStatus.REJECTED, reason=Reason.EXPIRED)
    tap.report(bundled(list(outcome_frames(no))), 1.0)
    assert tap.refused == {STALE_ID}
    tap.beat(encode(Kind.BEAT, beat | {"leaving": [True]}, number=2))
    assert tap.beats == {}


def test_first_times_and_repetitions_are_found_by_id() -> None:
    ids: IdArray = np.array([5, 3, 5], dtype=np.int64)
    at_s: FloatArray = np.array([1.0, 2.0, 3.0])
    assert np.array_equal(first_of(np.array([3, 4, 5]), ids, at_s), [2.0, np.nan, 1.0], equal_nan=True)
    assert repeated(np.array([3, 5]), ids) == 1
    assert quantiles(np.array([np.nan])) == {"count": 0}


def test_a_fleet_is_founded_with_a_past_and_an_epoch_that_is_over(tmp_path: Path) -> None:
    index = demo_fleet(stations=30, inverters=0, batteries=0, v2g=0, sites=0)
    store = Store.open(found(tmp_path, index, 1_784_091_660.0))
    assert len(store.registry.load()) == len(index) == store.meters.n_resources
    assert store.leases.next_epoch() == 2
    store.close()


def test_what_a_process_used_is_kept_after_its_end() -> None:
    meter, own = Meter(), os.getpid()
    meter.watch("ours", [own])
    meter.watch("gone", [2**22 + 1])
    meter.look()
    assert meter.cpu_s()["ours"] > 0.0
    assert meter.rss_mb()["ours"] > 1.0
    assert "gone" not in meter.cpu_s()
    assert used(2**22 + 1) == (0.0, 0.0)
    assert isinstance(children_of(own), list)
