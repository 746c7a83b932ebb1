"""The course of charging sessions, learnt from those that are not commanded."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site, chargers
from vpp.fleet.fleet_state import FleetState
from vpp.state.counterfactual import SessionCounterfactual
from vpp.state.image import ProcessImage
from vpp.state.session_course import SessionCourse

CARS = 60
PROMISED_KWH = 14.0
WANTED_KWH = 18.0
FULL_KW = 7.0
NOBODY = np.zeros(CARS, dtype=np.bool_)
EVERYBODY = ~NOBODY


INDEX = at_one_site(chargers(CARS, p_max_kw=7.0, floor_kw=1.4, default_kw=7.0), limit_kw=1e3, export_limit_kw=1e3)
BLANK = replace(
    ProcessImage(INDEX).swap(0.0, np.zeros(CARS, dtype=np.uint8)),
    connected=~np.zeros(CARS, dtype=np.bool_),
    quality=np.zeros(CARS, dtype=np.uint8),
)


def snapshot(at_s: float, taken_kwh: np.ndarray, *, plugged: bool = True, promised: bool = True) -> FleetState:
    """Return cars that have taken some energy and taper over the last third of what they want."""
    return replace(
        BLANK,
        at_s=at_s,
        plugged=np.full(CARS, plugged),
        power_kw=power_kw(taken_kwh) if plugged else np.zeros(CARS),
        need_kwh=np.maximum(PROMISED_KWH - taken_kwh, 0.0) if promised else np.full(CARS, np.nan),
    )


def power_kw(taken_kwh: np.ndarray) -> np.ndarray:
    left = np.maximum(WANTED_KWH - taken_kwh, 0.0) / (WANTED_KWH / 3.0)
    return np.where(taken_kwh >= WANTED_KWH - 0.01, 0.0, FULL_KW * np.clip(left, 0.05, 1.0))


def visit(course: SessionCourse, begin_s: float, touched: np.ndarray, *, minutes: int = 480) -> float:
    """Let all cars come, charge and leave; return when."""
    taken = np.zeros(CARS)
    for minute in range(minutes):
        state = snapshot(begin_s + 60.0 * minute, taken)
        course.follow(state, touched=touched)
        taken += state.power_kw / 60.0
    end_s = begin_s + 60.0 * minutes
    course.follow(snapshot(end_s, taken, plugged=False), touched=NOBODY)
    return end_s


def went_on_kw(course: SessionCourse, begin_s: float, *, ordered: int = 60, minutes: int = 180) -> np.ndarray:
    """Return what a car is said to take in each minute after it was ordered, ``ordered`` minutes after it came."""
    taken, said = np.zeros(CARS), []
    for minute in range(ordered + minutes):
        held = EVERYBODY if minute >= ordered else NOBODY
        state = snapshot(begin_s + 60.0 * minute, taken)
        course.follow(state, touched=held)
        if minute >= ordered:
            said.append(course.would_kw(np.array([3], dtype=np.int32), np.array([FULL_KW]))[0])
        else:
            taken += state.power_kw / 60.0
    return np.array(said)


def truly_kw(ordered: int = 60, minutes: int = 180) -> np.ndarray:
    taken, true = np.zeros(1), []
    for _ in range(ordered + minutes):
        true.append(power_kw(taken)[0])
        taken += power_kw(taken) / 60.0
    return np.array(true[ordered:])


def test_before_anything_is_learnt_a_session_goes_on_until_its_promise_is_met() -> None:
    said = went_on_kw(SessionCourse(CARS), 0.0, ordered=0, minutes=240)
    assert said[:100] == pytest.approx(np.full(100, FULL_KW))
    assert said[140:] == pytest.approx(np.zeros(100))


def test_once_sessions_were_seen_a_commanded_one_tapers_and_goes_on_above_its_promise_as_they_did() -> None:
    course = SessionCourse(CARS)
    begin_s = visit(course, visit(course, 0.0, NOBODY) + 60.0, NOBODY)
    said, true = went_on_kw(course, begin_s + 60.0), truly_kw()
    assert said.sum() == pytest.approx(true.sum(), rel=0.06)
    assert np.abs(said - true).max() < 0.15 * FULL_KW
    before = went_on_kw(SessionCourse(CARS), 0.0)
    assert before.sum() < 0.8 * true.sum(), "the rule of before ends at the promise"


def test_commanded_sessions_teach_nothing() -> None:
    taught, fresh = SessionCourse(CARS), SessionCourse(CARS)
    begin_s = visit(taught, 0.0, EVERYBODY)
    fresh.follow(snapshot(begin_s, np.zeros(CARS), plugged=False), touched=NOBODY)
    assert went_on_kw(taught, begin_s + 60.0) == pytest.approx(went_on_kw(fresh, begin_s + 60.0))


def test_a_time_that_was_not_seen_teaches_nothing() -> None:
    course, taken = SessionCourse(CARS), np.full(CARS, 10.0)
    course.follow(snapshot(0.0, np.zeros(CARS)), touched=NOBODY)
    for hour in range(1, 200):
        course.follow(snapshot(3600.0 * hour, taken), touched=NOBODY)
    fresh = SessionCourse(CARS)
    end_s = 3600.0 * 200
    course.follow(snapshot(end_s, taken, plugged=False), touched=NOBODY)
    fresh.follow(snapshot(end_s, taken, plugged=False), touched=NOBODY)
    assert went_on_kw(course, end_s + 60.0) == pytest.approx(went_on_kw(fresh, end_s + 60.0))


def test_what_was_learnt_fades_within_days() -> None:
    course, away = SessionCourse(CARS), snapshot(0.0, np.zeros(CARS), plugged=False)
    begin_s = visit(course, 0.0, NOBODY)
    for look in range(1, 12 * 480):
        course.follow(replace(away, at_s=begin_s + 180.0 * look), touched=NOBODY)
    assert went_on_kw(course, begin_s + 12 * 86_400.0).sum() < 0.9 * truly_kw().sum()


def test_a_session_without_a_promise_has_no_course() -> None:
    course = SessionCourse(CARS)
    course.follow(snapshot(0.0, np.zeros(CARS), promised=False), touched=EVERYBODY)
    assert np.isnan(course.would_kw(np.array([0], dtype=np.int32), np.array([7.0]))).all()


def test_the_next_car_begins_a_course_of_its_own() -> None:
    course = SessionCourse(CARS)
    course.follow(snapshot(0.0, np.zeros(CARS)), touched=NOBODY)
    for minute in range(1, 400):
        course.follow(snapshot(60.0 * minute, np.full(CARS, 10.0)), touched=EVERYBODY)
    row = np.array([5], dtype=np.int32)
    assert course.would_kw(row, np.array([7.0]))[0] == 0.0
    course.follow(snapshot(24_000.0, np.zeros(CARS), plugged=False), touched=NOBODY)
    course.follow(snapshot(24_060.0, np.zeros(CARS)), touched=NOBODY)
    assert course.would_kw(row, np.array([7.0]))[0] == pytest.approx(7.0)


def test_rows_that_join_have_a_course() -> None:
    course = SessionCourse(2)
    course.resize(CARS)
    course.follow(snapshot(0.0, np.zeros(CARS)), touched=NOBODY)
    assert course.would_kw(np.array([CARS - 1], dtype=np.int32), np.array([7.0]))[0] == pytest.approx(7.0)


def test_a_counterfactual_takes_the_course_only_where_it_is_asked_to() -> None:
    follow = SessionCounterfactual(CARS)
    noted = np.full(CARS, np.nan)
    follow.update(snapshot(0.0, np.zeros(CARS)), held=NOBODY, noted_kw=noted)
    for minute in range(1, 130):
        would = follow.update(snapshot(60.0 * minute, np.zeros(CARS)), held=EVERYBODY, noted_kw=noted)
        follow.take_course(would, np.array([0], dtype=np.int32))
    assert would[1] == 0.0, "14 kWh at 7 kW are two hours"
    assert would[0] == pytest.approx(0.0, abs=1.8), "within a step of the clock of the same"
    follow.update(snapshot(8000.0, np.zeros(CARS), plugged=False), held=NOBODY, noted_kw=noted)
