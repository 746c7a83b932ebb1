"""Invariants of the twin under any orders, limits and cars."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vpp.domain.resource import ResourceClass
from vpp.domain.setpoint import Layer
from vpp.lab.twin.fleet import Twin
from vpp.lab.twin.physics.charging import deliverable_kwh
from vpp.lab.twin.physics.faults import FaultRates
from vpp.lab.twin.physics.scenarios import AutoregressiveNoise
from vpp.lab.twin.physics.weather import Weather
from vpp.lab.twin.population.presets import demo_fleet
from vpp.lab.twin.population.sessions import BuiltinSessions
from vpp.lab.twin.truth import TruthRecorder
from vpp.lab.twin.worlds import ACTUAL, PREPARED

NOON_S = 1_752_638_400.0
FLEET = demo_fleet(scale=0.1)
WEATHER = Weather.builtin()

positive = st.floats(0.1, 200.0)


@given(limit=st.floats(0.0, 200.0), car=positive, need=positive, stay=st.floats(0.0, 260_000.0))
def test_no_car_takes_more_than_its_need_or_its_limit_allows(
    limit: float, car: float, need: float, stay: float
) -> None:
    taken = float(deliverable_kwh(np.array([limit]), np.array([car]), np.array([need]), np.array([stay]))[0])
    assert -1e-9 <= taken <= need + 1e-9
    assert taken <= min(limit, car) * stay / 3600.0 + 1e-6


@given(limit=st.floats(0.5, 100.0), car=positive, need=positive, stay=st.floats(0.0, 90_000.0))
def test_longer_stays_and_higher_limits_never_give_less(limit: float, car: float, need: float, stay: float) -> None:
    limits, cars, needs, stays = (np.array([v]) for v in (limit, car, need, stay))
    base = float(deliverable_kwh(limits, cars, needs, stays)[0])
    longer = float(deliverable_kwh(limits, cars, needs, stays + 600.0)[0])
    higher = float(deliverable_kwh(limits * 1.2, cars, needs, stays)[0])
    assert longer >= base - 1e-9
    assert higher >= base - 1e-6


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16), share=st.floats(-1.0, 1.2), minutes=st.integers(1, 40))
def test_power_stays_within_nameplates_and_the_other_world_stays_untouched(
    seed: int, share: float, minutes: int
) -> None:
    ordered, quiet = (
        Twin(FLEET, seed=seed, start_s=NOON_S, sessions=BuiltinSessions(seed), weather=WEATHER) for _ in range(2)
    )
    for row in range(len(FLEET)):
        power_kw = share * float(FLEET.nameplate.p_max_kw[row] if share > 0 else -FLEET.nameplate.p_min_kw[row])
        ordered.apply(row, Layer.DISPATCH, power_kw, NOON_S + 60.0 * minutes)
    ordered.advance(NOON_S + 1800.0, 15.0)
    quiet.advance(NOON_S + 1800.0, 15.0)
    assert (ordered.power_kw <= FLEET.nameplate.p_max_kw + 1e-6).all()
    assert (ordered.power_kw >= FLEET.nameplate.p_min_kw - 1e-6).all()
    assert np.array_equal(ordered.net_kwh[PREPARED], quiet.net_kwh[ACTUAL])


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), hour=st.integers(0, 23))
def test_defaults_keep_every_cap_and_every_promise(seed: int, hour: int) -> None:
    start_s = NOON_S + 3600.0 * hour
    twin = Twin(FLEET, seed=seed, start_s=start_s, sessions=BuiltinSessions(seed), weather=WEATHER)
    recorder = TruthRecorder(twin)
    recorder.advance(start_s + 2 * 3600.0, 30.0)
    truth = recorder.truth()
    assert (truth.transformer_kw <= truth.limit_kw).all()
    assert (truth.transformer_kw >= -truth.export_limit_kw).all()
    visits = truth.sessions
    assert (visits.promised_kwh - visits.delivered_kwh[ACTUAL])[visits.finished].max(initial=0.0) < 0.2


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), power=st.floats(-1.0, 1.0))
def test_batteries_lose_on_the_way_in_and_out_and_nothing_else(seed: int, power: float) -> None:
    twin = Twin(
        FLEET,
        seed=seed,
        start_s=NOON_S,
        sessions=BuiltinSessions(seed),
        weather=WEATHER,
        faults=FaultRates.none(),
    )
    rows = np.flatnonzero(FLEET.is_class(ResourceClass.STORAGE))
    before = twin.readings().soc[rows]
    for row in rows.tolist():
        twin.apply(row, Layer.DISPATCH, power * 125.0, np.inf)
    twin.advance(NOON_S + 600.0)
    moved_kwh = (twin.readings().soc[rows] - before) * 261.0
    net_kwh = twin.net_kwh[ACTUAL, rows]
    expected = np.where(net_kwh > 0, net_kwh * 0.93, net_kwh / 0.93)
    assert np.allclose(moved_kwh, expected, atol=1e-6)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_wandering_noise_has_its_spread_at_any_step(seed: int) -> None:
    noise = AutoregressiveNoise(400, 0.05, 900.0, np.random.default_rng(seed))
    values = np.concatenate([noise.step(step_s) for step_s in (5.0, 60.0, 900.0) * 8])
    assert 0.04 < values.std() < 0.06
