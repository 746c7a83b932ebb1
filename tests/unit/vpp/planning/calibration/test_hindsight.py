"""Hindsight: what a window could have delivered, by meters, sessions and outages as they were."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.vpp.planning.parts import EV, HVAC, INDUSTRY, NOW_S, RESOURCES, STORAGE, state
from vpp.domain.telemetry import FloatArray
from vpp.fleet.fleet_state import FleetState
from vpp.planning.calibration.hindsight import SeenWindow, hindsight_of
from vpp.planning.calibration.past_snapshot import PastSnapshot
from vpp.planning.flexibility.aggregation import Aggregation
from vpp.planning.flexibility.flexibility_inputs import FlexibilityPolicy

STEPS = 4
UP, DOWN, WEST, CITY = 0, 1, 1, 2
WHOLE_KW = 5.6 + 15.0 + 90.0 + 90.0 + 150.0
"""EV to its floor; V2G; storage over an hour; building; plant."""


def seen(*pictures: FleetState, metered_kw: FloatArray | None = None) -> SeenWindow:
    """Return a window of an hour; one picture stands for all of its snapshots."""
    every = [*pictures] if len(pictures) > 1 else [*pictures] * (STEPS + 1)
    snapshots = [
        PastSnapshot.of(
            replace(one, at_s=NOW_S + 900.0 * step), NOW_S + 900.0 * step, np.ones(len(RESOURCES), dtype=np.bool_)
        )
        for step, one in enumerate(every)
    ]
    flat = np.repeat(np.array([7.0, 0.0, 0.0, -30.0, 360.0, 480.0])[:, None], STEPS, axis=1)
    return SeenWindow(
        snapshots=snapshots,
        metered_kw=flat if metered_kw is None else metered_kw,
        delivery_ratio=np.ones(len(RESOURCES)),
    )


def found(window: SeenWindow) -> FloatArray:
    return hindsight_of(window, Aggregation.of(window.snapshots[0].state.index), FlexibilityPolicy()).least_kw


def flat(**rows: FloatArray | float) -> FloatArray:
    metered = np.repeat(np.array([7.0, 0.0, 0.0, -30.0, 360.0, 480.0])[:, None], STEPS, axis=1)
    for name, values in rows.items():
        metered[int(name.removeprefix("row_"))] = values
    return metered


def test_a_fleet_that_did_as_it_was_expected_could_have_delivered_what_was_quoted() -> None:
    assert found(seen(state()))[UP, CITY] == pytest.approx(WHOLE_KW, abs=0.1)


def test_the_least_quarter_of_an_hour_counts() -> None:
    lower = np.array([360.0, 360.0, 300.0, 360.0])
    assert found(seen(state(), metered_kw=flat(row_4=lower)))[UP, CITY] < WHOLE_KW - 3.0


def test_a_store_that_was_discharging_could_give_only_what_was_left() -> None:
    spent = found(seen(state(), metered_kw=flat(row_2=-60.0)))
    assert spent[UP, WEST] == pytest.approx(found(seen(state()))[UP, WEST] - 60.0, abs=1.0)


def test_rows_that_could_not_be_reached_in_a_quarter_of_an_hour_are_missing_in_it() -> None:
    away = np.ones(len(RESOURCES), dtype=np.bool_)
    away[INDUSTRY] = False
    pictures = [state(), state(), state(connected=away), state(connected=away), state()]
    assert found(seen(*pictures))[UP, CITY] == pytest.approx(WHOLE_KW - 150.0, abs=0.1)


def test_rows_that_acceptance_would_not_have_enlisted_give_nothing() -> None:
    window = seen(state())
    begin = replace(window.snapshots[0], usable=window.snapshots[0].usable & (np.arange(len(RESOURCES)) != HVAC))
    assert found(replace(window, snapshots=[begin, *window.snapshots[1:]]))[UP, CITY] == pytest.approx(
        WHOLE_KW - 90.0, abs=0.1
    )


def test_a_car_that_left_early_gives_nothing_after_it() -> None:
    gone = np.zeros(len(RESOURCES), dtype=np.bool_)
    left = state(plugged=gone)
    metered = flat(row_0=np.array([7.0, 7.0, 0.0, 0.0]))
    early = found(seen(state(), state(), left, left, left, metered_kw=metered))
    assert early[UP, 0] < found(seen(state()))[UP, 0] - 5.0
    assert early[UP, 0] >= 0.0


@pytest.mark.parametrize(("willing", "share"), [(True, 5.6), (False, 0.0)])
def test_a_car_that_came_counts_with_what_it_took_above_its_floor(willing: bool, share: float) -> None:  # noqa: FBT001
    without = np.array([False, True, False, False, False, False])
    sheddable = np.ones(len(RESOURCES), dtype=np.bool_)
    sheddable[EV] = willing
    unknown = np.array([np.nan, 6.0, np.nan, np.nan, np.nan, np.nan])
    leaving = np.array([np.nan, NOW_S + 9 * 3600.0, *[np.nan] * 4])
    empty = state(plugged=without, need_kwh=unknown, departure_s=leaving)
    pictures = [empty, *[state(sheddable=sheddable)] * STEPS]
    only_east = found(seen(*pictures))[UP, 0] - found(seen(empty, metered_kw=flat(row_0=0.0)))[UP, 0]
    assert only_east == pytest.approx(share, abs=0.01)


def test_a_gap_of_a_meter_is_bridged_and_a_dead_fleet_is_not_judged() -> None:
    gap = np.array([360.0, np.nan, np.nan, 360.0])
    assert found(seen(state(), metered_kw=flat(row_4=gap)))[UP, CITY] == pytest.approx(WHOLE_KW, abs=0.1)
    assert seen(state()).is_metered
    assert not seen(state(), metered_kw=np.full((len(RESOURCES), STEPS), np.nan)).is_metered


def test_raises_are_judged_like_cuts() -> None:
    raised = found(seen(state()))
    assert raised[DOWN, CITY] == pytest.approx(raised[DOWN, :2].sum(), rel=0.02)
    assert (
        found(seen(state(soc=np.array([np.nan, 0.7, 0.89, np.nan, np.nan, np.nan]))))[DOWN, CITY] < raised[DOWN, CITY]
    )
    assert found(seen(state(), metered_kw=flat(**{f"row_{STORAGE}": 50.0})))[DOWN, CITY] < raised[DOWN, CITY]


def test_classes_tell_what_each_could_have_delivered_on_average() -> None:
    window = seen(state(), metered_kw=flat(row_4=np.array([360.0, 360.0, 300.0, 360.0])))
    made = hindsight_of(window, Aggregation.of(window.snapshots[0].state.index), FlexibilityPolicy())
    assert made.class_kw.shape == (2, 2, 6)
    assert made.class_kw[UP, WEST, INDUSTRY] == pytest.approx(150.0)
    assert 75.0 < made.class_kw[UP, WEST, HVAC] < 90.0
    assert made.class_kw[UP].sum() >= made.least_kw[UP, CITY]
