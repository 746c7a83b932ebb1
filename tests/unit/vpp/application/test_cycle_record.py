"""The record of a cycle, bit for bit through the journal."""

import base64
import math
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest

from vpp.application.cycle_record import (
    array_of,
    baseline_body,
    baseline_of,
    schedule_body,
    schedule_of,
    session_body,
    session_of,
)
from vpp.domain.errors import AuditError
from vpp.domain.performance import Baseline
from vpp.domain.request import BaselineMethod
from vpp.domain.schedule import Rung, Schedule
from vpp.domain.session import Promise, SessionEnded, SessionPromised, SessionStarted
from vpp.domain.timegrid import TimeGrid
from vpp.record.stored_body import read_body, stored_body

GRID = TimeGrid(start_at=datetime(2026, 7, 15, 4, tzinfo=UTC), count=3)


def through_json(body: dict[str, object]) -> dict[str, object]:
    return read_body(*stored_body(body))


def test_arrays_come_back_bit_by_bit_from_journals_of_before() -> None:
    array = np.array([[0.1, np.nan, -np.inf], [1e-300, 3.0, np.pi]])
    packed = base64.b64encode(zlib.compress(array.tobytes(), 1)).decode()
    np.testing.assert_array_equal(array_of({"shape": [2, 3], "zlib_f8": packed}), array)
    np.testing.assert_array_equal(array_of([[0.5, None], [1.0, 2.0]]), np.array([[0.5, np.nan], [1.0, 2.0]]))


def test_baselines_and_schedules_come_back() -> None:
    baseline = Baseline(
        grid=GRID,
        power_kw=np.arange(6.0).reshape(2, 3),
        methods={"ev": BaselineMethod.SAME_TYPE_DAYS},
        reference_days=("2026-07-14",),
        excluded_days=(("2026-07-13", "event"),),
        adjustment_ratio={"ev": 1.05},
        input_sha256="ab",
    )
    back = baseline_of(through_json(baseline_body("r1", baseline)))
    assert (back.grid, back.methods, back.excluded_days) == (GRID, baseline.methods, baseline.excluded_days)
    np.testing.assert_array_equal(back.power_kw, baseline.power_kw)
    schedule = Schedule(
        grid=GRID,
        power_kw=np.ones((2, 3)),
        rung=Rung.PREVIOUS,
        objective_cny=1.5,
        gap_ratio=0.0,
        solve_s=2.0,
        reason="late",
        overload_kw={"t1": 3.0},
    )
    again = schedule_of(through_json(schedule_body(schedule)))
    assert (again.rung, again.reason, again.overload_kw) == (Rung.PREVIOUS, "late", {"t1": 3.0})


def test_an_unknown_figure_is_nan_again() -> None:
    schedule = Schedule(
        grid=GRID,
        power_kw=np.ones((1, 3)),
        rung=Rung.SAFE_DEFAULT,
        objective_cny=math.nan,
        gap_ratio=math.nan,
        solve_s=0.0,
        overload_kw={},
    )
    body = {**schedule_body(schedule), "objective_cny": None, "gap_ratio": None}
    assert math.isnan(schedule_of(through_json(body)).gap_ratio)


def test_news_of_cars_come_back() -> None:
    promise = Promise(energy_kwh=7.0, departure_s=9.0, floor_kwh=1.0, opted_out=True)
    for event in (
        SessionStarted(session_id="CP1:1", row=3, at_s=1.0, meter_kwh=2.0),
        SessionPromised(session_id="CP1:1", promise=promise),
        SessionEnded(session_id="CP1:1", row=3, at_s=5.0, meter_kwh=9.0),
    ):
        assert session_of(through_json(session_body(event))) == event


def test_an_event_of_another_version_is_told_not_guessed() -> None:
    with pytest.raises(AuditError, match="SessionPaused"):
        session_of({"event": "SessionPaused"})


def test_a_plan_is_kept_by_the_rows_it_decides_and_the_rest_is_unknown_again() -> None:
    power_kw = np.arange(12.0).reshape(4, 3)
    plan = Schedule(
        grid=TimeGrid(start_at=datetime(2026, 7, 15, 4, tzinfo=UTC), count=3),
        power_kw=power_kw.astype(np.float32),
        rung=Rung.OPTIMAL,
        objective_cny=1.0,
        gap_ratio=0.0,
        solve_s=0.1,
        overload_kw={},
    )
    again = schedule_of(schedule_body(plan, np.array([1, 3])))
    np.testing.assert_array_equal(again.power_kw[[1, 3]], power_kw[[1, 3]])
    assert np.isnan(again.power_kw[[0, 2]]).all()
    assert again.at(plan.grid.start_s).dtype == np.float64


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_a_plan_comes_back_in_its_precision_bit_for_bit(precision: type[np.floating]) -> None:
    power_kw = np.random.default_rng(0).uniform(-50.0, 50.0, (4, 3)).astype(precision)
    plan = Schedule(
        grid=GRID,
        power_kw=power_kw,
        rung=Rung.OPTIMAL,
        objective_cny=1.0,
        gap_ratio=0.0,
        solve_s=0.1,
        overload_kw={},
    )
    for body in (schedule_body(plan), schedule_body(plan, np.arange(4))):
        again = schedule_of(through_json(body)).power_kw
        assert again.dtype == precision
        np.testing.assert_array_equal(again, power_kw)


@pytest.mark.parametrize("kind", [SessionStarted, SessionEnded])
def test_a_car_whose_register_is_unknown_is_read_from_the_journal_as_it_was(kind: type[SessionStarted]) -> None:
    event = kind(session_id="s", row=1, at_s=2.0, meter_kwh=math.nan)
    found = session_of(through_json(session_body(event)))
    assert isinstance(found, kind)
    assert math.isnan(found.meter_kwh)
