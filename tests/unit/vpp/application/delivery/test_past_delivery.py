"""Baselines and session means of earlier runs are read from the entries that hold them, or said to be pruned."""

import numpy as np
import pytest
import sqlalchemy as sa

from vpp.application.cycle_record import baseline_body
from vpp.application.delivery.baseline_freezing import BASELINE
from vpp.application.delivery.past_delivery import PastDelivery
from vpp.application.delivery.session_baselines import SESSIONS
from vpp.domain.errors import ConflictError
from vpp.domain.performance import Baseline
from vpp.domain.request import Direction
from vpp.domain.timegrid import TimeGrid, instant
from vpp.storage.journal import SqlJournal
from vpp.storage.sql import open_database

GRID = TimeGrid(start_at=instant(1_800_000_000.0), count=4)
BASELINE_KW = np.array([[1.5, np.nan, -3.25, 1e-300], [0.0, -0.0, 7.0, 2.0]])
MEAN_KW = np.array([np.nan, 6.5])


def _past() -> tuple[sa.Engine, PastDelivery]:
    engine = open_database("sqlite://")
    journal = SqlJournal(engine)
    baseline = Baseline(
        grid=GRID,
        power_kw=BASELINE_KW,
        methods={},
        reference_days=(),
        excluded_days=(),
        adjustment_ratio={},
        input_sha256="",
        notes=(),
        excluded_ids=(),
        excluded_why={},
    )
    journal.append("other", 0.0, {})
    journal.append(BASELINE, 0.0, baseline_body("req-1", baseline))
    journal.append(SESSIONS, 0.0, {"start_s": GRID.start_s + 900.0, "mean_kw": MEAN_KW})
    journal.flush_now()
    means = {GRID.start_s + 900.0: 3, GRID.end_s: 3}
    return engine, PastDelivery(journal=journal, baselines={"req-1": 2}, session_means=means)


def test_a_baseline_is_read_from_its_entry_bit_for_bit() -> None:
    _, past = _past()
    assert past.baseline("req-1").power_kw.tobytes() == BASELINE_KW.tobytes()


def test_the_session_means_of_a_grid_are_those_of_its_intervals() -> None:
    _, past = _past()
    found = past.means_on(GRID)
    assert list(found) == [GRID.start_s + 900.0]
    assert np.array_equal(found[GRID.start_s + 900.0], MEAN_KW, equal_nan=True)


def test_session_means_are_read_in_one_pass_over_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, past = _past()
    journal = SqlJournal(engine)
    for start_s in (GRID.start_s, GRID.start_s + 1800.0):
        past.session_means[start_s] = journal.append(SESSIONS, 0.0, {"start_s": start_s, "mean_kw": MEAN_KW + 1.0})
    journal.flush_now()
    passes: list[str] = []
    with monkeypatch.context() as patched:
        reading = past.journal.entries
        patched.setattr(past.journal, "entries", lambda *a, **k: passes.append("") or reading(*a, **k))  # type: ignore[func-returns-value]
        found = past.means_on(GRID)
    assert (len(passes), list(found)) == (1, [GRID.start_s + 900.0 * step for step in range(3)])
    assert [float(mean_kw[1]) for mean_kw in found.values()] == [7.5, 6.5, 7.5]


def test_session_means_that_were_pruned_are_said_to_be() -> None:
    engine, past = _past()
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM journal WHERE sequence = 3"))
    with pytest.raises(ConflictError, match=r"session means stood in entry 3 .* pruned"):
        past.means_on(GRID)


def test_a_request_without_cycles_has_none() -> None:
    _, past = _past()
    assert past.tracked("req-1", past.baseline("req-1"), Direction.UP) is None


def test_what_was_pruned_is_said_to_be() -> None:
    engine, past = _past()
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM journal"))
    with pytest.raises(ConflictError, match=r"baseline of request req-1 stood in entry 2 .* pruned"):
        past.baseline("req-1")


def test_what_cannot_be_read_is_said_to_be_and_stops_no_service() -> None:
    engine, past = _past()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE journal SET body = '{', packed = NULL WHERE sequence = 2"))
    with pytest.raises(ConflictError, match="baseline of request req-1 cannot be read"):
        past.baseline("req-1")
