"""The counterfactual of roofs, followed snapshot by snapshot."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import BoolArray, FloatArray, Quality, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.state.image import ProcessImage
from vpp.state.roof_counterfactual import LEVEL_S, RoofCounterfactual

COUNT, RATED_KW = 12, 100.0
CALLED: RowArray = np.array([0, 1], dtype=np.int32)
NOTHING, FROZEN_KW = np.full(COUNT, np.nan), -33.0
FREE = np.zeros(COUNT, dtype=np.bool_)
HELD = np.isin(np.arange(COUNT), CALLED)


def roofs() -> FleetState:
    index = at_one_site(
        tuple(
            Resource(
                id=f"roof-{number}",
                site_id="s",
                resource_class=ResourceClass.PV,
                adapter=Adapter.MODBUS,
                address=f"10.0.0.{number + 1}:502/1",
                p_min_kw=-RATED_KW,
                p_max_kw=0.0,
            )
            for number in range(COUNT)
        ),
        limit_kw=1e4,
        export_limit_kw=1e4,
    )
    state = ProcessImage(index).swap(0.0, np.zeros(COUNT, dtype=np.uint8))
    return replace(state, connected=np.ones(COUNT, dtype=np.bool_), quality=np.zeros(COUNT, dtype=np.uint8))


def sky(at_s: float, sun: float, *, called_kw: float | None = None, own: float = 1.0) -> FleetState:
    """Return all roofs at a share of their nameplates, those called at ``own`` times that, or at a power stated."""
    power_kw = np.full(COUNT, -sun * RATED_KW)
    power_kw[CALLED] = -own * sun * RATED_KW if called_kw is None else called_kw
    return replace(roofs(), at_s=at_s, power_kw=power_kw)


class Followed:
    """A counterfactual of which the called roofs are looked at."""

    def __init__(self) -> None:
        self.roofs = RoofCounterfactual(COUNT)

    def at(self, state: FleetState, held: BoolArray, noted_kw: FloatArray = NOTHING) -> FloatArray:
        """Take a snapshot and return what the called roofs would feed in."""
        self.roofs.observe(state, held=held)
        would = self.roofs.would_kw(
            state, CALLED, lambda at_s: np.full(len(at_s), FROZEN_KW), held=held, noted_kw=noted_kw
        )
        self.roofs.end(HELD, held=held)
        return would


def test_a_roof_nobody_ordered_is_its_own_meter() -> None:
    followed = Followed()
    assert followed.at(sky(0.0, 0.5), FREE) == pytest.approx(-50.0)
    assert followed.at(sky(60.0, 0.2, called_kw=1.0), FREE) == pytest.approx(1.0), "its inverter draws at night"


@pytest.mark.parametrize("sun", [0.9, 0.4, 0.05])
def test_an_ordered_roof_goes_on_as_the_free_ones_in_its_own_ratio_to_them(sun: float) -> None:
    followed = Followed()
    followed.at(sky(0.0, 0.6, own=0.8), FREE)
    assert followed.at(sky(900.0, sun, called_kw=0.0), HELD) == pytest.approx(-0.8 * sun * RATED_KW)


def test_a_ratio_is_a_mean_over_clouds_of_its_own() -> None:
    followed = Followed()
    for minute in range(int(6 * LEVEL_S / 60.0)):
        followed.at(sky(60.0 * minute, 0.6, own=1.2 if minute % 2 else 0.8), FREE)
    assert followed.at(sky(7.0 * LEVEL_S, 0.6, called_kw=0.0), HELD) == pytest.approx(-60.0, rel=0.03)


def test_what_ordered_roofs_show_is_no_yardstick_for_them() -> None:
    followed = Followed()
    followed.at(sky(0.0, 0.6), FREE)
    for minute in range(1, 30):
        would = followed.at(sky(60.0 * minute, 0.6, called_kw=-1.0), HELD)
    assert would == pytest.approx(-60.0)


def test_a_roof_with_an_unbelievable_meter_is_no_yardstick_either() -> None:
    followed = Followed()
    followed.at(sky(0.0, 0.6), FREE)
    wild = sky(60.0, 0.6, called_kw=0.0)
    power_kw, quality = wild.power_kw.copy(), wild.quality.copy()
    power_kw[5], quality[5] = -1e6, Quality.BAD
    assert followed.at(replace(wild, power_kw=power_kw, quality=quality), HELD) == pytest.approx(-60.0)


def test_it_does_not_matter_which_roofs_are_free() -> None:
    followed, dim = Followed(), np.where(np.arange(COUNT) < 6, 0.5, 1.0)
    for minute in range(120):
        state = sky(60.0 * minute, 0.6)
        followed.at(replace(state, power_kw=state.power_kw * dim), FREE)
    held = np.arange(COUNT) < 6
    state = sky(7200.0, 0.3)
    power_kw = np.where(held, 0.0, state.power_kw)
    assert followed.at(replace(state, power_kw=power_kw), held) == pytest.approx(-0.5 * 30.0, rel=0.01)


def test_before_sunrise_no_ratio_is_made_of_nothing() -> None:
    followed = Followed()
    followed.at(sky(0.0, 0.001, own=9.0), FREE)
    assert followed.at(sky(7200.0, 0.5, called_kw=0.0), HELD) == pytest.approx(-50.0)


def test_no_roof_feeds_in_more_than_its_nameplate() -> None:
    followed = Followed()
    followed.at(sky(0.0, 0.4, own=2.0), FREE)
    assert followed.at(sky(900.0, 0.9, called_kw=0.0), HELD) == pytest.approx(-RATED_KW)


def test_without_a_free_roof_the_frozen_baseline_counts() -> None:
    followed, everybody = Followed(), np.ones(COUNT, dtype=np.bool_)
    followed.at(sky(0.0, 0.6), FREE)
    assert followed.at(sky(60.0, 0.6, called_kw=0.0), everybody) == pytest.approx(FROZEN_KW)


def test_after_a_restart_a_roof_goes_on_from_what_was_noted() -> None:
    followed = Followed()
    followed.roofs.restore(CALLED)
    noted = np.where(HELD, np.where(np.arange(COUNT) == 0, -40.0, -20.0), np.nan)
    assert followed.at(sky(0.0, 0.5, called_kw=0.0), HELD, noted) == pytest.approx([-40.0, -20.0])
    assert followed.at(sky(60.0, 0.25, called_kw=0.0), HELD, noted) == pytest.approx([-20.0, -10.0])


def test_the_next_request_begins_anew() -> None:
    followed = Followed()
    followed.at(sky(0.0, 0.6), FREE)
    followed.at(sky(60.0, 0.6, called_kw=0.0), HELD)
    followed.roofs.end(FREE, held=FREE)
    assert followed.at(sky(120.0, 0.5, own=0.5), FREE) == pytest.approx(-25.0)


def test_rows_that_join_are_followed_and_the_others_keep_their_ratio() -> None:
    followed = RoofCounterfactual(COUNT - 1)
    followed.resize(COUNT)
    followed.observe(sky(0.0, 0.5, own=0.8), held=FREE)
    state = sky(60.0, 1.0, called_kw=0.0)
    followed.observe(state, held=HELD)
    would = followed.would_kw(state, CALLED, lambda at_s: at_s, held=HELD, noted_kw=NOTHING)
    assert would == pytest.approx(-80.0)
