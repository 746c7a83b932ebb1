"""The counterfactual of charging sessions, followed snapshot by snapshot."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fleets import at_one_site
from vpp.domain.resource import Adapter, Resource, ResourceClass
from vpp.fleet.fleet_state import FleetState
from vpp.state.counterfactual import SessionCounterfactual
from vpp.state.image import ProcessImage

NOTHING = np.full(2, np.nan)


def snapshot() -> FleetState:
    index = at_one_site(
        (
            _resource("cp", ResourceClass.EV, Adapter.OCPP),
            _resource("plant", ResourceClass.INDUSTRY, Adapter.MQTT),
        ),
        limit_kw=100.0,
        export_limit_kw=100.0,
    )
    state = ProcessImage(index).swap(0.0, np.zeros(2, dtype=np.uint8))
    yes = np.ones(2, dtype=np.bool_)
    return replace(state, connected=yes, plugged=yes, need_kwh=np.array([3.5, np.nan]))


def _resource(identity: str, kind: ResourceClass, adapter: Adapter) -> Resource:
    return Resource(
        id=identity, site_id="s", resource_class=kind, adapter=adapter, address=identity, p_min_kw=0.0, p_max_kw=7.0
    )


def after(state: FleetState, at_s: float, power_kw: float, *, plugged: bool = True) -> FleetState:
    return replace(
        state, at_s=at_s, power_kw=np.array([power_kw, 50.0]), plugged=np.array([plugged, True]), cycle=state.cycle + 1
    )


def held(row: bool) -> np.ndarray:  # noqa: FBT001 - reads well at the call
    return np.array([row, False])


def test_a_session_nobody_held_is_its_own_meter_and_other_rows_are_left_out() -> None:
    follow = SessionCounterfactual(2)
    would = follow.update(after(snapshot(), 0.0, 7.0), held=held(False), noted_kw=NOTHING)
    assert would[0] == 7.0
    assert np.isnan(would[1])


def test_a_held_session_goes_on_until_its_need_would_have_been_met_and_then_rests() -> None:
    follow, state = SessionCounterfactual(2), snapshot()
    follow.update(after(state, 0.0, 7.0), held=held(False), noted_kw=NOTHING)
    assert follow.update(after(state, 10.0, 1.4), held=held(True), noted_kw=NOTHING)[0] == 7.0
    assert follow.update(after(state, 1790.0, 1.4), held=held(True), noted_kw=NOTHING)[0] == 7.0
    assert follow.update(after(state, 1850.0, 7.0), held=held(False), noted_kw=NOTHING)[0] == 0.0
    assert follow.update(after(state, 4000.0, 7.0), held=held(False), noted_kw=NOTHING)[0] == 0.0


def test_the_next_car_starts_with_a_clean_record() -> None:
    follow, state = SessionCounterfactual(2), snapshot()
    follow.update(after(state, 0.0, 7.0), held=held(False), noted_kw=NOTHING)
    follow.update(after(state, 10.0, 1.4), held=held(True), noted_kw=NOTHING)
    assert follow.update(after(state, 20.0, 0.0, plugged=False), held=held(False), noted_kw=NOTHING)[0] == 0.0
    assert follow.update(after(state, 30.0, 5.0), held=held(False), noted_kw=NOTHING)[0] == 5.0


def test_after_a_restart_the_power_noted_with_the_command_counts() -> None:
    follow = SessionCounterfactual(2)
    would = follow.update(after(snapshot(), 0.0, 1.4), held=held(True), noted_kw=np.array([6.5, np.nan]))
    assert would[0] == pytest.approx(6.5)


def test_rows_that_join_are_followed_from_then_on() -> None:
    follow = SessionCounterfactual(1)
    follow.resize(2)
    assert follow.update(after(snapshot(), 0.0, 3.0), held=held(False), noted_kw=NOTHING)[0] == 3.0
