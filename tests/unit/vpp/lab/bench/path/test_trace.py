"""Traces of instructions in the journal and on the bus."""

from pathlib import Path

import numpy as np

from tests.unit.vpp.lab.bench.path.parts import UNTIL_S, N, answers, write_journal
from vpp.bootstrap.store import Store
from vpp.bus.messages.codec import Kind, bundled, encode
from vpp.bus.messages.frames import outcome_frames
from vpp.domain.setpoint import OutcomeStatus, Reason
from vpp.domain.telemetry import FloatArray, IdArray
from vpp.lab.bench.path.kill import STALE_ID
from vpp.lab.bench.path.trace import BusTap, Trace, first_of, quantiles, repeated


def test_what_a_row_holds_by_the_journal_is_open_where_its_last_command_has_no_yes(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/vpp.sqlite3")
    write_journal(store)
    trace = Trace.of(store.journal.entries(), N)
    store.close()
    assert trace.held(N, 401.0).tolist() == [1, 2, -1, 0]
    assert trace.held(N, UNTIL_S - 1.0).tolist() == [-1, -1, -1, 0]
    assert trace.held(N, UNTIL_S + 60.0).tolist() == [0, 0, -1, 0]


def test_a_tap_knows_who_is_there_and_who_refused_a_deposed_leader() -> None:
    tap = BusTap()
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
    no = answers([STALE_ID], [0], at_s=1.0, status=OutcomeStatus.REJECTED, reason=Reason.EXPIRED)
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
