"""The counterfactual of stores, followed snapshot by snapshot."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fleets import at_one_site
from vpp.domain.limits import Limits
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.domain.telemetry import FloatArray, RowArray
from vpp.fleet.fleet_state import FleetState
from vpp.state.image import ProcessImage
from vpp.state.store_counterfactual import StoreCounterfactual

BATTERY, CAR = 0, 1
CAPACITY_KWH, RATED_KW, EFFICIENCY, CYCLE_S = 100.0, 50.0, 0.9, 10.0
ROWS: RowArray = np.array([BATTERY, CAR], dtype=np.int32)


def stores(soc: float, at_s: float = 0.0, *, plugged: bool = True) -> FleetState:
    """Return a battery and a car, both at a state of charge; limits 10 and 90 %."""
    index = at_one_site(
        tuple(
            Resource(
                id=name,
                site_id="s",
                resource_class=kind,
                adapter=Adapter.MODBUS,
                address=f"10.0.0.{number + 1}:502/1",
                p_min_kw=-RATED_KW,
                p_max_kw=RATED_KW,
                capacity_kwh=CAPACITY_KWH,
                efficiency=EFFICIENCY,
                limits=Limits(soc_floor=0.1, soc_ceiling=0.9),
            )
            for number, (name, kind) in enumerate((("battery", ResourceClass.STORAGE), ("car", ResourceClass.V2G)))
        ),
        limit_kw=1e4,
        export_limit_kw=1e4,
    )
    state = ProcessImage(index).swap(at_s, np.zeros(2, dtype=np.uint8))
    return replace(
        state,
        at_s=at_s,
        soc=np.full(2, soc),
        connected=np.ones(2, dtype=np.bool_),
        plugged=np.array([False, plugged]),
    )


def followed(scheduled_kw: float, soc: float, hours: float, *, shown_soc: float | None = None) -> FloatArray:
    """Return what both would take cycle by cycle, shape ``(cycles, 2)``, whatever their charge shows meanwhile."""
    counterfactual, powers = StoreCounterfactual(2), []
    for at_s in np.arange(0.0, 3600.0 * hours, CYCLE_S):
        shown = soc if at_s == 0.0 or shown_soc is None else shown_soc
        state = stores(shown, float(at_s))
        counterfactual.observe(state)
        powers.append(counterfactual.would_kw(state, ROWS, np.full(2, scheduled_kw)))
        counterfactual.end(np.ones(2, dtype=np.bool_))
    return np.array(powers)


@pytest.mark.parametrize("scheduled_kw", [30.0, -30.0])
def test_a_schedule_that_has_room_counts_whatever_the_store_did_meanwhile(scheduled_kw: float) -> None:
    assert followed(scheduled_kw, 0.5, 1.0, shown_soc=0.11) == pytest.approx(scheduled_kw)


def test_a_full_store_would_not_have_charged_and_an_empty_one_not_discharged() -> None:
    assert followed(30.0, 0.9, 0.1) == pytest.approx(0.0)
    assert followed(-30.0, 0.05, 0.1) == pytest.approx(0.0)
    assert followed(-30.0, 0.9, 0.1) == pytest.approx(-30.0)


def test_a_schedule_ends_when_its_energy_is_used_up() -> None:
    charged, discharged = followed(30.0, 0.63, 2.0), followed(-30.0, 0.37, 2.0)
    hours = CYCLE_S / 3600.0
    assert charged.sum(axis=0) * hours * EFFICIENCY == pytest.approx(27.0, rel=1e-3), "from 63 to 90 kWh"
    assert discharged.sum(axis=0) * hours / EFFICIENCY == pytest.approx(-27.0, rel=1e-3), "from 37 to 10 kWh"
    assert charged[0] == pytest.approx(30.0)
    assert charged[-1] == pytest.approx(0.0, abs=0.1)


def test_a_car_that_left_bounds_nothing_and_the_next_one_begins_anew() -> None:
    counterfactual, scheduled_kw = StoreCounterfactual(2), np.full(2, 30.0)
    assert counterfactual.would_kw(stores(0.9), ROWS, scheduled_kw) == pytest.approx(0.0)
    gone = stores(0.9, 10.0, plugged=False)  # the charge that was last read is of the car that left
    counterfactual.observe(gone)
    assert counterfactual.would_kw(gone, ROWS, scheduled_kw).tolist() == pytest.approx([0.0, 30.0])
    full = stores(0.9, 20.0)
    counterfactual.observe(full)
    assert counterfactual.would_kw(full, ROWS, scheduled_kw) == pytest.approx(0.0)


def test_a_store_that_no_request_measures_any_more_begins_anew() -> None:
    counterfactual, scheduled_kw = StoreCounterfactual(2), np.full(2, 30.0)
    counterfactual.would_kw(stores(0.9), ROWS, scheduled_kw)
    counterfactual.end(np.zeros(2, dtype=np.bool_))
    assert counterfactual.would_kw(stores(0.5, 10.0), ROWS, scheduled_kw) == pytest.approx(30.0)


def test_without_a_known_charge_the_schedule_counts_and_without_a_schedule_nothing_is_known() -> None:
    counterfactual = StoreCounterfactual(2)
    assert counterfactual.would_kw(stores(np.nan), ROWS, np.array([30.0, -30.0])).tolist() == [30.0, -30.0]
    assert np.isnan(counterfactual.would_kw(stores(0.5), ROWS, np.full(2, np.nan))).all()


def test_after_a_restart_the_charge_that_a_call_has_moved_bounds_nothing() -> None:
    counterfactual, scheduled_kw = StoreCounterfactual(2), np.full(2, -30.0)
    counterfactual.restore(ROWS[:1])
    counterfactual.observe(stores(0.1))
    assert counterfactual.would_kw(stores(0.1), ROWS, scheduled_kw).tolist() == pytest.approx([-30.0, 0.0])


@given(
    soc=st.floats(0.0, 1.0),
    scheduled_kw=st.lists(st.floats(-RATED_KW, RATED_KW), min_size=1, max_size=40),
    cycle_s=st.floats(1.0, 60.0),
)
def test_energy_stays_between_the_limits_or_where_it_began(
    soc: float, scheduled_kw: list[float], cycle_s: float
) -> None:
    counterfactual, stored_kwh = StoreCounterfactual(2), soc * CAPACITY_KWH
    least_kwh, most_kwh = min(stored_kwh, 10.0), max(stored_kwh, 90.0)
    for number, planned_kw in enumerate(scheduled_kw):
        state = stores(soc, number * cycle_s)
        counterfactual.observe(state)
        would_kw = float(counterfactual.would_kw(state, ROWS, np.full(2, planned_kw))[BATTERY])
        assert would_kw * planned_kw >= 0.0
        assert abs(would_kw) <= abs(planned_kw)
        stored_kwh += (would_kw * EFFICIENCY if would_kw > 0.0 else would_kw / EFFICIENCY) * cycle_s / 3600.0
        assert least_kwh - 1e-6 <= stored_kwh <= most_kwh + 1e-6
