"""The counterfactual of buildings and plants, followed snapshot by snapshot."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import Quality
from vpp.fleet.fleet_state import FleetState
from vpp.state.image import ProcessImage
from vpp.state.load_counterfactual import LEVEL_S, LoadCounterfactual, Shape, load_rows

NOTHING = np.full(3, np.nan)
FREE, HELD = np.zeros(3, dtype=np.bool_), np.array([False, True, False])
BUILDING = np.array([1], dtype=np.int32)


def snapshot() -> FleetState:
    kinds = (ResourceClass.EV, ResourceClass.HVAC, ResourceClass.INDUSTRY)
    index = at_one_site(
        tuple(
            Resource(
                id=kind.value,
                site_id="s",
                resource_class=kind,
                adapter=Adapter.MQTT,
                address=kind.value,
                p_min_kw=0.0,
                p_max_kw=1000.0,
            )
            for kind in kinds
        ),
        limit_kw=1000.0,
        export_limit_kw=1000.0,
    )
    state = ProcessImage(index).swap(0.0, np.zeros(3, dtype=np.uint8))
    return replace(state, connected=np.ones(3, dtype=np.bool_), quality=np.zeros(3, dtype=np.uint8))


def flat(frozen_kw: float) -> Shape:
    return lambda at_s: np.full(len(at_s), frozen_kw)


def shown(at_s: float, building_kw: float, *, quality: Quality = Quality.GOOD) -> FleetState:
    qualities = np.array([Quality.GOOD, quality, Quality.GOOD], dtype=np.uint8)
    return replace(snapshot(), at_s=at_s, power_kw=np.array([7.0, building_kw, 50.0]), quality=qualities)


class Followed:
    """A counterfactual of which the building is looked at, with its frozen baseline."""

    def __init__(self) -> None:
        self.loads = LoadCounterfactual(3)

    def at(
        self,
        state: FleetState,
        frozen: float | Shape,
        held: np.ndarray,
        *,
        number: int = 0,
        noted: np.ndarray = NOTHING,
    ) -> float:
        """Take a snapshot and return what the building would take."""
        shape = flat(frozen) if isinstance(frozen, float) else frozen
        self.loads.observe(state, held=held)
        would = self.loads.would_kw(state, BUILDING, shape, number=number, held=held, noted_kw=noted)
        self.loads.end(np.array([False, True, False]), held=held)
        return float(would[0])


def test_buildings_and_plants_are_loads() -> None:
    assert load_rows(snapshot().index).tolist() == [1, 2]


def test_a_load_nobody_ordered_is_its_own_meter_whatever_its_days_were_like() -> None:
    assert Followed().at(shown(0.0, 880.0), 800.0, FREE) == 880.0


def test_an_ordered_load_goes_on_from_its_level_with_the_shape_of_its_days() -> None:
    follow = Followed()
    follow.at(shown(0.0, 880.0), 800.0, FREE)
    assert follow.at(shown(10.0, 700.0), 800.0, HELD) == pytest.approx(880.0)
    assert follow.at(shown(3600.0, 700.0), 720.0, HELD) == pytest.approx(880.0 * 0.9)


@pytest.mark.parametrize("minutes_metered", [1, 5, 60])
def test_a_load_that_falls_all_evening_goes_on_falling_from_where_it_was(minutes_metered: int) -> None:
    """The level is a mean over minutes, so it is anchored where the baseline was these minutes ago."""
    follow, fall_kw_s = Followed(), 8.0 / 60.0

    def usual(at_s: np.ndarray) -> np.ndarray:
        return 2600.0 - fall_kw_s * at_s

    def real_kw(at_s: float) -> float:
        return 1.1 * (2600.0 - fall_kw_s * at_s)

    begin_s = 60.0 * (60 - minutes_metered)
    for at_s in np.arange(begin_s, 3600.0, 10.0):
        follow.at(shown(at_s, real_kw(at_s)), usual, FREE)
    for at_s in (3600.0, 5400.0, 7200.0):
        assert follow.at(shown(at_s, 900.0), usual, HELD) == pytest.approx(real_kw(at_s), rel=1e-6)


def test_a_building_ordered_before_its_morning_goes_on_to_its_noon() -> None:
    follow = Followed()
    follow.at(shown(0.0, 220.0), 200.0, FREE)
    assert follow.at(shown(60.0, 180.0), 200.0, HELD) == pytest.approx(220.0)
    assert follow.at(shown(4.0 * 3600.0, 500.0), 640.0, HELD) == pytest.approx(220.0 * 3.2)


def test_a_reading_counts_at_the_instant_it_was_taken() -> None:
    follow = Followed()

    def usual(at_s: np.ndarray) -> np.ndarray:
        return 1000.0 - at_s

    late = replace(shown(100.0, 940.0), power_at_s=np.array([100.0, 60.0, 100.0]))
    follow.at(late, usual, FREE)
    assert follow.at(shown(110.0, 500.0), usual, HELD) == pytest.approx(890.0)


def test_after_its_release_the_counterfactual_goes_on_so_that_rebound_shows() -> None:
    follow = Followed()
    follow.at(shown(0.0, 800.0), 800.0, FREE)
    follow.at(shown(10.0, 700.0), 800.0, HELD)
    assert follow.at(shown(7200.0, 850.0), 800.0, FREE) == pytest.approx(800.0)


def test_once_no_request_measures_it_a_load_shows_its_own_level_again() -> None:
    follow = Followed()
    follow.at(shown(0.0, 800.0), 800.0, FREE)
    follow.at(shown(10.0, 700.0), 800.0, HELD)
    follow.loads.end(FREE, held=FREE)
    assert follow.at(shown(20.0, 650.0), 800.0, FREE) == 650.0


def test_the_level_is_a_mean_over_minutes_so_one_high_reading_before_the_order_gains_little() -> None:
    follow = Followed()
    for minute in range(60):
        follow.at(shown(60.0 * minute, 800.0), 800.0, FREE)
    follow.at(shown(3600.0, 1000.0), 800.0, FREE)
    gained_kw = follow.at(shown(3610.0, 700.0), 800.0, HELD) - 800.0
    assert gained_kw == pytest.approx(200.0 * (1.0 - np.exp(-60.0 / LEVEL_S)))
    assert gained_kw < 40.0


def test_a_load_whose_meter_cannot_be_believed_counts_at_its_last_level_and_a_dark_one_at_its_baseline() -> None:
    follow = Followed()
    assert follow.at(shown(0.0, 500.0, quality=Quality.BAD), 800.0, FREE) == 800.0
    follow.at(shown(60.0, 880.0), 800.0, FREE)
    assert follow.at(shown(120.0, 5.0, quality=Quality.BAD), 800.0, FREE) == pytest.approx(880.0)


def test_another_request_goes_on_from_where_the_one_before_was() -> None:
    follow = Followed()
    follow.at(shown(0.0, 880.0), 800.0, FREE)
    follow.at(shown(10.0, 700.0), 800.0, HELD)
    assert follow.at(shown(20.0, 700.0), 600.0, HELD, number=1) == pytest.approx(880.0)
    assert follow.at(shown(30.0, 700.0), 660.0, HELD, number=1) == pytest.approx(880.0 * 1.1)


def test_after_a_restart_the_power_noted_with_the_command_is_the_level() -> None:
    noted = np.array([np.nan, 870.0, np.nan])
    assert Followed().at(shown(0.0, 700.0), 800.0, HELD, noted=noted) == pytest.approx(870.0)


@pytest.mark.parametrize("held", [HELD, FREE])
def test_an_order_of_before_a_restart_goes_on_whatever_the_meter_shows_by_then(held: np.ndarray) -> None:
    """Half an hour later its lease is over and the load is still coming back."""
    follow = Followed()

    def usual(at_s: np.ndarray) -> np.ndarray:
        return 1000.0 - at_s / 36.0

    follow.loads.restore(BUILDING, np.array([990.0]), np.array([0.0]), np.array([0]))
    for at_s in (1800.0, 1810.0, 3600.0):
        assert follow.at(shown(at_s, 600.0), usual, held) == pytest.approx(0.99 * (1000.0 - at_s / 36.0))
    follow.loads.end(FREE, held=FREE)
    assert follow.at(shown(3610.0, 640.0), usual, FREE) == 640.0


def test_a_load_near_zero_is_moved_by_the_difference() -> None:
    follow = Followed()
    follow.at(shown(0.0, 100.0), -5.0, FREE)
    follow.at(shown(10.0, 50.0), -5.0, HELD)
    assert follow.at(shown(20.0, 50.0), 15.0, HELD) == pytest.approx(120.0)


def test_loads_that_join_are_followed_from_then_on() -> None:
    loads = LoadCounterfactual(1)
    loads.resize(3)
    state = shown(0.0, 640.0)
    loads.observe(state, held=FREE)
    would = loads.would_kw(state, BUILDING, flat(800.0), number=0, held=FREE, noted_kw=NOTHING)
    assert would.tolist() == [640.0]
